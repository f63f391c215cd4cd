"""A drill as Markdown (CommonMark with tables), to be read raw as well as rendered. Foreign text never is markup."""

from __future__ import annotations

from poolkeeper.report import wording
from poolkeeper.suite.suite_report import escape, table
from poolkeeper_lab.drill import drill_wording as words
from poolkeeper_lab.drill.drill_results import Drill, Series


def render(drill: Drill) -> str:
    """The whole report, ending in one newline."""
    blocks = [*_opening(drill), *_attention(drill), "## Figures"]
    blocks += [table(words.COLUMNS, [words.row(series) for series in drill.series]), words.METHOD]
    for series in drill.series:
        blocks += _series(series)
    return "\n\n".join(blocks) + "\n"


def _opening(drill: Drill) -> list[str]:
    facts = [
        f"Cluster: {escape(drill.cluster)}",
        f"Started: {escape(wording.moment(drill.started_at))}",
        f"Took: {wording.duration(drill.seconds)}",
        f"Rounds asked for: {drill.asked}, seed {drill.seed}",
    ]
    mark = "✔" if drill.is_sound else "✘"
    return [f"# {mark} {escape(words.headline(drill))}", "\n".join(f"- {fact}" for fact in facts)]


def _attention(drill: Drill) -> list[str]:
    lines = [f"- {escape(fault)}: {escape(words.goal(reached))}" for fault, reached in drill.missed]
    lines += [f"- {escape(words.name(r))}: {escape(r.problem)}" for r in drill.problems()]
    return ["## Needs attention", "\n".join(lines)] if lines else []


def _series(series: Series) -> list[str]:
    judged = ", ".join(
        f"{series.total(what):,} {what}" for what in ("acknowledged", "refused", "ambiguous", "phantoms", "stale")
    )
    facts = [f"Writes: {judged}", f"Errors seen: {escape(words.errors(series.errors()))}"]
    if series.of(False):
        facts.append(f"Without keeper: write gap {words.three(series.writes(False))}")
        facts.append(f"Errors seen without keeper: {escape(words.errors(series.errors(False)))}")
    return [f"## {escape(series.fault)}", escape(series.sentence), "\n".join(f"- {fact}" for fact in facts),
            _rounds(series)]  # fmt: skip


def _rounds(series: Series) -> str:
    header = ("Round", "Keeper", "Victim", "Write gap", "Read gap", *map(str.capitalize, words.SEGMENTS), "Back")
    rows = []
    for r in series.rounds:
        parts = [words.seconds(s) for _, s in r.split.parts] if r.split else [words.NONE] * len(words.SEGMENTS)
        gaps = [words.seconds(gap.seconds if gap else None) for gap in (r.write, r.read)]
        rows.append((str(r.number), "on" if r.keeper else "off", r.victim, *gaps, *parts, words.seconds(r.back)))
    return table(header, rows)
