"""Where everything of a drill's pictures goes, in the units of the SVG; the template only writes it down. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from poolkeeper_lab.drill.drill_results import DrillRound, Series

WIDTH, LEFT, RIGHT = 720.0, 130.0, 20.0
ROW = 34.0
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


@dataclass(frozen=True)
class Axis:
    """Seconds → x. The ticks are (x, label)."""

    begin: float
    end: float

    def x(self, seconds: float) -> float:
        """Where that moment is."""
        inner = WIDTH - LEFT - RIGHT
        return round(LEFT + inner * (seconds - self.begin) / (self.end - self.begin), 1)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """At most about eight round figures."""
        span = self.end - self.begin
        step = next((s for s in _STEPS if span / s <= 8), 200)
        first = math.ceil(self.begin / step)
        return tuple((self.x(i * step), f"{i * step:g}") for i in range(first, math.floor(self.end / step) + 1))


@dataclass(frozen=True)
class Strip:
    """A row of the distribution: a dot a round, and the median."""

    label: str
    kind: str  # keeper | baseline
    y: float
    dots: tuple[float, ...]
    median: float | None


@dataclass(frozen=True)
class Strips:
    """The distribution of a fault's write gaps."""

    axis: Axis
    rows: tuple[Strip, ...]
    height: float


def strips(series: Series) -> Strips | None:
    """With the keeper, and below it without; None where no round has a gap."""
    by_kind = {True: series.of(True), False: series.of(False)}
    values = {kind: sorted(r.write.seconds for r in rounds if r.write) for kind, rounds in by_kind.items()}
    if not any(values.values()):
        return None
    axis = Axis(0.0, max(max(v) for v in values.values() if v) * 1.05 + 0.05)
    rows: list[Strip] = []
    for kind, found in values.items():
        if found:
            middle = series.writes(kind).p50
            median = None if middle is None else axis.x(middle)
            name = "keeper" if kind else "baseline"
            y = 12 + ROW * len(rows)
            rows.append(Strip(f"{name}, N = {len(found)}", name, y, tuple(axis.x(v) for v in found), median))
    return Strips(axis, tuple(rows), ROW * len(rows) + 26)


@dataclass(frozen=True)
class Segment:
    """A coloured part of the timeline, from x over a width."""

    name: str
    x: float
    width: float
    seconds: float


@dataclass(frozen=True)
class Timeline:
    """A round: the rate of acknowledged writes as a line, the split as segments, moments as marks."""

    axis: Axis
    segments: tuple[Segment, ...]
    points: str  # of the polyline
    peak: int  # writes in the busiest bucket
    marks: tuple[tuple[float, str], ...]


CURVE = 60.0  # height of the curve, whose foot is at the same y


def timeline(r: DrillRound) -> Timeline | None:
    """None where the round has no account."""
    if not r.rate:
        return None
    axis = Axis(r.rate[0][0], r.rate[-1][0] + 0.1)
    peak = max(1, *(count for _, count in r.rate))
    points = " ".join(f"{axis.x(at)},{round(CURVE * (1 - count / peak), 1)}" for at, count in r.rate)
    segments, at = [], 0.0
    for name, seconds in r.split.parts if r.split else ():
        if at < axis.end:
            end = min(at + seconds, axis.end)
            segments.append(Segment(name, axis.x(at), round(axis.x(end) - axis.x(at), 1), seconds))
        at += seconds
    moments = [(0.0, "fault"), (r.healed, "healed")]
    marks = tuple((axis.x(moment), word) for moment, word in moments if moment is not None and moment <= axis.end)
    return Timeline(axis, tuple(segments), points, peak, marks)
