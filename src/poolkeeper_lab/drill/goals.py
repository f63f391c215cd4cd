"""Figures over several rounds, and their limits. Pure.

Invariant: a goal without a figure is neither met nor missed. Percentiles are by nearest rank, so each is a real round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

RATIO = "× baseline"
BEYOND = "errors beyond a reconnect"


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the smallest value that at least `percent` per cent of the values do not exceed (nearest rank).

    None without any value.
    """
    ordered = sorted(values)
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1] if ordered else None


@dataclass(frozen=True)
class Spread:
    """The figures of one quantity over `count` rounds, in seconds."""

    count: int
    p50: float | None
    p95: float | None
    max: float | None


def spread(values: Iterable[float | None]) -> Spread:
    """Return the figures of the known values."""
    known = [value for value in values if value is not None]
    return Spread(len(known), percentile(known, 50), percentile(known, 95), max(known, default=None))


@dataclass(frozen=True)
class DrillGoal:
    """A limit from the goals of the drill. `figure` names what is limited (see `Series.figure`)."""

    figure: str  # as "write p50"; "× baseline" has a minimum, all others have a maximum
    limit: float

    @property
    def is_least(self) -> bool:
        """Whether the figure must reach the limit, rather than stay within it."""
        return self.figure == RATIO

    def __str__(self) -> str:
        unit = "" if self.figure in (RATIO, BEYOND) else " s"
        return f"{self.figure} {'≥' if self.is_least else '≤'} {self.limit:g}{unit}"


@dataclass(frozen=True)
class GoalResult:
    """A goal and the measured figure: `is_met` is None without a figure."""

    goal: DrillGoal
    measured: float | None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal is reached; None without a figure."""
        if self.measured is None:
            return None
        return self.measured >= self.goal.limit if self.goal.is_least else self.measured <= self.goal.limit

    @property
    def word(self) -> str:
        """The result in words."""
        return {True: "met", False: "missed", None: "not measured"}[self.is_met]
