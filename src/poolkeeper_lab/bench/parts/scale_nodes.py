"""`bench scale`: what a cluster of more nodes takes to start, to be looked at, and to be tested.

Each measurement begins with nothing: a cluster of the bench's own with so many nodes is started by `up`, asked by `up`
again, `status` and `test`, and removed. Those are the commands that a user types, the interpreter's start included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.measure import cpu, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Measure, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.report.bench_model import Section

SIZES, FULL = (3, 5, 7), (3, 4, 5, 6, 7)
ROUNDS = 3
TIMES = "Seconds that a person waits"
UP, AGAIN, STATUS, SUITE = (
    Measure(name, "s", "less", TIMES) for name in ("up, from nothing", "up, already up", "status", "the suite")
)
WORK = Measure("CPU of the machine, up from nothing", "s", "less", TIMES)
METHOD = (
    "A cluster of the bench's own is started from nothing with so many nodes, three members of etcd, and the images "
    "built; then `up` again, `status` and `test`. All nodes share this machine's cores, so more nodes are more work "
    "for the same cores, which they would not be with a machine each. Foreign load is not told apart here: much of the "
    "work is the engine's own, which looks the same."
)


def name(nodes: int) -> str:
    """As "3 nodes"."""
    return f"{nodes} nodes"


class Nodes:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._place, self._options = cluster, options
        self._sizes = FULL if options.full else SIZES
        self._book = RoundsRecord([], options.rounds or ROUNDS, options.seed)

    def run(self, progress: Progress) -> None:
        """Measure. Raises PoolkeeperError; the cluster is removed in any case."""
        with scratch_cluster.scratch(self._place, progress) as own:
            contenders = tuple(Contender(name(size), self._taker(own, size)) for size in self._sizes)
            least = name(min(self._sizes))
            ratios = tuple(Ratio(c.name, least, UP) for c in contenders if c.name != least)
            self._book = RoundsRecord([Case({"what": "a cluster"}, contenders, ratios, axis="size")],
                              self._book.asked, self._options.seed)  # fmt: skip
            rounds.play(self._book, progress)

    def _taker(self, own: scratch_cluster.OwnCluster, size: int) -> Callable[[], Sample]:
        spec: ClusterSpec = self._place.spec
        return lambda: take(own, scratch_cluster.document(spec, size))

    def section(self) -> Section:
        """What was measured until now."""
        return Section(
            name="scale-nodes",
            title="Scale: more nodes",
            method=METHOD,
            tally=self._book.tally(),
            metrics=tuple(self._book.metrics()),
            charts=(UP.name,),
        )


def take(own: scratch_cluster.OwnCluster, made: dict[str, Any]) -> Sample:
    """Start such a cluster from nothing, use each command once, remove it. Raises EngineFailed."""
    own.remove()
    own.declare(made)
    before = cpu.of_machine()
    up = own.command("up")
    work = cpu.of_machine() - before
    again, status = own.command("up"), own.command("status")
    suite = own.command("test", "--reports", str(own.folder / "reports"))
    own.remove()
    return Sample({UP: up, AGAIN: again, STATUS: status, SUITE: suite, WORK: work})


def make(cluster: Cluster, options: BenchOptions) -> Nodes:
    """The part."""
    return Nodes(cluster, options)
