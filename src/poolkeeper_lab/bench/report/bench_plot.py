"""Where everything of the bench's pictures goes, in the units of the SVG; the template only writes it down. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper_lab.bench.report.bench_model import Metric, Section
from poolkeeper_lab.bench.report.compare import RATIO

WIDTH, LEFT, RIGHT = 820.0, 350.0, 30.0
ROW = 22.0
TICKS = 7  # at most about so many


@dataclass(frozen=True)
class Row:
    """A dot a round, a bar for the interval, a line for the median."""

    label: str
    y: float
    dots: tuple[float, ...]
    low: float
    width: float
    median: float


@dataclass(frozen=True)
class Picture:
    """One figure for several subjects on one axis that begins at 0. The ticks are (x, label)."""

    title: str
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    height: float
    unity: float | None  # where a ratio is 1


def pictures(section: Section) -> Iterator[Picture]:
    """For each figure that is drawn: ratios in one picture, others in one for each case (all that differs last)."""
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


def picture(title: str, metrics: list[Metric], said: int = 0) -> Picture:
    """The metrics as rows; the first `said` conditions are in the title already. All of them have an estimate."""
    end = 1.05 * max(max((*m.rounds, m.estimate.high)) for m in metrics if m.estimate) or 1.0
    rows = []
    for i, m in enumerate(metrics):
        assert m.estimate is not None
        found = m.estimate
        low = _x(found.low, end)
        label = ", ".join(list(m.about.values())[said:])
        dots = tuple(_x(value, end) for value in m.rounds)
        rows.append(Row(label, 6 + ROW * i, dots, low, round(_x(found.high, end) - low, 1), _x(found.median, end)))
    unity = _x(1.0, end) if metrics[0].unit == RATIO and end >= 1 else None
    return Picture(title, tuple(rows), _ticks(end), ROW * len(rows) + 26, unity)


def _x(value: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * value / end, 1)


def _ticks(end: float) -> tuple[tuple[float, str], ...]:
    rough = end / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return tuple((_x(i * step, end), f"{i * step:,g}") for i in range(math.floor(end / step) + 1))
