"""One load on one port of a cluster, measured: what pgbench says, and who used the processors meanwhile.

For the parts of the bench that do more with a cluster than to compare its endpoints: they slow nodes, take servers out, or
change what a commit waits for. The tables are pgbench's, in the bench's own database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import interrupts
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.load import bench_machine, database, pgbench, pgbench_client
from poolkeeper_lab.bench.measure import busy, cpu, meter

CLIENT = "pgbench"
POSTGRES_PORT = 5432
LOAD_SECONDS = 900.0  # until the tables are made: a database of 1 GB on two slow cores


@dataclass(frozen=True)
class Work:
    """A load, and what differs from the frame's own.

    `script` is the name of a file in the client's container, `settings` are the session's (libpq's PGOPTIONS), and with
    `transactions` each client runs so many instead of for a time.
    """

    load: pgbench.PgbenchLoad
    script: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    transactions: int = 0

    def argv(self, where: pgbench.Where, seconds: int, scale: int, cores: int, seed: int) -> list[str]:
        """The command line."""
        words = pgbench.run(self.load, where, seconds, scale, cores, seed)
        if self.script:
            usual = pgbench.WORKLOADS[self.load.workload]
            words = [word for word in words if word not in usual]
            words.insert(1, f"--file={pgbench.FOLDER}/{self.script}")
        if self.transactions:
            words = [f"--transactions={self.transactions}" if w.startswith("--time=") else w for w in words]
        if not self.settings:
            return words
        options = " ".join(f"-c {name}={value}" for name, value in self.settings.items())
        return ["env", f"PGOPTIONS={options}", *words]


@dataclass(frozen=True)
class LoadResult:
    """A measurement: pgbench's result, and the CPU seconds of each service and of the client.

    `machine`: processors in use, by whomever, with the kernel's interrupts (much of the network's work).
    """

    result: pgbench.PgbenchResult
    usage: meter.Usage
    machine: float = 0.0


class Loader:
    """Puts loads on ports; `at` is an address in the cluster's network, or the primary's own where it is empty."""

    def __init__(
        self, cluster: Cluster, primary: str, using: pgbench_client.PgbenchClient, scale: int, seed: int
    ) -> None:
        self.cluster, self.primary, self.scale = cluster, primary, scale
        self.client = using
        self._seeds = count(seed)
        self.look_again()

    def look_again(self) -> None:
        """Find the containers as they are now: after some were made anew."""
        self._meter = meter.Meter({**bench_machine.container_pids(self.cluster.spec.name), CLIENT: self.client.pid})

    def where(self, port: int, at: str = "") -> pgbench.Where:
        """A port as pgbench takes it."""
        host = at or str(self.cluster.spec.addresses()[self.primary])
        return pgbench.Where(host, port, self.cluster.spec.roles.app, database.NAME)

    def fill(self) -> None:
        """Make the tables on the primary; every standby shows them, and all is on disk."""
        self.client.run(pgbench.initialize(self.where(POSTGRES_PORT), self.scale), LOAD_SECONDS)
        interrupts.run(database.settle(self.cluster, self.primary))
        interrupts.run(database.spread(self.cluster, self.primary))

    def write(self, name: str, text: str) -> None:
        """A script of ours, by which `Work.script` may call it."""
        self.client.write(name, text)

    def tidy(self) -> None:
        """Before a load that writes: the versions of a row that the last one left are taken away."""
        interrupts.run(database.tidy(self.cluster, self.primary))

    def measure(self, work: Work, where: pgbench.Where, seconds: int) -> LoadResult:
        """Run it. Raises EngineFailed with pgbench's first complaint."""
        argv = work.argv(where, seconds, self.scale, busy.cores(), next(self._seeds))
        before, worked = self._meter.read(), cpu.of_machine()
        printed = self.client.run(argv, seconds)
        usage, worked = self._meter.since(before), cpu.of_machine() - worked
        result = pgbench.parse(printed, self.client.take_log())
        return LoadResult(result, usage, worked / usage.seconds if usage.seconds > 0 else 0.0)


@contextmanager
def ready(cluster: Cluster, primary: str, scale: int, seed: int, progress: Progress) -> Iterator[Loader]:
    """The client's container for the length of the block, and the database filled; it goes with the bench's cluster."""
    with pgbench_client.running(cluster, primary) as using:
        interrupts.run(database.create(cluster.with_passwords(), primary))
        loader = Loader(cluster, primary, using, scale, seed)
        with progress.step(f"loading pgbench's tables, scale {scale}"):
            loader.fill()
        yield loader


def by_part(usage: meter.Usage, parts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Processors that were used by each part, which is one or more services."""
    if usage.seconds <= 0:
        return {}
    return {
        part: sum(usage.parts.get(service, 0.0) for service in services) / usage.seconds
        for part, services in parts.items()
    }
