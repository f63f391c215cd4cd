"""`bench startup`: the waiting times of a user.

Not promised: a verdict on its goals while the cluster itself runs beside it. The report then shows the figures, and the
goals count as not measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.system import compose, images
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.measure import estimate, startup_times
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchSection, Metric, RoundTally
from poolkeeper_lab.bench.report.compare import RATIO

ROUNDS = 3
TIMES = "time ÷ initdb"
METHOD = (
    "A cluster of its own name, network and ports is started and taken down in each round, by the commands that a user "
    "types, with the images built. The yardstick is one initdb in a container of the same image."
)


class Startup:
    """The part."""

    def __init__(self, cluster: Cluster, options: BenchOptions) -> None:
        self._cluster, self._seed, self._rounds = cluster, options.seed, options.rounds or ROUNDS
        self._measured: startup_times.Measured | None = None
        self._beside = False

    def run(self, progress: Progress) -> None:
        """Measure; its cluster is removed in any case.

        Raises:
            EngineFailed: if a command fails.
        """
        spec = self._cluster.spec
        self._beside = any(container.is_running for container in compose.containers(spec.name).values())
        image = images.references(spec, self._cluster.image_sources)["postgres"]
        with tempfile.TemporaryDirectory(prefix="poolkeeper-bench-") as folder:
            self._measured = startup_times.measure(spec, image, Path(folder), self._rounds, progress)

    def section(self) -> BenchSection:
        """Return the results."""
        measured = self._measured
        return BenchSection(
            name="startup",
            title="Start-up: how long a person waits",
            method=METHOD,
            tally=RoundTally(asked=self._rounds, kept=self._rounds if measured else 0),
            metrics=tuple(self._metrics(measured.seconds)) if measured else (),
            goals=tuple(self._goal(name, limit) for name, limit in startup_times.GOALS.items()),
            notes=(startup_times.work_line(measured.work),) if measured else (),
            charts=("time",),
        )

    def _metrics(self, seconds: dict[str, tuple[float, ...]]) -> Iterator[Metric]:
        yardstick = seconds[startup_times.YARDSTICK]
        for name, rounds in seconds.items():
            yield estimate.metric({"what": name}, "time", rounds, self._seed, unit="s", better="less")
            if name != startup_times.YARDSTICK:
                times = [one / other for one, other in zip(rounds, yardstick, strict=True)]
                yield estimate.metric({"what": name}, TIMES, times, self._seed, unit=RATIO, better="less")

    def _goal(self, name: str, limit: float) -> BenchGoal:
        rounds = self._measured.seconds[name] if self._measured else ()
        found = None if self._beside else estimate.estimate(rounds, self._seed)
        why = f"the cluster {self._cluster.spec.name} was running beside it" if self._beside else "it was not run"
        return BenchGoal(
            sentence=name, limit=limit, is_least=False, unit="s", estimate=found, reason="" if found else why
        )


def make(cluster: Cluster, options: BenchOptions) -> Startup:
    """Return the part."""
    return Startup(cluster, options)
