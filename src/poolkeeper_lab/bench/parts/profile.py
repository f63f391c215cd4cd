"""`bench profile`: the cost of one read for each part of the path: system calls, CPU time, packets, bytes.

One client reads one row at a time through each endpoint and in each protocol. The bench uses a cluster of its own that
is like the declared one, except for its name and ports. Two runs of different length remove the cost of the beginning
(`slope`). Two more runs are under strace, which counts the calls; their time is not used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.model.endpoint_keys import BALANCED, DIRECT_RW, RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_machine, load_runner, pgbench
from poolkeeper_lab.bench.load.bench_endpoints import POSTGRES_PORT
from poolkeeper_lab.bench.measure import calls, estimate, meter, network_counters, slope, tracing
from poolkeeper_lab.bench.measure.slope import Spent, What
from poolkeeper_lab.bench.report.bench_model import BenchSection, Metric, RoundTally
from poolkeeper_lab.drill import drill_run
from poolkeeper_lab.faults.host import Host

ROUNDS, SCALE, NODES = 3, 1, 3
SHORT, LONG = 500, 5_500  # transactions of the two runs
TRACED_SHORT, TRACED_LONG = 100, 1_100
IDLE_SECONDS = 3.0
RUN_SECONDS = 120  # the time limit of a run
HEALTHY_SECONDS = 120.0
HAPROXY, PGPOOL, POSTGRESQL, ALL = "HAProxy", "Pgpool-II", "PostgreSQL", "all parts"
SENT_BYTES, PACKETS, CPU = "bytes sent", "packets sent", "CPU"
WIRE, WORK, CALLS = "Bytes and packets for one read", "CPU time for one read", "System calls for one read"
UNITS = {CPU: "µs", SENT_BYTES: "B"}
GROUPS = {CPU: WORK, SENT_BYTES: WIRE, PACKETS: WIRE}
METHOD = (
    "One client reads one row a transaction (pgbench, select-only), through each endpoint and in each protocol. What "
    "one read costs is the difference of a long and a short run, less what runs without clients. System calls are "
    "counted by strace -c in runs of their own; reads are read, recv and their like, writes are write and send, waits "
    "are select, poll and epoll. CPU time is of the containers' control groups, without strace. Bytes and packets are "
    "what each container's network sent: they do not include traffic through a Unix socket."
)


@dataclass(frozen=True)
class ProfiledEndpoint:
    """An endpoint, its address, and the services that a read passes, mapped to their part of the path."""

    key: str
    host: str
    port: int
    services: Mapping[str, str]


def endpoints(spec: ClusterSpec, primary: str) -> tuple[ProfiledEndpoint, ...]:
    """Return the primary's own port, the direct endpoint, the balanced one and the read-write one."""
    haproxy, endpoints = spec.haproxy, spec.endpoints
    node, nodes = {primary: POSTGRESQL}, {n.name: POSTGRESQL for n in spec.nodes}
    endpoint, host = {haproxy.service: HAPROXY}, str(haproxy.address)
    found = [ProfiledEndpoint("direct", str(spec.addresses()[primary]), POSTGRES_PORT, node)]
    if straight := spec.direct_endpoints().get(DIRECT_RW):
        found.append(ProfiledEndpoint(DIRECT_RW, host, straight.port, {**endpoint, **node}))
    found.append(
        ProfiledEndpoint(BALANCED, str(endpoints.balanced.address), 9999, {endpoints.balanced.service: PGPOOL, **nodes})
    )
    found.append(ProfiledEndpoint(RW, host, endpoints.rw.port, {**endpoint, endpoints.rw.service: PGPOOL, **node}))
    return tuple(found)


@dataclass
class ProfileValues:
    """The results of the rounds: (protocol, endpoint) → quantity → one value for each round."""

    values: dict[tuple[str, str], dict[What, list[float]]] = field(default_factory=dict)

    def note(self, protocol: str, endpoint: str, costs: Mapping[What, float]) -> None:
        """Keep the costs of a round."""
        kept = self.values.setdefault((protocol, endpoint), {})
        for what, value in costs.items():
            kept.setdefault(what, []).append(value)

    def metrics(self, seed: int) -> Iterator[Metric]:
        """Yield every figure, and the sum of all parts where the rounds permit it."""
        for (protocol, endpoint), kept in self.values.items():
            for (part, quantity), values in {**kept, **_sums(kept)}.items():
                about = {"protocol": protocol, "endpoint": endpoint, "part": part}
                yield estimate.metric(about, quantity, values, seed, unit=UNITS.get(quantity, ""), better="less",
                                      group=GROUPS.get(quantity, CALLS))  # fmt: skip


def _sums(kept: Mapping[What, list[float]]) -> dict[What, list[float]]:
    """Return the sum of each quantity over the parts without the client, for each round."""
    sums: dict[What, list[float]] = {}
    for quantity in dict.fromkeys(quantity for _, quantity in kept):
        columns = [v for (part, q), v in kept.items() if q == quantity and part != load_runner.CLIENT]
        if len({len(column) for column in columns}) == 1:
            sums[ALL, quantity] = [sum(values) for values in zip(*columns, strict=True)]
    return sums


def add_up(parts: Mapping[str, str], of_service: Mapping[str, Mapping[str, float]]) -> dict[What, float]:
    """Add the amounts of the services of each part; a service that belongs to no part is left out. Pure."""
    total: dict[What, float] = {}
    for service, amounts in of_service.items():
        if part := parts.get(service):
            for quantity, amount in amounts.items():
                total[part, quantity] = total.get((part, quantity), 0.0) + amount
    return total


class Profile:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._values, self._kept, self._failed = ProfileValues(), 0, 0
        self._notes: list[str] = []

    def run(self, progress: Progress) -> None:
        """Measure; the cluster and every strace are removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        if reason := tracing.available():
            self._notes.append(f"system calls were not counted: {reason}")
        nodes = max(2, min(NODES, len(self._cluster.spec.nodes)))
        with scratch_cluster.scratch(self._cluster, progress) as own:
            own.declare(scratch_cluster.document(self._cluster.spec, nodes))
            with progress.step(f"starting a cluster of {nodes} nodes"):
                own.command("up")
            cluster = own.cluster
            primary = interrupts.run(drill_run.drilled(cluster).wait_healthy(HEALTHY_SECONDS))
            with load_runner.ready(cluster, primary, self._scale, self._options.seed, progress) as loader:
                for number in range(self._rounds):
                    with progress.step(f"round {number + 1} of {self._rounds}"):
                        self._round(loader, traced=not reason, backwards=number % 2 == 1, progress=progress)

    def _round(self, loader: load_runner.Loader, *, traced: bool, backwards: bool, progress: Progress) -> None:
        found = endpoints(loader.cluster.spec, loader.primary)
        for protocol in pgbench.PROTOCOLS:
            for endpoint in found[::-1] if backwards else found:
                try:
                    costs = EndpointProfile(loader, endpoint, protocol).costs(traced)
                except errors.PoolkeeperError as e:
                    self._failed += 1
                    progress.note(f"{protocol}, {endpoint.key}: {e.message}")
                else:
                    self._values.note(protocol, endpoint.key, costs)
                    self._kept += 1

    def section(self) -> BenchSection:
        """Return the results so far."""
        return BenchSection(
            name="profile",
            title="The profile: what one read costs each part",
            method=METHOD,
            tally=RoundTally(asked=self._rounds * len(pgbench.PROTOCOLS) * 4, kept=self._kept, failed=self._failed),
            metrics=tuple(self._values.metrics(self._options.seed)),
            notes=tuple(self._notes),
        )


@dataclass(frozen=True)
class EndpointProfile:
    """The measurement of one endpoint in one protocol."""

    loader: load_runner.Loader
    endpoint: ProfiledEndpoint
    protocol: str

    def costs(self, traced: bool) -> dict[What, float]:
        """Return the cost of one read.

        Raises:
            EngineFailed: if a run cannot be measured.
        """
        found = slope.per_transaction(self._plain(SHORT), self._plain(LONG), self._plain(0))
        if traced:
            found |= slope.per_transaction(self._traced(TRACED_SHORT), self._traced(TRACED_LONG), self._traced(0))
        return found

    def _work(self, transactions: int) -> float:
        """Run that many transactions, or wait without any, and return the seconds."""
        begin = time.monotonic()
        if transactions:
            load = pgbench.PgbenchLoad(pgbench.READ_ONLY, self.protocol, 1)
            where = self.loader.where(self.endpoint.port, self.endpoint.host)
            work = load_runner.Work(load, transactions=transactions)
            result = self.loader.measure(work, where, RUN_SECONDS).result
            if result.transactions != transactions:
                raise errors.EngineFailed(f"pgbench ran {result.transactions} of {transactions} transactions")
        else:
            time.sleep(IDLE_SECONDS)  # a measured time, not a wait for something
        return time.monotonic() - begin

    def _plain(self, transactions: int) -> Spent:
        pids = bench_machine.container_pids(self.loader.cluster.spec.name) | {
            load_runner.CLIENT: self.loader.client.pid
        }
        watched = {name: pid for name, pid in pids.items() if name in self._parts}
        watch = meter.Meter(watched)
        before, sent = watch.read(), {name: network_counters.of_process(pid) for name, pid in watched.items()}
        seconds = self._work(transactions)
        used, after = watch.since(before), {name: network_counters.of_process(pid) for name, pid in watched.items()}
        amounts = {
            name: {
                CPU: 1e6 * used.parts.get(name, 0.0),
                SENT_BYTES: float(after[name].bytes - sent[name].bytes),
                PACKETS: float(after[name].packets - sent[name].packets),
            }
            for name in watched
        }
        return Spent(transactions, seconds, add_up(self._parts, amounts))

    def _traced(self, transactions: int) -> Spent:
        host = Host(self.loader.cluster)
        chosen: dict[str, tracing.Choose] = {
            service: tracing.of_postgresql if part == POSTGRESQL else tracing.everything
            for service, part in self.endpoint.services.items()
        }
        with tracing.counting(host, chosen) as counted:
            seconds = self._work(transactions)
        kinds = {name: calls.by_kind(found) for name, found in counted.of.items()}
        amounts = {name: {**{k: float(v) for k, v in of.items()}, "calls": float(sum(of.values()))}
                   for name, of in kinds.items()}  # fmt: skip
        return Spent(transactions, seconds, add_up(self._parts, amounts))

    @property
    def _parts(self) -> dict[str, str]:
        return {**self.endpoint.services, load_runner.CLIENT: load_runner.CLIENT}


def make(cluster: Cluster, options: BenchOptions) -> Profile:
    """Return the part."""
    return Profile(cluster, options)
