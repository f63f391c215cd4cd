"""The figures of a drill, as drawings: the distribution of a fault's gaps, and a round over time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.report import svg
from poolkeeper.report.svg import Axis, Drawing, Shape
from poolkeeper_lab.drill import drill_wording
from poolkeeper_lab.drill.drill_results import DrillRound, Series

ROW = 34.0
CURVE = 60.0  # height of the curve of a timeline, whose foot is at the same y
SPLIT = 70.0  # y of the parts of the gap
FOOT = 92.0  # y of a timeline's axis


@dataclass(frozen=True)
class Strip:
    """A row of the distribution: a dot for each round, and the median."""

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
    """Return the rounds with the keeper, and those without it below; None if no round has a gap."""
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
class RoundPlot:
    """A round: the rate of acknowledged writes as a line, the split as segments, moments as marks."""

    axis: Axis
    segments: tuple[Segment, ...]
    points: str  # of the polyline
    peak: int  # writes in the busiest bucket
    marks: tuple[tuple[float, str], ...]


def timeline(r: DrillRound) -> RoundPlot | None:
    """Return a round over time; None if its writes were not recorded."""
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
    return RoundPlot(axis, tuple(segments), points, peak, marks)


def draw_strips(series: Series, strips: Strips) -> Drawing:
    """Return the distribution as a drawing."""
    shapes = list(strips.axis.shapes(strips.height - 20))
    for row in strips.rows:
        shapes.append(svg.text(0, row.y + 8, row.label))
        shapes += [svg.dot(f"dot {row.kind}", x, row.y + 4, 5) for x in row.dots]
        if row.median is not None:
            shapes.append(svg.line("median", (row.median, row.y - 8), (row.median, row.y + 16)))
    label = f"Write gaps of {series.fault}: {drill_wording.three(series.writes())}"
    return Drawing(label, svg.WIDTH, strips.height, tuple(shapes))


def draw_timeline(r: DrillRound, found: RoundPlot) -> Drawing:
    """Return a round over time as a drawing."""
    shapes = [*found.axis.shapes(FOOT), svg.text(0, 34, "writes"), svg.curve("curve", found.points)]
    if found.segments:
        shapes.append(svg.text(0, SPLIT + 12, "split"))
        shapes += [_segment(part) for part in found.segments]
    for x, word in found.marks:
        shapes += [svg.line("moment", (x, 0), (x, FOOT), word), _label(x, word)]
    return Drawing(f"Timeline of {drill_wording.name(r)}", svg.WIDTH, FOOT + 26, tuple(shapes))


def _label(x: float, word: str) -> Shape:
    """Return the word beside its mark, on the left of a mark near the edge."""
    return svg.text(x - 3, 10, word, "end") if x > svg.WIDTH - 3 * svg.RIGHT else svg.text(x + 3, 10, word)


def _segment(part: Segment) -> Shape:
    return svg.rectangle(part.name, part.x, SPLIT, part.width, 16, f"{part.name} {drill_wording.seconds(part.seconds)}")
