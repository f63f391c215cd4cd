"""`bench scale`: the throughput of reads with one to four standbys that have a quarter of a processor each.

A cluster of the bench's own has the largest number of nodes. For each measurement, the bench sets in HAProxy which
standbys serve, so all sizes are measured in turn on the same data. Keeper is stopped, because it would enable a standby
again that it did not disable. Endpoints: the read-only endpoint with its Pgpool-II, and the direct one. The direct one
uses less of the machine for the path and so leaves more for the standbys.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import interrupts, wait
from poolkeeper.core.progress import Progress
from poolkeeper.model import proxies
from poolkeeper.model.endpoint_keys import DIRECT_RO, RO
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import compose, haproxy_runtime, postgres
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import load_runner, pgbench
from poolkeeper_lab.bench.measure import busy, caps, disk_space, rounds, startup_times
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.parts import scale_figures
from poolkeeper_lab.bench.parts.scale_figures import name
from poolkeeper_lab.bench.report.bench_model import BenchSection
from poolkeeper_lab.drill import drill_run
from poolkeeper_lab.faults.containers import StopContainer

SIZES = (1, 2, 3, 4)
ROUNDS, SECONDS, SCALE = 5, 6, 10
CAP = 0.25  # processors of a node
CLIENTS = 24  # the same number on each standby, for 1, 2, 3 and 4 of them
WARM_SECONDS = 2
HEALTHY_SECONDS, SERVE_SECONDS, STOP_SECONDS = 120.0, 20.0, 10
MANY_ROWS = "scale-many.sql"
ROWS = 1000
ONE_ROW_TITLE, MANY_ROWS_TITLE = "one row", f"{ROWS:,} rows"
SCRIPT = f"""\\set aid random(1, 100000 * :scale - {ROWS})
SELECT sum(abalance) FROM pgbench_accounts WHERE aid BETWEEN :aid AND :aid + {ROWS - 1};
"""
METHOD = (
    f"Each node has {CAP:g} of a processor (docker update --cpus). HAProxy gives sessions to as many standbys as are "
    "named, the least connections first; keeper is stopped. pgbench reads one row of its accounts, or the sum of "
    f"{ROWS:,} that stand together, with {CLIENTS} clients, simple protocol. The endpoint's Pgpool-II restarts "
    "before each measurement, so that pooled connections spread over the standbys again: one that was only ended costs "
    "the next client a second in Pgpool-II."
)


@dataclass(frozen=True)
class ReadEndpoint:
    """A read-only endpoint."""

    key: str
    port: int


def endpoints(spec: ClusterSpec) -> tuple[ReadEndpoint, ...]:
    """Return the read-only endpoint, and the direct one if it is declared and has enough sessions for the clients."""
    found = [ReadEndpoint(RO, spec.endpoints.ro.port)]
    direct = spec.direct_endpoints().get(DIRECT_RO)
    if direct and spec.direct_sessions()[DIRECT_RO] >= CLIENTS:
        found.append(ReadEndpoint(DIRECT_RO, direct.port))
    return tuple(found)


class Reads:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._sizes = SIZES
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._seconds = max(1, round(options.seconds or SECONDS))
        self._record = RoundsRecord([], self._rounds, options.seed)
        self._limits: dict[str, dict[int, list[str]]] = {}
        self._void = ""

    def run(self, progress: Progress) -> None:
        """Measure; the cluster is removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        nodes = 1 + max(self._sizes)
        with scratch_cluster.scratch(self._cluster, progress) as own, ExitStack() as stack:
            disk_space.check(nodes, self._scale, disk_space.engine_folder())
            own.declare(scratch_cluster.document(self._cluster.spec, nodes))
            with progress.step(f"starting a cluster of {nodes} nodes"):
                own.command("up")
            cluster = own.cluster
            drilled = drill_run.drilled(cluster)
            primary = interrupts.run(drilled.wait_healthy(HEALTHY_SECONDS))
            loader = stack.enter_context(load_runner.ready(cluster, primary, self._scale, self._options.seed, progress))
            loader.write(MANY_ROWS, SCRIPT)
            StopContainer(drilled.host, cluster.spec.keeper.service, STOP_SECONDS).inject()
            caps.limit([cluster.container(node.name) for node in cluster.spec.nodes], CAP)
            self._record = RoundsRecord(
                self._cases(loader, Standbys(cluster.spec, primary)), self._rounds, self._options.seed
            )
            rounds.play(self._record, progress)
            self._void = interrupts.run(self._moved(drilled.spec, primary))

    async def _moved(self, spec: ClusterSpec, primary: str) -> str:
        """Return why no figure is valid: the primary changed, so a counted standby was not one. "" if it did not."""
        states = await haproxy_runtime.servers(str(spec.haproxy.address), spec.haproxy.runtime_port,
                                               spec.timeouts.query)  # fmt: skip
        up = [s.server for s in states if s.proxy == proxies.PRIMARY and s.operational == "up"]
        return "" if up == [primary] else f"{primary} was the primary at first and at the end it is {up or 'none'}"

    def _cases(self, loader: load_runner.Loader, standbys: Standbys) -> list[Case]:
        light = load_runner.Work(pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.SIMPLE, CLIENTS))
        heavy = load_runner.Work(light.load, script=MANY_ROWS)
        ratios = tuple(
            Ratio(name(size), name(1), scale_figures.TPS) for size in self._sizes if size > 1 and 1 in self._sizes
        )
        cases = []
        for title, work in ((ONE_ROW_TITLE, light), (MANY_ROWS_TITLE, heavy)):
            for endpoint in endpoints(loader.cluster.spec):
                taker = Taker(loader, standbys, work, endpoint, self._seconds)
                about = {"read": title, "endpoint": str(endpoint.port - startup_times.PORT_SHIFT)}
                limits = self._limits.setdefault(", ".join(about.values()), {})
                contenders = tuple(taker.contender(size, limits.setdefault(size, [])) for size in self._sizes)
                cases.append(Case(about, contenders, ratios, axis="standbys"))
        return cases

    def section(self) -> BenchSection:
        """Return the results so far."""
        goals = tuple(
            scale_figures.goal(self._record, title, self._options.seed, limits.get(scale_figures.MEANT, []),
                               self._sizes, self._void)
            for title, limits in self._limits.items()
        )  # fmt: skip
        lines = [
            line
            for played in self._record.played
            for line in scale_figures.lines(played, self._limits.get(played.case.title, {}))
        ]
        return BenchSection(
            name="scale-reads",
            title="Scale: reads over capped standbys",
            method=f"{METHOD} Scale {self._scale}; {self._seconds} s a measurement, after a warm-up.",
            tally=self._record.tally(),
            metrics=tuple(self._record.metrics()),
            goals=goals,
            notes=(*([f"no figure holds: {self._void}"] if self._void else []), *lines),
            charts=(f"{scale_figures.TPS.name} ÷ {name(1)}",),
        )


@dataclass(frozen=True)
class Standbys:
    """The standbys of a cluster at HAProxy's inner port, and the serving ones among them."""

    spec: ClusterSpec
    primary: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return all standbys, in the declared order."""
        return tuple(node.name for node in self.spec.nodes if node.name != self.primary)

    def commands(self, size: int) -> list[str]:
        """Return the commands for HAProxy so that the first `size` standbys serve, and every session ends."""
        commands = []
        for number, node in enumerate(self.names):
            wanted: haproxy_runtime.Admin = "ready" if number < size else "drain"
            commands.append(haproxy_runtime.state(proxies.STANDBYS, node, wanted))
        return [*commands, *(haproxy_runtime.end_sessions(proxies.STANDBYS, node) for node in self.names)]

    async def serve(self, size: int) -> None:
        """Let only the first `size` standbys serve from now on.

        Raises:
            DeadlinePassed: if they do not become usable in time.
        """
        address, port, limit = str(self.spec.haproxy.address), self.spec.haproxy.runtime_port, self.spec.timeouts.query
        await haproxy_runtime.send(address, port, self.commands(size), limit)

        async def check() -> None:
            wait.require(self.lacks(size, await haproxy_runtime.servers(address, port, limit)))

        await wait.wait_for(f"{name(size)} at the endpoint", check, seconds=SERVE_SECONDS)

    def lacks(self, size: int, states: Sequence[haproxy_runtime.ServerState]) -> str | None:
        """Return what is missing until exactly the first `size` standbys serve; None if they do."""
        nodes = {node.name for node in self.spec.nodes}  # not the servers of a fallback to the primary
        usable = {s.server for s in states if s.proxy == proxies.STANDBYS and s.is_usable} & nodes
        wanted = set(self.names[:size])
        if usable != wanted:
            return f"usable are {', '.join(sorted(usable)) or 'none'}, wanted {', '.join(sorted(wanted))}"
        return None


@dataclass(frozen=True)
class Taker:
    """Measures a read through an endpoint."""

    loader: load_runner.Loader
    standbys: Standbys
    work: load_runner.Work
    endpoint: ReadEndpoint
    seconds: int

    def contender(self, size: int, limits: list[str]) -> Contender:
        """Return the contender with `size` standbys; it appends the limit of each measurement to `limits`."""
        return Contender(name(size), lambda: self._take(size, limits))

    def _take(self, size: int, limits: list[str]) -> Sample:
        spec = self.loader.cluster.spec
        interrupts.run(self.standbys.serve(size))
        if self.endpoint.port == spec.endpoints.ro.port:
            restart_pgpool(self.loader)
        where = self.loader.where(self.endpoint.port, str(spec.haproxy.address))
        self.loader.measure(self.work, where, WARM_SECONDS)
        measured = self.loader.measure(self.work, where, self.seconds)
        load = self.load(size, load_runner.by_part(measured.usage, self.parts(size)), measured.machine)
        limits.append(load.limit())
        return Sample(scale_figures.values(measured.result.tps, measured.result.p50, load), measured.usage.foreign)

    def parts(self, size: int) -> dict[str, tuple[str, ...]]:
        """Return the parts of the path: each serving standby, and the services in front of it."""
        spec = self.loader.cluster.spec
        path = {
            "HAProxy": (spec.haproxy.service,),
            "Pgpool-II": (spec.endpoints.ro.service,),
            load_runner.CLIENT: (load_runner.CLIENT,),
            "the other nodes": tuple(n.name for n in spec.nodes if n.name not in self.standbys.names[:size]),
            "etcd": tuple(member.name for member in spec.etcd.members),
        }
        return {**{node: (node,) for node in self.standbys.names[:size]}, **path}

    def load(self, size: int, used: dict[str, float], machine: float) -> caps.CapLoad:
        """Return the load of each part and of the machine."""
        return caps.CapLoad(used, self.standbys.names[:size], CAP, busy.cores(), machine)


def restart_pgpool(loader: load_runner.Loader) -> None:
    """Restart the read-only endpoint's Pgpool-II, so that it has no pooled connection.

    Raises:
        DeadlinePassed: if the endpoint does not answer in time.
    """
    spec, endpoint = loader.cluster.spec, loader.cluster.endpoint(RO)

    async def check() -> None:
        wait.require((await snapshot.observe(postgres.query(endpoint, "SELECT 1", spec.timeouts.query))).error or None)

    compose.restart(loader.cluster.container(spec.endpoints.ro.service))
    interrupts.run(wait.wait_for("an answer of the read-only endpoint", check, seconds=SERVE_SECONDS, pause=0.1))
    loader.find_containers()


def make(cluster: Cluster, options: BenchOptions) -> Reads:
    """Return the part."""
    return Reads(cluster, options)
