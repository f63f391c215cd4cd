"""`bench overhead`: what keeper, quorum commit and each kind of HAProxy's checks cost, on a cluster of the bench's own.

One cluster serves all three. Keeper is measured at rest, beside clients that write, and through the death of a primary;
`bench keeper` stays as the measurement of a cluster that somebody uses, and `bench load` as the proof of calm: they
judge that cluster, and change nothing in it. The checks come last, because keeper is stopped for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from poolkeeper.cluster import handle, snapshot
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
from poolkeeper_lab.bench.parts import haproxy_checks, keeper_idle, overhead_figures
from poolkeeper_lab.bench.parts.overhead_figures import CPU, EVENTS, LATENCY, MEMORY, TPS
from poolkeeper_lab.bench.report.bench_model import Section
from poolkeeper_lab.drill import drill_run as drill
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.containers import KillContainer, StopContainer

ROUNDS, SECONDS, SCALE, NODES = 5, 10, 10, 3
CLIENTS = 8
HEALTHY_SECONDS, FAILOVER_SECONDS = 120.0, 90.0
STOP_SECONDS = 10
REST, LOAD, FAILOVER = "at rest", "beside clients that write", "through the death of a primary and its return"
QUORUM, ALONE, UNFLUSHED = "quorum", "the primary alone", "nobody waits"
# Kind of commit → synchronous_commit of the session. None of the cluster's own settings is touched.
COMMITS = {QUORUM: "on", ALONE: "local", UNFLUSHED: "off"}
EVERY = "every check"
METHOD = (
    "On a cluster of the bench's own, as the declared one but for its name and ports. Keeper: CPU time by its own "
    "word, memory by the engine's, over the named time. Commits: TPC-B-like on the primary's own port; what a commit "
    "waits for is set for pgbench's sessions (synchronous_commit: on, local, off), so the same cluster serves all "
    "three in turns. Checks: without clients and without keeper, HAProxy leaves out those of one kind; the cost of a "
    "kind is the difference to the measurement with all of them in the same round."
)


class Overhead:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._place, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._seconds = max(1, round(options.seconds or SECONDS))
        self._keeper, self._commits, self._checks = (RoundsRecord([], self._rounds, options.seed) for _ in range(3))
        self._notes: list[str] = []

    def run(self, progress: Progress) -> None:
        """Measure. Raises PoolkeeperError; the cluster is removed in any case."""
        nodes = max(NODES, len(self._place.spec.nodes))
        with scratch_cluster.scratch(self._place, progress) as own, ExitStack() as stack:
            disk_space.check(nodes, self._scale, disk_space.engine_folder())
            own.declare(scratch_cluster.document(self._place.spec, nodes))
            with progress.step(f"starting a cluster of {nodes} nodes"):
                own.command("up")
            site = drill.drilled(own.cluster)
            primary = interrupts.run(site.wait_healthy(HEALTHY_SECONDS))
            loader = stack.enter_context(
                load_runner.ready(own.cluster, primary, self._scale, self._options.seed, progress)
            )
            self._commits = self._book(Case({"commit": "TPC-B-like"}, *self._of_commits(loader), axis="waits for"))
            self._keeper = self._book(Case({"part": "keeper"}, self._of_keeper(site, loader), axis="while"))
            self._checks = self._book(Case({"part": "checks"}, self._of_checks(site), axis="with"))
            for name, book in (("commits", self._commits), ("keeper", self._keeper)):
                with progress.step(name):
                    rounds.play(book, progress)
            StopContainer(site.host, site.spec.keeper.service, STOP_SECONDS).inject()
            with progress.step("checks"):
                rounds.play(self._checks, progress)

    def _book(self, case: Case) -> RoundsRecord:
        return RoundsRecord([case], self._rounds, self._options.seed)

    def _of_commits(self, loader: load_runner.Loader) -> tuple[tuple[Contender, ...], tuple[Ratio, ...]]:
        load = pgbench.PgbenchLoad(pgbench.TPC_B, pgbench.SIMPLE, CLIENTS)

        def taker(setting: str) -> Callable[[], Sample]:
            work = load_runner.Work(load, settings={"synchronous_commit": setting})
            return lambda: take_commits(loader, work, self._seconds)

        contenders = tuple(Contender(name, taker(setting)) for name, setting in COMMITS.items())
        return contenders, tuple(Ratio(QUORUM, name, m) for name in (ALONE, UNFLUSHED) for m in (TPS, LATENCY))

    def _of_keeper(self, site: DrilledCluster, loader: load_runner.Loader) -> tuple[Contender, ...]:
        watched = Watched(site, self._seconds)
        work = load_runner.Work(pgbench.PgbenchLoad(pgbench.TPC_B, pgbench.SIMPLE, CLIENTS))

        def loaded() -> None:
            where = loader.where(site.spec.endpoints.rw.port, str(site.spec.haproxy.address))
            loader.measure(work, where, self._seconds)

        return (
            Contender(REST, lambda: watched.take(watched.wait, is_foreign_told=True)),
            Contender(LOAD, lambda: watched.take(loaded, is_foreign_told=False)),
            Contender(FAILOVER, lambda: watched.take(watched.fail_over, is_foreign_told=False)),
        )

    def _of_checks(self, site: DrilledCluster) -> tuple[Contender, ...]:
        def taker(kinds: Sequence[str]) -> Callable[[], Sample]:
            return lambda: take_checks(site, kinds, self._seconds)

        without = [Contender(overhead_figures.without(kind), taker((kind,))) for kind in haproxy_checks.KINDS]
        return (
            Contender(EVERY, taker(())),
            *without,
            Contender(overhead_figures.NONE, taker(tuple(haproxy_checks.KINDS))),
        )

    def section(self) -> Section:
        """What was measured until now."""
        seed, books = self._options.seed, (self._commits, self._keeper, self._checks)
        tally = books[0].tally().plus(books[1].tally()).plus(books[2].tally())
        metrics = [metric for book in books for metric in book.metrics()]
        metrics += overhead_figures.costs(self._checks, EVERY, haproxy_checks.a_second(self._place.spec), seed)
        return Section(
            name="overhead",
            title="Overhead: keeper, quorum commit, HAProxy's checks",
            method=f"{METHOD} {self._seconds} s a measurement.",
            tally=tally,
            metrics=tuple(metrics),
            goals=overhead_figures.goals(self._keeper, REST, seed, keeper_idle.CPU_GOAL, keeper_idle.MEMORY_GOAL),
            notes=tuple(f"{kind}: {what}" for kind, what in haproxy_checks.KINDS.items()),
            charts=(TPS.name,),
        )


def take_commits(loader: load_runner.Loader, work: load_runner.Work, seconds: int) -> Sample:
    """A load that writes, on the primary's own port."""
    loader.tidy()
    taken = loader.measure(work, loader.where(load_runner.POSTGRES_PORT), seconds)
    values = {TPS: taken.result.tps}
    if taken.result.p50 is not None:
        values[LATENCY] = taken.result.p50
    return Sample(values, taken.usage.foreign)


def take_checks(site: DrilledCluster, kinds: Sequence[str], seconds: float) -> Sample:
    """So many seconds without checks of these kinds."""
    spec = site.spec
    watch = meter.Meter(bench_machine.container_pids(spec.name))
    with haproxy_checks.without(spec, kinds):
        before = watch.read()
        time.sleep(seconds)  # a measured time, not a wait for something
        used = watch.since(before)
    parts = overhead_figures.parts(spec)
    return Sample(overhead_figures.check_values(load_runner.by_part(used, parts)), used.foreign)


async def taken_over(cluster: handle.Cluster, former: str) -> None:
    """Wait until another node is the primary. Raises DeadlinePassed."""
    others = [node.name for node in cluster.spec.nodes if node.name != former]

    async def look() -> str | None:
        for node in others:
            seen = (await snapshot.observe_postgres(cluster, node)).value
            if seen and not seen.in_recovery:
                return None
        return f"{', '.join(others)} are standbys"

    await wait.wait_until("another primary", look, seconds=FAILOVER_SECONDS)


class Watched:
    """Keeper, over a piece of work."""

    def __init__(self, site: DrilledCluster, seconds: float) -> None:
        self._site, self._seconds = site, seconds

    def take(self, work: Callable[[], None], *, is_foreign_told: bool) -> Sample:
        """Its CPU share, memory and events over the work. Raises EngineFailed where it was started anew meanwhile."""
        watch = meter.Meter(bench_machine.container_pids(self._site.spec.name))
        before, reading = interrupts.run(self._metrics()), watch.read()
        work()
        used, after = watch.since(reading), interrupts.run(self._metrics())
        share = figure.cpu_share(before.cpu_seconds, after.cpu_seconds, used.seconds)
        if share is None:
            raise errors.EngineFailed("keeper was started anew meanwhile, so its share cannot be told")
        values = {CPU: share, EVENTS: float(sum(after.events.values()) - sum(before.events.values()))}
        memory = interrupts.run(keeper_idle.memory(self._site.cluster))
        if memory is not None:
            values[MEMORY] = memory
        return Sample(values, used.foreign if is_foreign_told else 0.0)

    def wait(self) -> None:
        """Nothing happens."""
        time.sleep(self._seconds)  # a measured time, not a wait for something

    def fail_over(self) -> None:
        """The primary's container is killed, another one takes over, it is started again, and all is healthy."""
        site = self._site
        primary = interrupts.run(site.wait_healthy(HEALTHY_SECONDS))
        fault = KillContainer(site.host, primary)
        fault.aim()
        try:
            fault.inject()
            interrupts.run(taken_over(site.cluster, primary))
        finally:
            with interrupts.signals_blocked():
                fault.heal()
        interrupts.run(site.wait_healthy(HEALTHY_SECONDS))

    async def _metrics(self) -> keeper_client.Metrics:
        cluster: handle.Cluster = self._site.cluster
        return await keeper_client.metrics(
            client_files.client_host(cluster.spec), cluster.spec.keeper.port, cluster.spec.timeouts.query
        )


def make(cluster: Cluster, options: BenchOptions) -> Overhead:
    """The part."""
    return Overhead(cluster, options)
