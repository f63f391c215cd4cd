"""The figures of the bench: a row for each subject, on an axis that begins at 0. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper.report import svg
from poolkeeper.report.svg import Drawing, Shape
from poolkeeper_lab.bench.report.bench_model import BenchSection, Metric
from poolkeeper_lab.bench.report.compare import RATIO

WIDTH, LEFT, RIGHT = 820.0, 350.0, 30.0
ROW = 22.0
TICKS = 7  # about the largest number of ticks of an axis


@dataclass(frozen=True)
class PlotRow:
    """A dot for each round, a bar for the interval, a line for the median."""

    label: str
    y: float
    dots: tuple[float, ...]
    low: float
    width: float
    median: float


@dataclass(frozen=True)
class BenchPlot:
    """One figure for several subjects on one axis that begins at 0. The ticks are (x, label)."""

    title: str
    rows: tuple[PlotRow, ...]
    ticks: tuple[tuple[float, str], ...]
    height: float
    unity: float | None  # x of the ratio 1


def pictures(section: BenchSection) -> Iterator[BenchPlot]:
    """Yield the pictures of each drawn figure: one for all ratios, or one for each case."""
    for name in section.charts:
        groups: dict[tuple[str, ...], list[Metric]] = {}
        for metric in section.metrics:
            if metric.name == name and metric.estimate:
                case = () if metric.unit == RATIO else tuple(metric.about.values())[:-1]
                groups.setdefault(case, []).append(metric)
        for case, metrics in groups.items():
            yield picture(": ".join(filter(None, [", ".join(case), _named(metrics[0])])), metrics, len(case))


def _named(metric: Metric) -> str:
    return f"{metric.name}, {metric.unit}" if metric.unit and metric.unit != RATIO else metric.name


def picture(title: str, metrics: list[Metric], said: int = 0) -> BenchPlot:
    """Return the metrics as rows; the title has the first `said` conditions. All of them have an estimate."""
    end = 1.05 * max(max((*m.rounds, m.estimate.high)) for m in metrics if m.estimate) or 1.0
    rows = []
    for i, m in enumerate(metrics):
        assert m.estimate is not None
        found = m.estimate
        low = _x(found.low, end)
        label = ", ".join(list(m.about.values())[said:])
        dots = tuple(_x(value, end) for value in m.rounds)
        rows.append(PlotRow(label, 6 + ROW * i, dots, low, round(_x(found.high, end) - low, 1), _x(found.median, end)))
    unity = _x(1.0, end) if metrics[0].unit == RATIO and end >= 1 else None
    return BenchPlot(title, tuple(rows), _ticks(end), ROW * len(rows) + 26, unity)


def draw(found: BenchPlot) -> Drawing:
    """Return a picture as a drawing."""
    foot = found.height - 20
    shapes = [svg.line("tick", (x, 0), (x, foot)) for x, _ in found.ticks]
    shapes += [svg.text(x, found.height - 6, label, "middle") for x, label in found.ticks]
    if found.unity is not None:
        shapes.append(svg.line("unity", (found.unity, 0), (found.unity, foot)))
    for row in found.rows:
        shapes += _row(row)
    return Drawing(found.title, WIDTH, found.height, tuple(shapes))


def _row(row: PlotRow) -> list[Shape]:
    label, interval = svg.text(0, row.y + 10, row.label), svg.rectangle("interval", row.low, row.y, row.width, 12)
    dots = [svg.dot("dot", x, row.y + 6, 3) for x in row.dots]
    return [label, interval, *dots, svg.line("median", (row.median, row.y - 1), (row.median, row.y + 13))]


def _x(value: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * value / end, 1)


def _ticks(end: float) -> tuple[tuple[float, str], ...]:
    rough = end / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return tuple((_x(i * step, end), f"{i * step:,g}") for i in range(math.floor(end / step) + 1))
