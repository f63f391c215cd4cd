"""What the scaling of reads shows: the ratio, and what held it back. Pure.

Two kinds of reads are measured. A read of one row costs the path (HAProxy twice, Pgpool-II, the client) more processor
time than a standby, so on few cores the path may be what limits; a read of many rows costs the standby. Each figure
says what limited it, so that a ratio is not taken for the standbys' when it is the machine's.
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
MACHINE = Measure("the whole machine", "", "", WORK)
LEAST = 2.7  # 3 standbys ÷ 1
MEANT = 3  # standbys of the goal


def name(standbys: int) -> str:
    """As "3 standbys"."""
    return f"{standbys} standby{'s' * (standbys != 1)}"


def values(tps: float, p50: float | None, load: caps.CapLoad) -> dict[Measure, float]:
    """A measurement as the frame keeps it."""
    found = {TPS: tps, CAP: load.of_cap, MACHINE: load.machine}
    if p50 is not None:
        found[P50] = p50
    return found | {Measure(part, "", "", WORK): used for part, used in load.parts.items()}


def goal(
    book: RoundsRecord, title: str, seed: int, limits: Sequence[str], sizes: Sequence[int], void: str = ""
) -> BenchGoal:
    """The goal of this part, of the case of that title; `limits` is what held back the measurements with 3 standbys."""
    sentence = f"{title}: read throughput with {MEANT} capped standbys ÷ 1"
    if MEANT not in sizes:
        return BenchGoal(sentence=sentence, limit=LEAST, unit=RATIO, reason=f"{MEANT} standbys were not measured")
    ratio = Ratio(name(MEANT), name(1), TPS)
    played = next((p for p in book.played if p.case.title == title), None)
    if played is None:
        return BenchGoal(sentence=sentence, limit=LEAST, unit=RATIO, reason=void or "it was not run")
    found = None if void else estimate.estimate(played.ratios(ratio), seed)
    reason = void or book.ratio(played, ratio).reason
    told = f"what limited with {name(MEANT)}: {_most(limits)}" if limits else ""
    return BenchGoal(sentence=sentence, limit=LEAST, unit=RATIO, estimate=found, reason=told if found else reason)


def _most(limits: Sequence[str]) -> str:
    """As "the capped nodes (4 of 5 measurements)"."""
    said, times = Counter(limits).most_common(1)[0]
    return said if times == len(limits) else f"{said} ({times} of {len(limits)} measurements)"


def lines(played: PlayedRound, limits: dict[int, list[str]]) -> Iterator[str]:
    """What limited each size of a case."""
    told = [f"{name(size)}: {_most(said)}" for size, said in sorted(limits.items()) if said]
    if told:
        yield f"{played.case.title}, what limited: {'; '.join(told)}"
