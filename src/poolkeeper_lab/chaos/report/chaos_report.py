"""A run of chaos as Markdown (CommonMark with tables), to be read raw as well. Foreign text never is markup."""

from __future__ import annotations

from poolkeeper.report import wording
from poolkeeper.suite.suite_report import escape, fence, table
from poolkeeper_lab.chaos.report import chaos_wording as words
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun, RunVerdict


def render(run: ChaosRun) -> str:
    """The whole report, ending in one newline."""
    blocks = [*_opening(run), *_attention(run), "## Scenarios", _passages(run), words.METHOD]
    if run.left_out:
        blocks.append(f"There was no time for: {escape(', '.join(run.left_out))}.")
    blocks += ["## Findings"]
    for judgement in run.judgements:
        blocks += _judgement(judgement)
    blocks += ["## Operations", table(words.SHARES, [words.share(s) for s in run.shares])]
    pauses = {pause.endpoint: pause.seconds for pause in run.pauses}
    blocks.append(f"Longest pauses of the whole run: {escape(words.pauses(pauses))}.")
    return "\n\n".join(blocks) + "\n"


def _opening(run: ChaosRun) -> list[str]:
    facts = [
        f"Cluster: {escape(run.cluster)}",
        f"Started: {escape(wording.moment(run.started_at))}",
        f"Took: {wording.duration(run.seconds)}",
        f"Seed: {run.seed}",
        f"History: {escape(run.history)}",
    ]
    again = f"poolkeeper chaos check {run.history}   # judge it again\n{run.replay}   # plan the same again"
    mark = wording.SYMBOLS[run.outcome]
    return [f"# {mark} {escape(words.headline(run))}", "\n".join(f"- {fact}" for fact in facts), fence(again)]


def _attention(run: ChaosRun) -> list[str]:
    lines = [f"- {escape(line)}" for line in words.attention(run)]
    return ["## Needs attention", "\n".join(lines)] if lines else []


def _passages(run: ChaosRun) -> str:
    rows = [(f"{wording.SYMBOLS[p.outcome]} {p.number}", *words.passage(p)) for p in run.passages]
    return table(words.PASSAGES, rows)


def _judgement(judgement: RunVerdict) -> list[str]:
    mark = wording.SYMBOLS[judgement.outcome]
    blocks = [f"### {mark} {escape(words.name(judgement))}", escape(judgement.summary)]
    for shown in judgement.anomalies:
        blocks.append(f"**{escape(shown.name)}**: {escape(shown.text)}")
        if shown.operations:
            blocks.append(fence("\n".join(shown.operations)))
    if judgement.count > len(judgement.anomalies):
        blocks.append(f"{judgement.count} in all; the JSON report and `chaos check --json` have more.")
    lines = [f"- unknown: {escape(text)}" for text in judgement.unknowns]
    lines += [f"- permitted: {escape(judgement.permitted)}"] if judgement.permitted else []
    return [*blocks, "\n".join(lines)] if lines else blocks
