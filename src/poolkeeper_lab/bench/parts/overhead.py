"""`bench overhead`: the cost of keeper, quorum commit and HAProxy's checks, on a cluster of the bench's own.

One cluster serves all three. Keeper is measured at rest, beside clients that write, and through the death of a primary.
`bench keeper` and `bench load` measure the user's running cluster and change nothing in it. The checks come last,
because keeper is stopped for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts, wait
from poolkeeper.core.progress import Progress
from poolkeeper.render import client_files
from poolkeeper.system import keeper_client
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_machine, load_runner, pgbench
from poolkeeper_lab.bench.measure import disk_space, figure, meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.parts import haproxy_checks, keeper_part, overhead_figures
from poolkeeper_lab.bench.parts.overhead_figures import CPU, EVENTS, LATENCY, MEMORY, TPS
from poolkeeper_lab.bench.report.bench_model import BenchSection
from poolkeeper_lab.drill import drill_run
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.containers import KillContainer, StopContainer

ROUNDS, SECONDS, SCALE, NODES = 5, 10, 10, 3
CLIENTS = 8
HEALTHY_SECONDS, FAILOVER_SECONDS = 120.0, 90.0
STOP_SECONDS = 10
REST, LOAD, FAILOVER = "at rest", "beside clients that write", "through the death of a primary and its return"
QUORUM, ALONE, UNFLUSHED = "quorum", "the primary alone", "no wait"
# Kind of commit → synchronous_commit of the session. None of the cluster's own settings is touched.
COMMITS = {QUORUM: "on", ALONE: "local", UNFLUSHED: "off"}
EVERY = "every check"
METHOD = (
    "On a cluster of the bench's own, as the declared one but for its name and ports. Keeper: CPU time as it "
    "reports it, memory as the engine reports it, over the named time. Commits: TPC-B-like on the primary's own port; "
    "what a commit waits for is set for pgbench's sessions (synchronous_commit: on, local, off), so the same cluster "
    "serves all three in turns. Checks: without clients and without keeper, HAProxy leaves out those of one kind; the "
    "cost of a kind is the difference to the measurement with all of them in the same round."
)


class Overhead:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._seconds = max(1, round(options.seconds or SECONDS))
        self._keeper, self._commits, self._checks = (RoundsRecord([], self._rounds, options.seed) for _ in range(3))
        self._notes: list[str] = []

    def run(self, progress: Progress) -> None:
        """Measure; the cluster is removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        nodes = max(NODES, len(self._cluster.spec.nodes))
        with scratch_cluster.scratch(self._cluster, progress) as own, ExitStack() as stack:
            disk_space.check(nodes, self._scale, disk_space.engine_folder())
            own.declare(scratch_cluster.document(self._cluster.spec, nodes))
            with progress.step(f"starting a cluster of {nodes} nodes"):
                own.command("up")
            drilled = drill_run.drilled(own.cluster)
            primary = interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))
            loader = stack.enter_context(
                load_runner.ready(own.cluster, primary, self._scale, self._options.seed, progress)
            )
            self._commits = self._record_of(Case({"commit": "TPC-B-like"}, *self._of_commits(loader), axis="waits for"))
            self._keeper = self._record_of(Case({"part": "keeper"}, self._of_keeper(drilled, loader), axis="while"))
            self._checks = self._record_of(Case({"part": "checks"}, self._of_checks(drilled), axis="with"))
            for name, record in (("commits", self._commits), ("keeper", self._keeper)):
                with progress.step(name):
                    rounds.play(record, progress)
            StopContainer(drilled.host, drilled.spec.keeper.service, STOP_SECONDS).inject()
            with progress.step("checks"):
                rounds.play(self._checks, progress)

    def _record_of(self, case: Case) -> RoundsRecord:
        return RoundsRecord([case], self._rounds, self._options.seed)

    def _of_commits(self, loader: load_runner.Loader) -> tuple[tuple[Contender, ...], tuple[Ratio, ...]]:
        load = pgbench.PgbenchLoad(pgbench.TPC_B, pgbench.SIMPLE, CLIENTS)

        def taker(setting: str) -> Callable[[], Sample]:
            work = load_runner.Work(load, settings={"synchronous_commit": setting})
            return lambda: take_commits(loader, work, self._seconds)

        contenders = tuple(Contender(name, taker(setting)) for name, setting in COMMITS.items())
        return contenders, tuple(Ratio(QUORUM, name, m) for name in (ALONE, UNFLUSHED) for m in (TPS, LATENCY))

    def _of_keeper(self, drilled: DrilledCluster, loader: load_runner.Loader) -> tuple[Contender, ...]:
        watched = Watched(drilled, self._seconds)
        work = load_runner.Work(pgbench.PgbenchLoad(pgbench.TPC_B, pgbench.SIMPLE, CLIENTS))

        def loaded() -> None:
            where = loader.where(drilled.spec.endpoints.rw.port, str(drilled.spec.haproxy.address))
            loader.measure(work, where, self._seconds)

        return (
            Contender(REST, lambda: watched.take(watched.wait, counts_foreign=True)),
            Contender(LOAD, lambda: watched.take(loaded, counts_foreign=False)),
            Contender(FAILOVER, lambda: watched.take(watched.fail_over, counts_foreign=False)),
        )

    def _of_checks(self, drilled: DrilledCluster) -> tuple[Contender, ...]:
        def taker(kinds: Sequence[str]) -> Callable[[], Sample]:
            return lambda: take_checks(drilled, kinds, self._seconds)

        without = [Contender(overhead_figures.without(kind), taker((kind,))) for kind in haproxy_checks.KINDS]
        return (
            Contender(EVERY, taker(())),
            *without,
            Contender(overhead_figures.NONE, taker(tuple(haproxy_checks.KINDS))),
        )

    def section(self) -> BenchSection:
        """Return the results so far."""
        seed, records = self._options.seed, (self._commits, self._keeper, self._checks)
        tally = records[0].tally().plus(records[1].tally()).plus(records[2].tally())
        metrics = [metric for record in records for metric in record.metrics()]
        metrics += overhead_figures.costs(self._checks, EVERY, haproxy_checks.a_second(self._cluster.spec), seed)
        return BenchSection(
            name="overhead",
            title="Overhead: keeper, quorum commit, HAProxy's checks",
            method=f"{METHOD} {self._seconds} s a measurement.",
            tally=tally,
            metrics=tuple(metrics),
            goals=overhead_figures.goals(self._keeper, REST, seed, keeper_part.CPU_GOAL, keeper_part.MEMORY_GOAL),
            notes=tuple(f"{kind}: {what}" for kind, what in haproxy_checks.KINDS.items()),
            charts=(TPS.name,),
        )


def take_commits(loader: load_runner.Loader, work: load_runner.Work, seconds: int) -> Sample:
    """Measure a load that writes, on the primary's own port."""
    loader.tidy()
    measured = loader.measure(work, loader.where(load_runner.POSTGRES_PORT), seconds)
    values = {TPS: measured.result.tps}
    if measured.result.p50 is not None:
        values[LATENCY] = measured.result.p50
    return Sample(values, measured.usage.foreign)


def take_checks(drilled: DrilledCluster, kinds: Sequence[str], seconds: float) -> Sample:
    """Measure for `seconds` without the checks of these kinds."""
    spec = drilled.spec
    cpu_meter = meter.Meter(bench_machine.container_pids(spec.name))
    with haproxy_checks.without(spec, kinds):
        before = cpu_meter.read()
        time.sleep(seconds)  # a measured time, not a wait for something
        used = cpu_meter.since(before)
    parts = overhead_figures.parts(spec)
    return Sample(overhead_figures.check_values(load_runner.by_part(used, parts)), used.foreign)


async def taken_over(cluster: Cluster, former: str) -> str:
    """Wait until another node is the primary, and return its name.

    Raises:
        DeadlinePassed: if no other node is promoted in time.
    """
    others = [node.name for node in cluster.spec.nodes if node.name != former]

    async def check() -> str:
        for node in others:
            state = (await snapshot.observe_postgres(cluster, node)).value
            if state and not state.in_recovery:
                return node
        raise wait.NotYet(f"{', '.join(others)} are standbys")

    return await wait.wait_for("another primary", check, seconds=FAILOVER_SECONDS)


class Watched:
    """Measures keeper during a piece of work."""

    def __init__(self, drilled: DrilledCluster, seconds: float) -> None:
        self._drilled, self._seconds = drilled, seconds

    def take(self, work: Callable[[], None], *, counts_foreign: bool) -> Sample:
        """Measure its CPU share, memory and events during the work.

        Raises:
            EngineFailed: if keeper restarted meanwhile.
        """
        cpu_meter = meter.Meter(bench_machine.container_pids(self._drilled.spec.name))
        before, reading = interrupts.run(self._metrics()), cpu_meter.read()
        work()
        used, after = cpu_meter.since(reading), interrupts.run(self._metrics())
        share = figure.cpu_share(before.cpu_seconds, after.cpu_seconds, used.seconds)
        if share is None:
            raise errors.EngineFailed("keeper restarted meanwhile, so its share cannot be computed")
        values = {CPU: share, EVENTS: float(sum(after.events.values()) - sum(before.events.values()))}
        memory = interrupts.run(keeper_part.memory(self._drilled.cluster))
        if memory is not None:
            values[MEMORY] = memory
        return Sample(values, used.foreign if counts_foreign else 0.0)

    def wait(self) -> None:
        """Wait without any work."""
        time.sleep(self._seconds)  # a measured time, not a wait for something

    def fail_over(self) -> None:
        """Kill the primary's container, wait for the failover, start it again, and wait for a healthy cluster."""
        drilled = self._drilled
        primary = interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))
        fault = KillContainer(drilled.host, primary)
        fault.aim()
        try:
            fault.inject()
            interrupts.run(taken_over(drilled.cluster, primary))
        finally:
            with interrupts.signals_blocked():
                fault.heal()
        interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))

    async def _metrics(self) -> keeper_client.Metrics:
        cluster: Cluster = self._drilled.cluster
        return await keeper_client.metrics(
            client_files.client_host(cluster.spec), cluster.spec.keeper.port, cluster.spec.timeouts.query
        )


def make(cluster: Cluster, options: BenchOptions) -> Overhead:
    """Return the part."""
    return Overhead(cluster, options)
