"""Where everything of a run's picture goes, in the units of the SVG; the template only writes it down. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.model.chaos_run import ChaosRun
from poolkeeper.report.drill_plot import Axis

CURVE_TOP, CURVE_FOOT = 20.0, 120.0
FOOT = 128.0  # of the bands


@dataclass(frozen=True)
class Band:
    """A fault (`kind` fault) or the recovery from it (`kind` recovery), from x over a width."""

    kind: str
    x: float
    width: float
    label: str
    words: str


@dataclass(frozen=True)
class Picture:
    """The throughput as a line over the bands of the faults."""

    axis: Axis
    bands: tuple[Band, ...]
    points: str
    peak: int


def picture(run: ChaosRun) -> Picture | None:
    """None where nothing was acknowledged."""
    if not run.rate:
        return None
    axis = Axis(0.0, run.rate[-1][0] + 1)
    peak = max(1, *(count for _, count in run.rate), 1)
    height = CURVE_FOOT - CURVE_TOP
    points = " ".join(f"{axis.x(at + 0.5)},{round(CURVE_FOOT - height * count / peak, 1)}" for at, count in run.rate)
    return Picture(axis, tuple(_bands(run, axis)), points, peak)


def _bands(run: ChaosRun, axis: Axis) -> list[Band]:
    bands = []
    for p in run.passages:
        marks = (("fault", p.began, p.healed), ("recovery", p.healed, p.whole))
        for kind, begin, end in marks:
            if begin is not None and end is not None and begin < axis.end:
                x, until = axis.x(begin), axis.x(min(end, axis.end))
                label = str(p.number) if kind == "fault" else ""
                words = f"{p.number}, {p.scenario}: {kind}, {end - begin:.1f} s"
                bands.append(Band(kind, x, round(max(1.0, until - x), 1), label, words))
    return bands
