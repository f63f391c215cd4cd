"""`bench scale`: the time of a new standby, for an empty cluster and for one with data.

The bench adds a node to cluster.toml and runs `up`. `up` starts the node, which clones the primary, and returns when
all health checks pass. After each measurement, the bench removes the node from cluster.toml again, with its data. The
comparison with the empty cluster shows the time that the data adds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.system import postgres
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import load_runner
from poolkeeper_lab.bench.measure import disk_space, estimate
from poolkeeper_lab.bench.report.bench_model import BenchSection, Metric, RoundTally
from poolkeeper_lab.drill import drill_run

NODES = 3  # before one is added
ROUNDS, SCALE = 3, 64  # 64: about 1 GB
HEALTHY_SECONDS = 120.0
EMPTY = "nothing but what every cluster has"
GROUP = "Time of a new standby"
SECONDS, SIZE, RATE = (
    "until all health checks pass",
    "data of the cluster",
    "data a second beyond an empty cluster's time",
)
_SIZE = "SELECT sum(pg_database_size(oid)) FROM pg_database"
METHOD = (
    f"A node is added to cluster.toml of a cluster of {NODES} nodes and `up` is run; it returns when the new standby "
    "streams and every component agrees. The rounds of one size follow each other, as the data cannot be taken away "
    "and put back in between."
)


@dataclass
class CloneTimes:
    """The measurements of one size: the seconds of each round, and the bytes of all databases."""

    title: str
    size: int = 0
    seconds: list[float] = field(default_factory=list)


def rate(empty: CloneTimes, full: CloneTimes) -> list[float]:
    """Return the rate in MB (10^6 bytes) a second for each round: the data, divided by the time that it added. Pure.

    A round in which the data added no time has no rate.
    """
    more = [after - before for before, after in zip(empty.seconds, full.seconds, strict=False)]
    return [(full.size - empty.size) / 1e6 / seconds for seconds in more if seconds > 0]


class Clone:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._empty, self._full = CloneTimes(EMPTY), CloneTimes(f"pgbench's tables, scale {self._scale}")

    def run(self, progress: Progress) -> None:
        """Measure; the cluster is removed in any case.

        Raises:
            DiskFull: before anything is started, if the disk is too small.
            PoolkeeperError: if the measurement cannot be completed.
        """
        with scratch_cluster.scratch(self._cluster, progress) as own:
            disk_space.check(NODES + 1, self._scale, disk_space.engine_folder())
            own.declare(self._document(NODES))
            with progress.step(f"starting a cluster of {NODES} nodes"):
                own.command("up")
            cluster = own.cluster
            primary = interrupts.run(drill_run.drilled(cluster).wait_healthy(HEALTHY_SECONDS))
            self._take_all(own, primary, self._empty, progress)
            with load_runner.ready(cluster, primary, self._scale, self._options.seed, progress):
                self._take_all(own, primary, self._full, progress)

    def _document(self, nodes: int) -> dict[str, object]:
        return scratch_cluster.document(self._cluster.spec, nodes, most=NODES + 1)

    def _take_all(
        self, own: scratch_cluster.ScratchCluster, primary: str, times: CloneTimes, progress: Progress
    ) -> None:
        dsn = own.cluster.with_passwords().node(primary, "superuser")
        ((size,),) = interrupts.run(postgres.query(dsn, _SIZE, own.cluster.spec.timeouts.query))
        times.size = int(size)
        for number in range(1, self._rounds + 1):
            with progress.step(f"{times.title}: a new standby, {number} of {self._rounds}"):
                own.declare(self._document(NODES + 1))
                seconds = own.command("up")
            times.seconds.append(seconds)
            own.declare(self._document(NODES))
            own.command("up")  # removes the node, which is no longer declared, with its data

    def section(self) -> BenchSection:
        """Return the results so far."""
        return BenchSection(
            name="scale-clone",
            title="Scale: a new standby",
            method=METHOD,
            tally=RoundTally(asked=2 * self._rounds, kept=len(self._empty.seconds) + len(self._full.seconds)),
            metrics=tuple(self._metrics()),
            charts=(SECONDS,),
        )

    def _metrics(self) -> list[Metric]:
        seed, found = self._options.seed, []
        for times in (self._empty, self._full):
            about = {"data": times.title}
            sizes = [times.size / 1e6] if times.size else []
            found.append(estimate.metric(about, SECONDS, times.seconds, seed, unit="s", better="less", group=GROUP))
            found.append(estimate.metric(about, SIZE, sizes, seed, unit="MB", group=GROUP))
        about = {"data": self._full.title}
        found.append(estimate.metric(about, RATE, rate(self._empty, self._full), seed, unit="MB/s", better="more",
                                     group=GROUP))  # fmt: skip
        return found


def make(cluster: Cluster, options: BenchOptions) -> Clone:
    """Return the part."""
    return Clone(cluster, options)
