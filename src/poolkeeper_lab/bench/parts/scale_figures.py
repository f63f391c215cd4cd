"""The figures of the scaling of reads: the ratio, and its limit. Pure.

There are two kinds of reads. A read of one row costs the path (HAProxy twice, Pgpool-II, the client) more processor
time than the standby. The path may therefore be the limit on few cores. A read of many rows costs the standby. Each
figure names its limit, so that a limit of the machine is not attributed to the standbys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from poolkeeper_lab.bench.measure import caps, estimate
from poolkeeper_lab.bench.measure.rounds import Measure, PlayedRound, Ratio, RoundsRecord
from poolkeeper_lab.bench.report.bench_model import BenchGoal
from poolkeeper_lab.bench.report.compare import RATIO

SPEED, WORK = "Throughput of reads", "Processors in use"
TPS = Measure("throughput", "tps", "more", SPEED)
P50 = Measure("p50", "ms", "less", SPEED)
CAP = Measure("least share of its cap that a standby used", "", "", WORK)
MACHINE = Measure("the machine in total", "", "", WORK)
LEAST = 2.7  # 3 standbys ÷ 1
MEANT = 3  # the number of standbys in the goal


def name(standbys: int) -> str:
    """Return a text such as "3 standbys"."""
    return f"{standbys} standby{'s' * (standbys != 1)}"


def values(tps: float, p50: float | None, load: caps.CapLoad) -> dict[Measure, float]:
    """Return the values of a measurement."""
    found = {TPS: tps, CAP: load.of_cap, MACHINE: load.machine}
    if p50 is not None:
        found[P50] = p50
    return found | {Measure(part, "", "", WORK): used for part, used in load.parts.items()}


def goal(
    record: RoundsRecord, title: str, seed: int, limits: Sequence[str], sizes: Sequence[int], void: str = ""
) -> BenchGoal:
    """Return the goal for the case with this title; `limits` names the limit of each measurement with 3 standbys."""
    sentence = f"{title}: read throughput with {MEANT} capped standbys ÷ 1"
    if MEANT not in sizes:
        return BenchGoal(sentence=sentence, limit=LEAST, unit=RATIO, reason=f"{MEANT} standbys were not measured")
    ratio = Ratio(name(MEANT), name(1), TPS)
    played = next((p for p in record.played if p.case.title == title), None)
    if played is None:
        return BenchGoal(sentence=sentence, limit=LEAST, unit=RATIO, reason=void or "it was not run")
    found = None if void else estimate.estimate(played.ratios(ratio), seed)
    reason = void or record.ratio(played, ratio).reason
    limit = f"what limited with {name(MEANT)}: {_most(limits)}" if limits else ""
    return BenchGoal(sentence=sentence, limit=LEAST, unit=RATIO, estimate=found, reason=limit if found else reason)


def _most(limits: Sequence[str]) -> str:
    """Return a text such as "the capped nodes (4 of 5 measurements)"."""
    limit, times = Counter(limits).most_common(1)[0]
    return limit if times == len(limits) else f"{limit} ({times} of {len(limits)} measurements)"


def lines(played: PlayedRound, limits: dict[int, list[str]]) -> Iterator[str]:
    """Yield the line that names the limit of each size of a case."""
    sizes = [f"{name(size)}: {_most(found)}" for size, found in sorted(limits.items()) if found]
    if sizes:
        yield f"{played.case.title}, what limited: {'; '.join(sizes)}"
