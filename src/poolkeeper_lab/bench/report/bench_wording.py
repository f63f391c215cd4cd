"""The words and figures that the reports of the bench share with the command line, so that they always agree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchRun, BenchSection, Estimate, Metric, RoundTally
from poolkeeper_lab.bench.report.compare import RATIO, Compared, Comparison, MetricChange

NONE = "–"
SHOWN = 20  # settings that changed, of many
GOALS = ("", "Goal", "Limit", "Measured", "Rounds", "Verdict")
COMPARED = ("Change", "Part", "Figure", "Before", "After", "Factor")
METHOD = (
    "A figure is the median of its rounds, in parentheses the 95 % bootstrap interval of that median. A ratio is of "
    "two measurements of one round. The contenders of a round are taken in turns, the next round in the reverse order; "
    "a round in which other processes than the cluster and the bench used more than a tenth of the machine is "
    "discarded completely and repeated."
)
PICTURE = "a dot is a round, the line the median, the bar its interval"
INTERRUPTED = "The run was interrupted: the report has what was measured until then."
CHANGES = {
    MetricChange.BETTER: "better",
    MetricChange.WORSE: "worse",
    MetricChange.NOISE: "within noise",
    MetricChange.UNKNOWN: "unknown",
}


def headline(run: BenchRun) -> str:
    """Return the verdict in one line: "3 of 5 goals met, 1 missed, 1 not measured"."""
    goals = run.goals
    if not goals:
        return f"{len(run.sections)} parts measured" if run.sections else "Nothing was measured"
    counts = {word: sum(goal.word == word for goal in goals) for word in ("met", "missed", "not measured")}
    rest = [f"{count} {word}" for word, count in counts.items() if count and word != "met"]
    return ", ".join([f"{counts['met']} of {len(goals)} goals met", *rest])


def outcome(run: BenchRun) -> Outcome:
    """Return the outcome of the run: a goal that was not measured is never a pass."""
    if run.missed:
        return Outcome.FAIL
    is_complete = bool(run.goals) and all(goal.is_met for goal in run.goals) and not run.is_interrupted
    return Outcome.PASS if is_complete else Outcome.UNKNOWN


def mark(goal: BenchGoal) -> str:
    """Return the symbol of a goal."""
    return {True: "✔", False: "✘", None: "?"}[goal.is_met]


def number(value: float) -> str:
    """Return a number with three significant digits at least, with commas: 12,345; 345; 34.5; 0.345."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}" if size else "0"


def amount(value: float, unit: str) -> str:
    """Return a figure with its unit: "12,345 tps", "0.61 ×"."""
    return f"{number(value)} {unit}".rstrip()


def estimate(found: Estimate | None, unit: str = "", reason: str = "") -> str:
    """Return an estimate as "12,345 tps (12,100 – 12,600)", or the reason why there is none."""
    if found is None:
        return reason or NONE
    interval = f" ({number(found.low)} – {number(found.high)})" if found.rounds > 1 else " (one round)"
    return amount(found.median, unit) + interval


def goal_row(goal: BenchGoal) -> tuple[str, ...]:
    """Return a goal's cells in the order of GOALS."""
    limit = f"{'≥' if goal.is_least else '≤'} {amount(goal.limit, goal.unit)}"
    rounds = str(goal.estimate.rounds) if goal.estimate else NONE
    return (mark(goal), goal.sentence, limit, estimate(goal.estimate, goal.unit), rounds, verdict(goal))


def verdict(goal: BenchGoal) -> str:
    """Return a verdict as "met", "missed, but within noise: …", "not measured: …"."""
    unclear = ", but the interval includes the limit" if goal.estimate and not goal.is_clear else ""
    return f"{goal.word}{unclear}" + (f": {goal.reason}" if goal.reason else "")


def tally(found: RoundTally) -> str:
    """Return how many rounds count."""
    parts = [f"{found.kept} of {found.asked} rounds kept"]
    parts += [f"{found.discarded} discarded under foreign load"] if found.discarded else []
    parts += [f"{found.failed} measurements failed"] if found.failed else []
    return ", ".join(parts)


@dataclass(frozen=True)
class MetricTable:
    """Metrics of one group with the same conditions: a row a subject, a column a figure."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables(section: BenchSection) -> Iterator[MetricTable]:
    """Yield a section's figures, with the conditions as the first columns; then its other tables."""
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
        yield MetricTable(title, header, tuple(rows))
    yield from (MetricTable(t.title, t.header, t.rows) for t in section.tables if t.rows)


def _heading(name: str, metrics: list[Metric]) -> str:
    unit = next((m.unit for m in metrics if m.name == name), "")
    return f"{name}, {unit}" if unit and unit != RATIO else name


def _cell(metric: Metric | None) -> str:
    return NONE if metric is None else estimate(metric.estimate, "", metric.reason)


def moved(comparison: Comparison) -> str:
    """Return how many figures changed, and in which direction."""
    counts = ", ".join(f"{len(comparison.of(change))} {word}" for change, word in CHANGES.items())
    other = (
        "" if comparison.is_same_machine else "; the earlier run was on another machine, so only ratios are compared"
    )
    return f"Against the run of {comparison.before.started_at[:19]}: {counts}{other}. {_reset(comparison)}"


def _reset(comparison: Comparison) -> str:
    """Return the settings that differ, the first of many."""
    found = comparison.settings
    if not found:
        return "The settings are the same"
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return f"Settings that differ: {'; '.join(found[:SHOWN])}{more}"


def compared_row(row: Compared) -> tuple[str, ...]:
    """Return the cells in the order of COMPARED."""
    unit = row.metric.unit
    word = CHANGES[row.change] + (f": {row.why}" if row.why else "")
    factor = NONE if row.factor is None else f"{row.factor:.2f} ×"
    name = f"{row.metric.subject}: {row.metric.name}"
    return (word, row.section, name, estimate(row.before, unit), estimate(row.after, unit), factor)


def compared_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Return what changed, the worse first, then what is unknown; figures within noise are only counted."""
    order = (MetricChange.WORSE, MetricChange.BETTER, MetricChange.UNKNOWN)
    return [compared_row(row) for change in order for row in comparison.of(change)]


def machine(run: BenchRun) -> dict[str, str]:
    """Return the machine and the versions."""
    m = run.machine
    foreign = (
        "unknown" if m.foreign is None else f"{m.foreign:.0%} of it used by other processes before the first round"
    )
    about = {"Processor": f"{m.cpu}, {m.cores} cores", "Memory": f"{m.memory_mb:,} MB", "Kernel": m.kernel}
    return {**about, "Foreign load": foreign, **run.versions}
