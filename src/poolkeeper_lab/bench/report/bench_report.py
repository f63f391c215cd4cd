"""A run of the bench as Markdown (CommonMark with tables). Foreign text never is markup."""

from __future__ import annotations

from poolkeeper.report import wording
from poolkeeper.suite.suite_report import escape, table
from poolkeeper_lab.bench.report import bench_wording as words
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchRun, Section
from poolkeeper_lab.bench.report.compare import Comparison

_MARKS = {"pass": "✔", "fail": "✘", "unknown": "?"}


def render(run: BenchRun, comparison: Comparison | None = None) -> str:
    """The whole report, ending in one newline."""
    blocks = [
        *_opening(run),
        *(["## Goals"] if run.goals else []),
        *goals(run.goals),
        words.METHOD,
        *_comparison(comparison),
    ]
    for section in run.sections:
        blocks += [f"## {escape(section.title)}", *body(section)]
    return "\n\n".join(blocks) + "\n"


def _opening(run: BenchRun) -> list[str]:
    facts = [
        f"Cluster: {escape(run.cluster)}",
        f"Command: {escape(run.command)}",
        f"Started: {escape(wording.moment(run.started_at))}",
        f"Took: {wording.duration(run.seconds)}",
        f"Seed: {run.seed}",
        *(f"{escape(name)}: {escape(value)}" for name, value in words.machine(run).items()),
    ]
    facts += ["It was interrupted: what was measured until then is told"] if run.is_interrupted else []
    return [f"# {_MARKS[words.tone(run)]} {escape(words.headline(run))}", "\n".join(f"- {fact}" for fact in facts)]


def goals(found: tuple[BenchGoal, ...]) -> list[str]:
    """A table of goals; nothing where there are none."""
    return [table(words.GOALS, [words.goal_row(goal) for goal in found])] if found else []


def _comparison(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return []
    rows = words.compared_rows(comparison)
    told = [table(words.COMPARED, rows)] if rows else []
    return ["## Compared", escape(words.moved(comparison)) + ".", *told]


def body(section: Section) -> list[str]:
    """A section without its heading and goals."""
    blocks = [escape(section.method), f"Took {wording.duration(section.seconds)}; {words.tally(section.tally)}."]
    for shown in words.tables(section):
        blocks += [f"### {escape(shown.title)}"] if shown.title else []
        blocks.append(table(shown.header, shown.rows))
    if section.notes:
        blocks.append("\n".join(f"- {escape(note)}" for note in section.notes))
    return blocks
