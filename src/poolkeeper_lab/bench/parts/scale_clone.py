"""`bench scale`: what a new standby takes, of an empty cluster and of one that holds data.

A node is added to cluster.toml and `up` is run: it starts the node, which clones the primary, and returns when
everything is green. After each measurement the node is taken out of cluster.toml again, with its data. What the data
adds to the time is told by the same of an empty cluster.
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
from poolkeeper_lab.bench.report.bench_model import Metric, RoundTally, Section
from poolkeeper_lab.drill import drill_run as drill

NODES = 3  # before one is added
ROUNDS, SCALE = 3, 64  # 64: about 1 GB
HEALTHY_SECONDS = 120.0
EMPTY = "nothing but what every cluster has"
GROUP = "Time of a new standby"
SECONDS, SIZE, RATE = "until all is green", "data of the cluster", "data a second beyond an empty cluster's time"
_SIZE = "SELECT sum(pg_database_size(oid)) FROM pg_database"
METHOD = (
    f"A node is added to cluster.toml of a cluster of {NODES} nodes and `up` is run; it returns when the new standby "
    "streams and every witness agrees. The rounds of one size follow each other, as the data cannot be taken away and "
    "put back in between."
)


@dataclass
class CloneTimes:
    """The measurements of one size: seconds of each round, and the bytes of all databases."""

    title: str
    size: int = 0
    seconds: list[float] = field(default_factory=list)


def rate(empty: CloneTimes, full: CloneTimes) -> list[float]:
    """MB (10^6 bytes) a second, by the rounds in their order: what the data added to the time. Pure.

    A round in which it added nothing has no rate.
    """
    more = [after - before for before, after in zip(empty.seconds, full.seconds, strict=False)]
    return [(full.size - empty.size) / 1e6 / seconds for seconds in more if seconds > 0]


class Clone:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._place, self._options = cluster, options
        self._rounds, self._scale = options.rounds or ROUNDS, options.scale or SCALE
        self._empty, self._full = CloneTimes(EMPTY), CloneTimes(f"pgbench's tables, scale {self._scale}")

    def run(self, progress: Progress) -> None:
        """Measure. Raises PoolkeeperError, DiskFull before anything is started; the cluster is removed in any case."""
        with scratch_cluster.scratch(self._place, progress) as own:
            disk_space.check(NODES + 1, self._scale, disk_space.engine_folder())
            own.declare(self._document(NODES))
            with progress.step(f"starting a cluster of {NODES} nodes"):
                own.command("up")
            cluster = own.cluster
            primary = interrupts.run(drill.drilled(cluster).wait_healthy(HEALTHY_SECONDS))
            self._take_all(own, primary, self._empty, progress)
            with load_runner.ready(cluster, primary, self._scale, self._options.seed, progress):
                self._take_all(own, primary, self._full, progress)

    def _document(self, nodes: int) -> dict[str, object]:
        return scratch_cluster.document(self._place.spec, nodes, most=NODES + 1)

    def _take_all(self, own: scratch_cluster.OwnCluster, primary: str, taken: CloneTimes, progress: Progress) -> None:
        dsn = own.cluster.with_passwords().node(primary, "superuser")
        ((size,),) = interrupts.run(postgres.query(dsn, _SIZE, own.cluster.spec.timeouts.query))
        taken.size = int(size)
        for number in range(1, self._rounds + 1):
            with progress.step(f"{taken.title}: a new standby, {number} of {self._rounds}"):
                own.declare(self._document(NODES + 1))
                seconds = own.command("up")
            taken.seconds.append(seconds)
            own.declare(self._document(NODES))
            own.command("up")  # the node is no longer declared: it goes, with its data

    def section(self) -> Section:
        """What was measured until now."""
        return Section(
            name="scale-clone",
            title="Scale: a new standby",
            method=METHOD,
            tally=RoundTally(asked=2 * self._rounds, kept=len(self._empty.seconds) + len(self._full.seconds)),
            metrics=tuple(self._metrics()),
            charts=(SECONDS,),
        )

    def _metrics(self) -> list[Metric]:
        seed, found = self._options.seed, []
        for taken in (self._empty, self._full):
            about = {"data": taken.title}
            sizes = [taken.size / 1e6] if taken.size else []
            found.append(estimate.metric(about, SECONDS, taken.seconds, seed, unit="s", better="less", group=GROUP))
            found.append(estimate.metric(about, SIZE, sizes, seed, unit="MB", group=GROUP))
        about = {"data": self._full.title}
        found.append(estimate.metric(about, RATE, rate(self._empty, self._full), seed, unit="MB/s", better="more",
                                     group=GROUP))  # fmt: skip
        return found


def make(cluster: Cluster, options: BenchOptions) -> Clone:
    """The part."""
    return Clone(cluster, options)
