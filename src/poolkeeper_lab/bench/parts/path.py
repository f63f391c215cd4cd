"""`bench path`: the same pgbench load through every endpoint, in turn: throughput, latency, CPU time of each part.

pgbench runs in a container of the cluster's network, so no published port is in the way. It shares the machine with
the measured parts, as any client of a cluster on one machine does. The report shows its CPU time beside theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from itertools import count

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_endpoints, bench_machine, database, pgbench, pgbench_client
from poolkeeper_lab.bench.load.bench_endpoints import BenchEndpoint
from poolkeeper_lab.bench.measure import busy, estimate, meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Measure, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.parts import path_plan
from poolkeeper_lab.bench.parts.path_plan import Planned, Wanted
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchSection, BenchTable
from poolkeeper_lab.bench.report.compare import RATIO
from poolkeeper_lab.drill import drill_run

ROUNDS, SECONDS, SCALE = 5, 4, 10  # the defaults
WARM_SECONDS = 1
HEALTHY_SECONDS = 60.0
SPEED, WORK = "Throughput and latency", "CPU seconds for 1,000 transactions"
TPS = Measure("throughput", "tps", "more", SPEED)
P50, P99 = Measure("p50", "ms", "less", SPEED), Measure("p99", "ms", "less", SPEED)
CONNECTION = Measure("a connection", "ms", "less", SPEED)
CLIENT = "pgbench"
METHOD = (
    "pgbench runs in a container of the cluster's network and connects to each endpoint's own address; direct is the "
    "primary's PostgreSQL. Latency is of the transaction, from pgbench's log; where each transaction has a connection "
    "of its own, the time to connect is in the throughput and beside the latency, not in it. CPU time is that of the "
    "containers' control groups, with what they do anyway."
)


class Path:
    """The part. `options.peers` adds the endpoints of peers to every load."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._seconds = max(1, round(options.seconds or SECONDS))
        self._record = RoundsRecord([], self._rounds, options.seed)
        self._planned: list[Planned] = []
        self._wanted: tuple[Wanted, ...] = path_plan.goals(cluster.spec)
        self._notes: list[str] = []
        self._void = ""  # why no figure is valid
        self._providers = bench_endpoints.chosen(options.peers)
        self._tables: list[BenchTable] = []

    def run(self, progress: Progress) -> None:
        """Measure; the database, the client and the peers are removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        drilled = drill_run.drilled(self._cluster)
        with progress.step("waiting for a healthy cluster"):
            primary = interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))
        with ExitStack() as stack:
            using = stack.enter_context(database.loaded(drilled.cluster, primary, self._scale, progress))
            peers = stack.enter_context(self._peers(progress))
            player = Player(self._cluster, primary, using, peers, self._scale, self._options.seed)
            self._plan(player, [*bench_endpoints.own(self._cluster.spec, primary), *peers])
            rounds.play(self._record, progress)
            if (now := interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))) != primary:
                self._void = f"the role moved from {primary} to {now} meanwhile"

    @contextmanager
    def _peers(self, progress: Progress) -> Iterator[list[BenchEndpoint]]:
        """Yield the endpoints of every provider; a note names each one that cannot be started."""
        found: list[BenchEndpoint] = []
        with ExitStack() as stack:
            for name, module in self._providers.items():
                provide: Callable[[Cluster, Progress], AbstractContextManager[Sequence[BenchEndpoint]]]
                provide = import_module(module).endpoints
                try:
                    found += stack.enter_context(provide(self._cluster, progress))
                except errors.PoolkeeperError as e:
                    self._notes.append(f"{name} could not be started: {e.message}")
            self._tables += dict.fromkeys(endpoint.about for endpoint in found if endpoint.about)
            yield found

    def _plan(self, player: Player, found: Sequence[BenchEndpoint]) -> None:
        spec = self._cluster.spec
        self._wanted = path_plan.goals(spec, [endpoint for endpoint in found if endpoint.is_peer])
        planned, notes = path_plan.plan(spec, found, self._options.full, self._options.only)
        self._notes += notes
        cases = [player.case(one, self._seconds, self._wanted) for one in planned]
        self._planned, self._record = planned, RoundsRecord(cases, self._rounds, self._options.seed)

    def section(self) -> BenchSection:
        """Return the results so far."""
        notes = [f"no figure holds: {self._void}"] if self._void else []
        return BenchSection(
            name="path",
            title="The path: what each endpoint costs",
            method=f"{METHOD} Scale {self._scale}; {self._seconds} s a measurement, after a warm-up.",
            tally=self._record.tally(),
            metrics=tuple(self._record.metrics()),
            goals=tuple(self._goal(wanted) for wanted in self._wanted),
            notes=(*notes, *self._notes),
            charts=(f"{TPS.name} ÷ {bench_endpoints.DIRECT}",),
            tables=tuple(self._tables),
        )

    def _goal(self, wanted: Wanted) -> BenchGoal:
        values, reason = self._measured(wanted)
        found = None if self._void else estimate.estimate(values, self._options.seed)
        return BenchGoal(sentence=wanted.sentence, limit=wanted.least, unit=RATIO, estimate=found,
                    reason="" if found else self._void or reason)  # fmt: skip

    def _measured(self, wanted: Wanted) -> tuple[list[float], str]:
        """Return the ratios of a goal, and the reason if there are none."""
        for planned, played in zip(self._planned, self._record.played, strict=True):
            if planned.load == wanted.load:
                ratio = Ratio(wanted.numerator, wanted.denominator, TPS)
                names = {endpoint.key for endpoint in planned.endpoints}
                absent = [name for name in (wanted.numerator, wanted.denominator) if name not in names]
                if absent:
                    return [], f"{absent[0]} is not in this run"
                return played.ratios(ratio), self._record.ratio(played, ratio).reason
        return [], "it was not run"


class Player:
    """Takes the measurements, with the loaded database, the client's container and the CPU meter of every part."""

    def __init__(
        self,
        cluster: Cluster,
        primary: str,
        using: pgbench_client.PgbenchClient,
        peers: Sequence[BenchEndpoint],
        scale: int,
        seed: int,
    ) -> None:
        spec = cluster.spec
        self._cluster, self._primary, self._client = cluster.with_passwords(), primary, using
        self._user, self._scale, self._seed = spec.roles.app, scale, seed
        services = bench_machine.container_pids(spec.name)
        self._part = {service: bench_endpoints.part_of(spec, service) for service in services} | {CLIENT: CLIENT}
        others = {name: pid for endpoint in peers for name, pid in endpoint.pids.items()}
        self._meter = meter.Meter({**services, CLIENT: using.pid, **others})

    def _where(self, endpoint: BenchEndpoint) -> pgbench.Where:
        return pgbench.Where(endpoint.host, endpoint.port, self._user, database.NAME)

    def case(self, planned: Planned, seconds: int, wanted: Sequence[Wanted]) -> Case:
        """Return a planned load as a case."""
        ratios = tuple(Ratio(above, below, TPS) for above, below in planned.pairs(wanted))
        contenders = tuple(self._contender(planned.load, endpoint, seconds) for endpoint in planned.endpoints)
        return Case(planned.load.about, contenders, ratios)

    def _contender(self, load: pgbench.PgbenchLoad, endpoint: BenchEndpoint, seconds: int) -> Contender:
        numbers = count(self._seed)
        return Contender(
            endpoint.key,
            lambda: self._take(load, endpoint, seconds, next(numbers)),
            lambda: self._warm(load, endpoint),
        )

    def _warm(self, load: pgbench.PgbenchLoad, endpoint: BenchEndpoint) -> None:
        self._run(load, endpoint, WARM_SECONDS, self._seed)
        self._client.take_log()

    def _run(self, load: pgbench.PgbenchLoad, endpoint: BenchEndpoint, seconds: int, seed: int) -> str:
        argv = pgbench.run(load, self._where(endpoint), seconds, self._scale, busy.cores(), seed)
        return self._client.run(argv, seconds)

    def _take(self, load: pgbench.PgbenchLoad, endpoint: BenchEndpoint, seconds: int, seed: int) -> Sample:
        if load.writes:
            interrupts.run(database.tidy(self._cluster, self._primary))
        before = self._meter.read()
        printed = self._run(load, endpoint, seconds, seed)
        used = self._meter.since(before)
        return sample(pgbench.parse(printed, self._client.take_log()), used, self._part)


def sample(result: pgbench.PgbenchResult, used: meter.Usage, parts: dict[str, str]) -> Sample:
    """Return a measurement as a sample; `parts` maps each container to the part of its CPU time. Pure."""
    values: dict[Measure, float] = {TPS: result.tps}
    for measure, value in ((P50, result.p50), (P99, result.p99), (CONNECTION, result.connection)):
        if value is not None:
            values[measure] = value
    for service, seconds in used.parts.items():
        measure = Measure(parts.get(service, service), "s", "less", WORK)
        values[measure] = values.get(measure, 0.0) + 1000 * seconds / result.transactions
    return Sample(values, used.foreign)


def make(cluster: Cluster, options: BenchOptions) -> Path:
    """Return the part."""
    return Path(cluster, options)
