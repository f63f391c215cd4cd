"""Figures over several rounds, and the limits that they are held against. Pure.

Invariant: a goal without a figure is neither met nor missed. Percentiles are by nearest rank, so each is a real round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

RATIO = "× baseline"
BEYOND = "errors beyond a reconnect"


def percentile(values: Iterable[float], percent: float) -> float | None:
    """By nearest rank: the smallest value that at least `percent` per cent of them do not exceed. None of nothing."""
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
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return Spread(len(known), percentile(known, 50), percentile(known, 95), max(known, default=None))


@dataclass(frozen=True)
class DrillGoal:
    """A limit from the goals of the drill. `figure` names what is limited (see `Series.figure`)."""

    figure: str  # as "write p50"; "× baseline" is a least, all others are a most
    limit: float

    @property
    def is_least(self) -> bool:
        """Must the figure reach the limit, rather than stay within it?"""
        return self.figure == RATIO

    def __str__(self) -> str:
        unit = "" if self.figure in (RATIO, BEYOND) else " s"
        return f"{self.figure} {'≥' if self.is_least else '≤'} {self.limit:g}{unit}"


@dataclass(frozen=True)
class GoalResult:
    """A goal and what was measured: `is_met` is None where nothing was."""

    goal: DrillGoal
    measured: float | None

    @property
    def is_met(self) -> bool | None:
        """Is it reached?"""
        if self.measured is None:
            return None
        return self.measured >= self.goal.limit if self.goal.is_least else self.measured <= self.goal.limit

    @property
    def word(self) -> str:
        """For people."""
        return {True: "met", False: "missed", None: "not measured"}[self.is_met]
