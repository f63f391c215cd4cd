"""A run of the bench as it might have gone: two endpoints, one of them not measured, goals of every kind."""

from __future__ import annotations

from poolkeeper_lab.bench.measure import estimate
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchMachine, BenchRun, BenchSection, Metric, RoundTally
from poolkeeper_lab.bench.report.compare import RATIO

ABOUT = {"workload": "read-only", "clients": "16"}
DIRECT = (10_000.0, 10_400.0, 9_800.0)
POOLED = (6_100.0, 6_300.0, 5_800.0)
MACHINE = BenchMachine(cpu="Some <CPU>", cores=2, memory_mb=8_000, kernel="6.1.0", foreign=0.02)


def throughput(endpoint: str, values: tuple[float, ...], reason: str = "") -> Metric:
    """Return a metric of an endpoint."""
    return estimate.metric(
        {**ABOUT, "endpoint": endpoint}, "throughput", values, 7, unit="tps", better="more", reason=reason
    )


def ratio(values: tuple[float, ...]) -> Metric:
    """Return the ratio of 5100 to the direct port."""
    about = {**ABOUT, "endpoint": "5100"}
    return estimate.metric(about, "throughput ÷ direct", values, 7, unit=RATIO, better="more")


GOALS = (
    BenchGoal(
        sentence="5100 ÷ direct, read-only", limit=0.6, unit=RATIO, estimate=estimate.estimate((0.61, 0.62, 0.605), 7)
    ),
    BenchGoal(
        sentence="5100 ÷ direct, TPC-B", limit=0.75, unit=RATIO, estimate=estimate.estimate((0.7, 0.76, 0.72), 7)
    ),
    BenchGoal(sentence="9999 ÷ PgBouncer", limit=1.1, unit=RATIO, reason="there is no PgBouncer in this run"),
    BenchGoal(sentence="refused", limit=0, is_least=False, estimate=estimate.estimate((0.0,), 7)),
)
SECTION = BenchSection(
    name="path",
    title="The path",
    method="pgbench in a container of the cluster's network.",
    seconds=61.5,
    tally=RoundTally(asked=6, kept=3, discarded=2, failed=1),
    metrics=(
        throughput("direct", DIRECT),
        throughput("5100", POOLED),
        ratio((0.61, 0.605, 0.59)),
        Metric(about={**ABOUT, "endpoint": "9999"}, name="not measured", reason="64 sessions | 30 allowed <b>"),
    ),
    goals=GOALS,
    notes=("9999 serves 30 sessions at once",),
    charts=("throughput", "throughput ÷ direct"),
)
SAMPLE = BenchRun(
    cluster="poolkeeper",
    command="poolkeeper bench path",
    started_at="2026-01-02T03:04:05+00:00",
    seconds=75.0,
    seed=7,
    machine=MACHINE,
    versions={"PostgreSQL": "17.6"},
    sections=(SECTION,),
)
