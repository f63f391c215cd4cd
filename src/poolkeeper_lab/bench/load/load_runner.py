"""One load on one port of a cluster: the result of pgbench, and the CPU time of each part meanwhile.

This module serves the parts of the bench that do more than compare endpoints: they slow nodes, take servers out of
service, or change how a commit waits. The tables are pgbench's, in the bench's own database.
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
LOAD_SECONDS = 900.0  # to create the tables: a database of 1 GB on two slow cores


@dataclass(frozen=True)
class Work:
    """A load, and how it differs from the usual run.

    `script` is the name of a file in the client's container. `settings` are set for each session (libpq's PGOPTIONS).
    With `transactions`, each client runs that many transactions instead of running for a time.
    """

    load: pgbench.PgbenchLoad
    script: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    transactions: int = 0

    def argv(self, where: pgbench.Where, seconds: int, scale: int, cores: int, seed: int) -> list[str]:
        """Return the command line."""
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

    `machine`: processors in use by all processes, including the kernel's interrupts (much of the network's work).
    """

    result: pgbench.PgbenchResult
    usage: meter.Usage
    machine: float = 0.0


class Loader:
    """Runs loads on ports; `at` is an address in the cluster's network. If it is empty, the primary's own is used."""

    def __init__(
        self, cluster: Cluster, primary: str, using: pgbench_client.PgbenchClient, scale: int, seed: int
    ) -> None:
        self.cluster, self.primary, self.scale = cluster, primary, scale
        self.client = using
        self._seeds = count(seed)
        self.find_containers()

    def find_containers(self) -> None:
        """Find the containers again, after some of them were re-created."""
        self._meter = meter.Meter({**bench_machine.container_pids(self.cluster.spec.name), CLIENT: self.client.pid})

    def where(self, port: int, at: str = "") -> pgbench.Where:
        """Return the connection parameters of a port."""
        host = at or str(self.cluster.spec.addresses()[self.primary])
        return pgbench.Where(host, port, self.cluster.spec.roles.app, database.NAME)

    def fill(self) -> None:
        """Create the tables on the primary, and wait until every standby has them and all of it is on disk."""
        self.client.run(pgbench.initialize(self.where(POSTGRES_PORT), self.scale), LOAD_SECONDS)
        interrupts.run(database.settle(self.cluster, self.primary))
        interrupts.run(database.spread(self.cluster, self.primary))

    def write(self, name: str, text: str) -> None:
        """Write a script that `Work.script` can name."""
        self.client.write(name, text)

    def tidy(self) -> None:
        """Vacuum the small tables before a load that writes: the last one left dead row versions."""
        interrupts.run(database.tidy(self.cluster, self.primary))

    def measure(self, work: Work, where: pgbench.Where, seconds: int) -> LoadResult:
        """Run the work for `seconds`, and return its result.

        Raises:
            EngineFailed: with pgbench's first error message.
        """
        argv = work.argv(where, seconds, self.scale, busy.cores(), next(self._seeds))
        before, worked = self._meter.read(), cpu.of_machine()
        printed = self.client.run(argv, seconds)
        usage, worked = self._meter.since(before), cpu.of_machine() - worked
        result = pgbench.parse(printed, self.client.take_log())
        return LoadResult(result, usage, worked / usage.seconds if usage.seconds > 0 else 0.0)


@contextmanager
def ready(cluster: Cluster, primary: str, scale: int, seed: int, progress: Progress) -> Iterator[Loader]:
    """Run the client's container for the length of the block, with the database filled.

    The database is not dropped: the cluster is the bench's own and is removed.
    """
    with pgbench_client.running(cluster, primary) as using:
        interrupts.run(database.create(cluster.with_passwords(), primary))
        loader = Loader(cluster, primary, using, scale, seed)
        with progress.step(f"loading pgbench's tables, scale {scale}"):
            loader.fill()
        yield loader


def by_part(usage: meter.Usage, parts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the number of processors that each part used; a part is one or more services."""
    if usage.seconds <= 0:
        return {}
    return {
        part: sum(usage.parts.get(service, 0.0) for service in services) / usage.seconds
        for part, services in parts.items()
    }
