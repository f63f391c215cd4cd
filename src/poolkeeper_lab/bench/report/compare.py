"""Two runs of the bench side by side: better, worse, or within noise. Pure.

Invariant: a change is reported only if the two intervals do not overlap, and only with at least LEAST_ROUNDS rounds on
both sides; everything else is within noise or unknown. Absolute figures of different machines are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from poolkeeper_lab.bench.report.bench_model import BenchRun, Estimate, Metric

LEAST_ROUNDS = 3  # the interval of fewer is meaningless
RATIO = "×"  # the unit of a figure that is a ratio within its own run


class MetricChange(StrEnum):
    """The change of a figure against its baseline."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "within noise"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Compared:
    """A figure of both runs; `why` is the reason why its change is unknown."""

    section: str
    metric: Metric
    before: Estimate | None
    after: Estimate | None
    change: MetricChange
    why: str = ""

    @property
    def factor(self) -> float | None:
        """After ÷ before, by the medians."""
        return self.after.median / self.before.median if self.before and self.after and self.before.median else None


@dataclass(frozen=True)
class Comparison:
    """All figures of the later run that have a better direction."""

    before: BenchRun
    after: BenchRun
    rows: tuple[Compared, ...]
    is_same_machine: bool

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that differ: "endpoints.rw.max_pool: 4 → 1"."""
        old, new = self.before.settings, self.after.settings
        keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
        return tuple(f"{key}: {old.get(key, 'unset')} → {new.get(key, 'unset')}" for key in keys)

    def of(self, change: MetricChange) -> tuple[Compared, ...]:
        """Return the figures with that change."""
        return tuple(row for row in self.rows if row.change is change)


def compare(before: BenchRun, after: BenchRun) -> Comparison:
    """Return the later run beside the earlier one, in the order of the later."""
    same = before.machine.is_like(after.machine)
    old = {(section.name, m.key): m for section in before.sections for m in section.metrics}
    rows = [
        _compared(section.name, old.get((section.name, metric.key)), metric, same)
        for section in after.sections
        for metric in section.metrics
        if metric.better
    ]
    return Comparison(before, after, tuple(rows), same)


def _compared(section: str, old: Metric | None, new: Metric, same: bool) -> Compared:
    earlier = old.estimate if old else None
    change, why = _change(old, new, same)
    return Compared(section, new, earlier, new.estimate, change, why)


def _change(old: Metric | None, new: Metric, same: bool) -> tuple[MetricChange, str]:
    if old is None:
        return MetricChange.UNKNOWN, "the earlier run does not have it"
    if old.estimate is None or new.estimate is None:
        return MetricChange.UNKNOWN, new.reason or old.reason or "not measured"
    if not same and new.unit != RATIO:
        return MetricChange.UNKNOWN, "another machine"
    if min(old.estimate.rounds, new.estimate.rounds) < LEAST_ROUNDS:
        return MetricChange.UNKNOWN, f"fewer than {LEAST_ROUNDS} rounds"
    if new.estimate.low <= old.estimate.high and old.estimate.low <= new.estimate.high:
        return MetricChange.NOISE, ""
    is_more = new.estimate.median > old.estimate.median
    return (MetricChange.BETTER if is_more == (new.better == "more") else MetricChange.WORSE), ""
