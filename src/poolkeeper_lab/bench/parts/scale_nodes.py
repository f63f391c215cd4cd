"""`bench scale`: the times of `up`, `status` and `test` for clusters of more nodes.

Each measurement starts from nothing: `up` starts a cluster of the bench's own with that many nodes. Then the bench runs
`up` again, `status` and `test`, and removes the cluster. These are the commands that a user types, the interpreter's
start included.
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
from poolkeeper_lab.bench.report.bench_model import BenchSection

SIZES, FULL = (3, 5, 7), (3, 4, 5, 6, 7)
ROUNDS = 3
TIMES = "Seconds that a person waits"
UP, AGAIN, STATUS, SUITE = (
    Measure(name, "s", "less", TIMES) for name in ("up, from nothing", "up, already up", "status", "the suite")
)
WORK = Measure("CPU of the machine, up from nothing", "s", "less", TIMES)
METHOD = (
    "The bench starts a cluster of its own from nothing with the given number of nodes, three members of etcd, and the "
    "images built; then it runs `up` again, `status` and `test`. All nodes share this machine's cores, so more nodes "
    "are more work for the same cores. That would not be so with a machine for each node. Foreign load is not "
    "separated here: the engine does much of the work itself, and the bench cannot tell its work from foreign load."
)


def name(nodes: int) -> str:
    """Return a text such as "3 nodes"."""
    return f"{nodes} nodes"


class Nodes:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._options = cluster, options
        self._sizes = FULL if options.full else SIZES
        self._record = RoundsRecord([], options.rounds or ROUNDS, options.seed)

    def run(self, progress: Progress) -> None:
        """Measure; the cluster is removed in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """
        with scratch_cluster.scratch(self._cluster, progress) as own:
            contenders = tuple(Contender(name(size), self._taker(own, size)) for size in self._sizes)
            least = name(min(self._sizes))
            ratios = tuple(Ratio(c.name, least, UP) for c in contenders if c.name != least)
            self._record = RoundsRecord([Case({"what": "a cluster"}, contenders, ratios, axis="size")],
                              self._record.asked, self._options.seed)  # fmt: skip
            rounds.play(self._record, progress)

    def _taker(self, own: scratch_cluster.ScratchCluster, size: int) -> Callable[[], Sample]:
        spec: ClusterSpec = self._cluster.spec
        return lambda: take(own, scratch_cluster.document(spec, size))

    def section(self) -> BenchSection:
        """Return the results so far."""
        return BenchSection(
            name="scale-nodes",
            title="Scale: more nodes",
            method=METHOD,
            tally=self._record.tally(),
            metrics=tuple(self._record.metrics()),
            charts=(UP.name,),
        )


def take(own: scratch_cluster.ScratchCluster, made: dict[str, Any]) -> Sample:
    """Start the declared cluster from nothing, run each command once, and remove it.

    Raises:
        EngineFailed: if a command fails.
    """
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
    """Return the part."""
    return Nodes(cluster, options)
