"""The figure of a run: throughput and latency over time, above the bands of its faults. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from poolkeeper.report import svg
from poolkeeper.report.svg import Axis, Drawing
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun

CURVE_TOP, CURVE_FOOT = 20.0, 110.0
SLOW_TOP, SLOW_FOOT = 130.0, 210.0  # of the latency
FOOT = 218.0  # of the bands
DECADES = (1.0, 100_000.0)  # milliseconds; a shorter or longer time is drawn at the edge


@dataclass(frozen=True)
class Band:
    """A fault (`kind` fault) or the recovery from it (`kind` recovery), from x over a width."""

    kind: str
    x: float
    width: float
    label: str
    words: str


@dataclass(frozen=True)
class ChaosPlot:
    """The throughput and the latency as lines over the bands of the faults; `scale`: y and words of its decades."""

    axis: Axis
    bands: tuple[Band, ...]
    points: str
    peak: int
    median: str = ""
    longest: str = ""
    scale: tuple[tuple[float, str], ...] = ()


def picture(run: ChaosRun) -> ChaosPlot | None:
    """Return the figure; None if no operation was acknowledged."""
    if not run.rate:
        return None
    axis = Axis(0.0, run.rate[-1][0] + 1)
    peak = max(1, *(count for _, count in run.rate), 1)
    height = CURVE_FOOT - CURVE_TOP
    points = " ".join(f"{axis.x(at + 0.5)},{round(CURVE_FOOT - height * count / peak, 1)}" for at, count in run.rate)
    median = _slowness(axis, ((at, middle) for at, middle, _ in run.latency))
    longest = _slowness(axis, ((at, most) for at, _, most in run.latency))
    scale = tuple((_y(value), words) for value, words in ((1.0, "1 ms"), (100.0, "100 ms"), (10_000.0, "10 s")))
    return ChaosPlot(axis, tuple(_bands(run, axis)), points, peak, median, longest, scale)


def _slowness(axis: Axis, of: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{axis.x(at + 0.5)},{_y(value)}" for at, value in of)


def _y(milliseconds: float) -> float:
    """Return the place of a latency on a scale of decades."""
    low, high = (math.log10(value) for value in DECADES)
    share = (math.log10(min(max(milliseconds, DECADES[0]), DECADES[1])) - low) / (high - low)
    return round(SLOW_FOOT - (SLOW_FOOT - SLOW_TOP) * share, 1)


def _bands(run: ChaosRun, axis: Axis) -> list[Band]:
    bands = []
    for p in run.passages:
        marks = (("fault", p.began, p.healed), ("recovery", p.healed, p.recovered))
        for kind, begin, end in marks:
            if begin is not None and end is not None and begin < axis.end:
                x, until = axis.x(begin), axis.x(min(end, axis.end))
                label = str(p.number) if kind == "fault" else ""
                words = f"{p.number}, {p.scenario}: {kind}, {end - begin:.1f} s"
                bands.append(Band(kind, x, round(max(1.0, until - x), 1), label, words))
    return bands


def draw(found: ChaosPlot) -> Drawing:
    """Return the figure as a drawing."""
    shapes = []
    for band in found.bands:
        shapes.append(svg.rectangle(f"{band.kind}-band", band.x, 0, band.width, FOOT, band.words))
        if band.label:
            shapes.append(svg.text(band.x + 1, 11, band.label))
    shapes += [*found.axis.shapes(FOOT), svg.text(0, 70, "operations"), svg.curve("curve", found.points)]
    shapes.append(svg.text(0, 174, "latency"))
    shapes += [svg.text(98, y + 4, label, "end") for y, label in found.scale]
    shapes += [svg.curve("curve", found.median), svg.curve("curve thin", found.longest)]
    return Drawing("Throughput, latency and faults over time", svg.WIDTH, FOOT + 22, tuple(shapes))
