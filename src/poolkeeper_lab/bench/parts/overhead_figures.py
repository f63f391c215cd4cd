"""The figures of the overhead: the measures, the cost of a kind of check, and keeper's goals. Pure."""

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
    """Return the name of the contender without this kind."""
    return f"without those of {kind}"


def parts(spec: ClusterSpec) -> dict[str, tuple[str, ...]]:
    """Return the services that work for a check: HAProxy asks, Pgpool-II or the nodes' Patroni answers."""
    return {
        "HAProxy": (spec.haproxy.service,),
        "Pgpool-II": (spec.endpoints.rw.service, spec.endpoints.ro.service),
        "PostgreSQL, Patroni": tuple(node.name for node in spec.nodes),
    }


def check_values(used: Mapping[str, float]) -> dict[Measure, float]:
    """Convert the processors in use by part to milliseconds a second, with the total of all parts."""
    each = {Measure(part, MILLISECONDS, "less", CHECKS): 1000 * share for part, share in used.items()}
    return {**each, Measure(TOTAL, MILLISECONDS, "less", CHECKS): sum(each.values())}


def costs(record: RoundsRecord, every: str, a_second: Mapping[str, float], seed: int) -> Iterator[Metric]:
    """Yield the cost of each kind of check and of one check: all checks minus those without the kind, in each round."""
    measures = [Measure(part, MILLISECONDS, "less", CHECKS) for part in ("HAProxy", "Pgpool-II", "PostgreSQL, Patroni")]
    measures.append(Measure(TOTAL, MILLISECONDS, "less", CHECKS))
    for kind in haproxy_checks.KINDS:
        about = {"kind": kind}
        for measure in measures:
            found = _differences(record, every, without(kind), measure)
            yield estimate.metric(about, measure.name, found, seed, unit=MILLISECONDS, better="less", group=COST)
        number = a_second.get(kind, 0.0)
        single = (
            [value / number for value in _differences(record, every, without(kind), measures[-1])] if number else []
        )
        yield estimate.metric(about, "one check", single, seed, unit="ms", better="less", group=COST)


def _differences(record: RoundsRecord, every: str, without_kind: str, measure: Measure) -> list[float]:
    """Return the differences of the kept rounds that have both. A negative one stays: it shows the noise."""
    return [
        r[every].values[measure] - r[without_kind].values[measure]
        for played in record.played
        for r in played.rounds
        if every in r and without_kind in r
        if measure in r[every].values and measure in r[without_kind].values
    ]


def goals(record: RoundsRecord, rest: str, seed: int, cpu: float, memory: float) -> tuple[BenchGoal, ...]:
    """Return the goals for the cost of the idle keeper."""
    played = record.played[0] if record.played else None
    made = []
    for measure, limit in ((CPU, cpu), (MEMORY, memory)):
        found = estimate.estimate(played.values(rest, measure), seed) if played else None
        reason = "" if found else played.reason(rest) if played else "it was not run"
        sentence = f"keeper's {measure.name} {rest}"
        unit = measure.unit
        made.append(BenchGoal(sentence=sentence, limit=limit, is_least=False, unit=unit, estimate=found, reason=reason))
    return tuple(made)
