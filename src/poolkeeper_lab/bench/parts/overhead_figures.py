"""The figures of the overhead: what is measured, what a kind of check costs, and keeper's goals. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.bench.measure import estimate
from poolkeeper_lab.bench.measure.rounds import Measure, RoundsRecord
from poolkeeper_lab.bench.parts import haproxy_checks
from poolkeeper_lab.bench.report.bench_model import BenchGoal, Metric

KEEPER, COMMITS, CHECKS = "Keeper", "What a commit waits for", "HAProxy's checks: CPU time a second"
COST = "Cost of a kind of check"
CPU = Measure("CPU", "% of a core", "less", KEEPER)
MEMORY = Measure("memory", "MB", "less", KEEPER)
EVENTS = Measure("its events", "", "", KEEPER)
TPS = Measure("throughput", "tps", "more", COMMITS)
LATENCY = Measure("p50", "ms", "less", COMMITS)
TOTAL = "all parts"
NONE = "no check"
MILLISECONDS = "ms a second"


def without(kind: str) -> str:
    """The contender that leaves a kind out."""
    return f"without those of {kind}"


def parts(spec: ClusterSpec) -> dict[str, tuple[str, ...]]:
    """Who works for a check: HAProxy asks, the endpoints' Pgpool-II or the nodes' Patroni answer."""
    return {
        "HAProxy": (spec.haproxy.service,),
        "Pgpool-II": (spec.endpoints.rw.service, spec.endpoints.ro.service),
        "PostgreSQL, Patroni": tuple(node.name for node in spec.nodes),
    }


def check_values(used: Mapping[str, float]) -> dict[Measure, float]:
    """Processors in use by part → milliseconds a second, and of all parts together."""
    each = {Measure(part, MILLISECONDS, "less", CHECKS): 1000 * share for part, share in used.items()}
    return {**each, Measure(TOTAL, MILLISECONDS, "less", CHECKS): sum(each.values())}


def costs(book: RoundsRecord, every: str, a_second: Mapping[str, float], seed: int) -> Iterator[Metric]:
    """What the checks of a kind cost: with all of them less without these, round by round; and what one check costs."""
    measures = [Measure(part, MILLISECONDS, "less", CHECKS) for part in ("HAProxy", "Pgpool-II", "PostgreSQL, Patroni")]
    measures.append(Measure(TOTAL, MILLISECONDS, "less", CHECKS))
    for kind in haproxy_checks.KINDS:
        about = {"kind": kind}
        for measure in measures:
            found = _differences(book, every, without(kind), measure)
            yield estimate.metric(about, measure.name, found, seed, unit=MILLISECONDS, better="less", group=COST)
        number = a_second.get(kind, 0.0)
        single = [value / number for value in _differences(book, every, without(kind), measures[-1])] if number else []
        yield estimate.metric(about, "one check", single, seed, unit="ms", better="less", group=COST)


def _differences(book: RoundsRecord, whole: str, part: str, measure: Measure) -> list[float]:
    """Of the kept rounds that have both. One below zero stays: it shows how much is noise."""
    return [
        r[whole].values[measure] - r[part].values[measure]
        for played in book.played
        for r in played.rounds
        if whole in r and part in r and measure in r[whole].values and measure in r[part].values
    ]


def goals(book: RoundsRecord, rest: str, seed: int, cpu: float, memory: float) -> tuple[BenchGoal, ...]:
    """What keeper may cost while nothing happens."""
    played = book.played[0] if book.played else None
    made = []
    for measure, limit in ((CPU, cpu), (MEMORY, memory)):
        found = estimate.estimate(played.values(rest, measure), seed) if played else None
        reason = "" if found else played.reason(rest) if played else "it was not run"
        made.append(BenchGoal(sentence=f"keeper's {measure.name} {rest}", limit=limit, is_least=False, unit=measure.unit,
                         estimate=found, reason=reason))  # fmt: skip
    return tuple(made)
