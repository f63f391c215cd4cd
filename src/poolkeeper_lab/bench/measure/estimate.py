"""The median of the rounds and its confidence interval. Pure: equal values and seeds give the same interval."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

from poolkeeper_lab.bench.report.bench_model import Better, Estimate, Metric

RESAMPLES = 2000
_TAIL = 0.025  # on each side of a 95 % interval


def estimate(values: Sequence[float], seed: int) -> Estimate | None:
    """Return the median with its percentile bootstrap interval; None without values."""
    if not values:
        return None
    middle = statistics.median(values)
    if len(values) == 1:
        return Estimate(median=middle, low=middle, high=middle, rounds=1)
    chance = random.Random(seed)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    low, high = medians[int(_TAIL * RESAMPLES)], medians[int((1 - _TAIL) * RESAMPLES) - 1]
    return Estimate(median=middle, low=low, high=high, rounds=len(values))


def metric(
    about: dict[str, str],
    name: str,
    values: Sequence[float],
    seed: int,
    *,
    unit: str = "",
    better: Better = "",
    group: str = "",
    reason: str = "",
) -> Metric:
    """Return the metric of these rounds; `reason` explains their absence."""
    found = estimate(values, seed)
    why = "" if found else reason or "no round was kept"
    return Metric(
        about=about, name=name, unit=unit, better=better, group=group, rounds=tuple(values), estimate=found, reason=why
    )
