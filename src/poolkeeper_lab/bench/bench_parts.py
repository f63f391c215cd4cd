"""The parts of the bench, and the run that combines them.

A part is a module of `bench/parts` with `make(cluster, options) -> BenchPart`. `run` measures and cleans up after
itself. `section` returns the results so far at any time, so an interruption or a failure loses no result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Protocol

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.load import bench_machine
from poolkeeper_lab.bench.report.bench_model import BenchRun, BenchSection

# Name → module, in the order of `bench all`.
PARTS: dict[str, str] = {
    "path": "poolkeeper_lab.bench.parts.path",
    "storm": "poolkeeper_lab.bench.parts.storm",
    "startup": "poolkeeper_lab.bench.parts.startup_part",
    "scale-reads": "poolkeeper_lab.bench.parts.scale_reads",
    "scale-nodes": "poolkeeper_lab.bench.parts.scale_nodes",
    "scale-clone": "poolkeeper_lab.bench.parts.scale_clone",
    "overhead": "poolkeeper_lab.bench.parts.overhead",
    "profile": "poolkeeper_lab.bench.parts.profile",
    "try": "poolkeeper_lab.bench.parts.try_part",
    "failover": "poolkeeper_lab.bench.parts.failover",
}


@dataclass(frozen=True)
class BenchOptions:
    """The options of a run. With 0 for `rounds` or `seconds`, each part uses its own default."""

    rounds: int = 0
    seconds: float = 0.0  # of one measurement
    seed: int = 0
    full: bool = False  # the complete matrix, not only the loads that the goals and an overview need
    scale: int = 0  # of pgbench's tables; 0 is the part's own default
    only: str = ""  # of the path: only loads whose title contains this text
    variants: tuple[str, ...] = ()  # of `bench try`: "key=value,key=value" each
    peers: tuple[str, ...] = ()  # the peers that are measured beside the cluster; () is all
    faults: tuple[str, ...] = ()  # of the part `failover`; () is all


class BenchPart(Protocol):
    """One part of a run."""

    def run(self, progress: Progress) -> None:
        """Measure, and remove everything that was started in any case.

        Raises:
            PoolkeeperError: if the measurement cannot be completed.
        """

    def section(self) -> BenchSection:
        """Return the results so far."""


@dataclass
class RunInProgress:
    """A run of several parts while it is running; `failures` holds the parts that ended with an error."""

    cluster: str
    command: str
    seed: int
    sections: list[BenchSection] = field(default_factory=list)
    failures: dict[str, errors.PoolkeeperError] = field(default_factory=dict)
    is_interrupted: bool = False

    def result(self, cluster: Cluster, started_at: str, seconds: float, foreign: float | None) -> BenchRun:
        """Return the run with the machine, the versions and the settings."""
        return BenchRun(
            cluster=self.cluster,
            command=self.command,
            started_at=started_at,
            seconds=seconds,
            seed=self.seed,
            machine=bench_machine.describe(foreign=foreign),
            versions=bench_machine.versions_of(cluster),
            settings=bench_machine.settings_of(cluster),
            sections=tuple(self.sections),
            is_interrupted=self.is_interrupted,
        )


def make_part(name: str, cluster: Cluster, options: BenchOptions) -> BenchPart:
    """Return the part with this name.

    Raises:
        UsageError: if there is no such part.
    """
    if name not in PARTS:
        raise errors.UsageError(f"the bench has no part {name!r}", hint=f"Its parts: {', '.join(PARTS)}.")
    make: Callable[[Cluster, BenchOptions], BenchPart] = import_module(PARTS[name]).make
    return make(cluster, options)


def perform(
    cluster: Cluster,
    names: Sequence[str],
    options: BenchOptions,
    command: str,
    progress: Progress,
    make: Callable[[str, Cluster, BenchOptions], BenchPart] = make_part,
) -> tuple[BenchRun, dict[str, errors.PoolkeeperError]]:
    """Run the parts one after the other, and return the run and the parts that failed.

    An interruption ends the run; the report is written all the same.
    """
    started_at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    foreign = bench_machine.foreign_now(cluster.spec.name)
    run = RunInProgress(cluster.spec.name, command, options.seed)
    try:
        with interrupts.signals_as_interrupt():
            run_parts(run, [(name, make(name, cluster, options)) for name in names], progress)
    except KeyboardInterrupt:
        run.is_interrupted = True
    return run.result(cluster, started_at, time.monotonic() - began, foreign), run.failures


def run_parts(run: RunInProgress, parts: Sequence[tuple[str, BenchPart]], progress: Progress) -> None:
    """Run each part in turn, and keep its section however it ends."""
    for name, part in parts:
        began = time.monotonic()
        notes: tuple[str, ...] = ()
        try:
            with progress.step(f"bench {name}"):
                part.run(progress)
        except errors.PoolkeeperError as e:
            run.failures[name] = e
            notes = (f"it ended early: {e.message}",)
        finally:
            section = part.section()
            update = {"seconds": time.monotonic() - began, "notes": (*notes, *section.notes)}
            run.sections.append(section.model_copy(update=update))
