"""The words and figures that the reports of the bench share with the command line, so that no two of them disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchRun, Estimate, Metric, RoundTally, Section
from poolkeeper_lab.bench.report.compare import RATIO, Compared, Comparison, MetricChange

NONE = "–"
SHOWN = 20  # settings that changed, of many
GOALS = ("", "Goal", "Limit", "Measured", "Rounds", "Verdict")
COMPARED = ("Change", "Part", "Figure", "Before", "After", "Factor")
METHOD = (
    "A figure is the median of its rounds, in parentheses the 95 % bootstrap interval of that median. A ratio is of "
    "two measurements of one round. The contenders of a round are taken in turns, the next round in the reverse order; "
    "a round in which others than the cluster and the bench used more than a tenth of the machine is discarded as a "
    "whole and taken again."
)
CHANGES = {
    MetricChange.BETTER: "better",
    MetricChange.WORSE: "worse",
    MetricChange.NOISE: "within noise",
    MetricChange.UNKNOWN: "cannot tell",
}


def headline(run: BenchRun) -> str:
    """The verdict in one line: "3 of 5 goals met, 1 missed, 1 not measured"."""
    goals = run.goals
    if not goals:
        return f"{len(run.sections)} parts measured" if run.sections else "Nothing was measured"
    counts = {word: sum(goal.word == word for goal in goals) for word in ("met", "missed", "not measured")}
    rest = [f"{count} {word}" for word, count in counts.items() if count and word != "met"]
    return ", ".join([f"{counts['met']} of {len(goals)} goals met", *rest])


def tone(run: BenchRun) -> str:
    """pass | fail | unknown, for the colour: a goal that was not measured is never green."""
    if run.missed:
        return "fail"
    whole = bool(run.goals) and all(goal.is_met for goal in run.goals) and not run.is_interrupted
    return "pass" if whole else "unknown"


def mark(goal: BenchGoal) -> str:
    """The symbol of a goal."""
    return {True: "✔", False: "✘", None: "?"}[goal.is_met]


def number(value: float) -> str:
    """Three significant digits at least, with commas: 12,345; 345; 34.5; 0.345."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}" if size else "0"


def amount(value: float, unit: str) -> str:
    """A figure with its unit: "12,345 tps", "0.61 ×"."""
    return f"{number(value)} {unit}".rstrip()


def estimate(found: Estimate | None, unit: str = "", reason: str = "") -> str:
    """As "12,345 tps (12,100 – 12,600)"; where there is none, the reason."""
    if found is None:
        return reason or NONE
    interval = f" ({number(found.low)} – {number(found.high)})" if found.rounds > 1 else " (one round)"
    return amount(found.median, unit) + interval


def goal_row(goal: BenchGoal) -> tuple[str, ...]:
    """A goal's cells in the order of GOALS."""
    limit = f"{'≥' if goal.is_least else '≤'} {amount(goal.limit, goal.unit)}"
    rounds = str(goal.estimate.rounds) if goal.estimate else NONE
    return (mark(goal), goal.sentence, limit, estimate(goal.estimate, goal.unit), rounds, verdict(goal))


def verdict(goal: BenchGoal) -> str:
    """As "met", "missed, but within noise: …", "not measured: …"."""
    unclear = ", but the interval holds the limit" if goal.estimate and not goal.is_clear else ""
    return f"{goal.word}{unclear}" + (f": {goal.reason}" if goal.reason else "")


def tally(found: RoundTally) -> str:
    """How many rounds count."""
    parts = [f"{found.kept} of {found.asked} rounds kept"]
    parts += [f"{found.discarded} discarded under foreign load"] if found.discarded else []
    parts += [f"{found.failed} measurements failed"] if found.failed else []
    return ", ".join(parts)


@dataclass(frozen=True)
class Table:
    """Metrics of one group with the same conditions: a row a subject, a column a figure."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(section: Section) -> Iterator[Table]:
    """A section's figures, with the conditions as the first columns; then its other tables."""
    groups: dict[tuple[str, tuple[str, ...]], list[Metric]] = {}
    for metric in section.metrics:
        groups.setdefault((metric.group, tuple(metric.about)), []).append(metric)
    for (title, conditions), metrics in groups.items():
        names = list(dict.fromkeys(metric.name for metric in metrics))
        found: dict[tuple[str, ...], dict[str, Metric]] = {}
        for metric in metrics:
            found.setdefault(tuple(metric.about.values()), {})[metric.name] = metric
        rows = [(*subject, *(_cell(cells.get(name)) for name in names)) for subject, cells in found.items()]
        header = (*(c.capitalize() for c in conditions), *(_heading(name, metrics) for name in names))
        yield Table(title, header, tuple(rows))
    yield from (Table(t.title, t.header, t.rows) for t in section.tables if t.rows)


def _heading(name: str, metrics: list[Metric]) -> str:
    unit = next((m.unit for m in metrics if m.name == name), "")
    return f"{name}, {unit}" if unit and unit != RATIO else name


def _cell(metric: Metric | None) -> str:
    return NONE if metric is None else estimate(metric.estimate, "", metric.reason)


def moved(comparison: Comparison) -> str:
    """How many figures moved how."""
    counts = ", ".join(f"{len(comparison.of(change))} {word}" for change, word in CHANGES.items())
    other = (
        "" if comparison.is_same_machine else "; the earlier run was on another machine, so only ratios are compared"
    )
    return f"Against the run of {comparison.before.started_at[:19]}: {counts}{other}. {_reset(comparison)}"


def _reset(comparison: Comparison) -> str:
    """What was set otherwise, the first of many."""
    found = comparison.settings
    if not found:
        return "Nothing is set otherwise"
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"Set otherwise: {'; '.join(found[:SHOWN])}{more}"


def compared_row(row: Compared) -> tuple[str, ...]:
    """The cells in the order of COMPARED."""
    unit = row.metric.unit
    word = CHANGES[row.change] + (f": {row.why}" if row.why else "")
    factor = NONE if row.factor is None else f"{row.factor:.2f} ×"
    name = f"{row.metric.subject}: {row.metric.name}"
    return (word, row.section, name, estimate(row.before, unit), estimate(row.after, unit), factor)


def compared_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """What moved, the worse first, then what cannot be told; what is within noise is only counted."""
    order = (MetricChange.WORSE, MetricChange.BETTER, MetricChange.UNKNOWN)
    return [compared_row(row) for change in order for row in comparison.of(change)]


def machine(run: BenchRun) -> dict[str, str]:
    """The machine and the versions, for a list."""
    m = run.machine
    foreign = "unknown" if m.foreign is None else f"{m.foreign:.0%} of it used by others before the first round"
    about = {"Processor": f"{m.cpu}, {m.cores} cores", "Memory": f"{m.memory_mb:,} MB", "Kernel": m.kernel}
    return {**about, "Foreign load": foreign, **run.versions}
