"""The parts of the bench, and the run that they make together.

A part is a module of this room with `make(place, options) -> Part`. `run` measures and cleans up after itself;
`section` tells at any time what was measured until then, so that an interruption or a failure loses nothing.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Protocol

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.load import bench_machine
from poolkeeper_lab.bench.report.bench_model import BenchRun, Section

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
    "try": "poolkeeper_lab.bench.parts.variants",
    "failover": "poolkeeper_lab.bench.parts.failover",
}
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class BenchOptions:
    """What a person may choose. `rounds` and `seconds` 0: each part's own default."""

    rounds: int = 0
    seconds: float = 0.0  # of one measurement
    seed: int = 0
    full: bool = False  # all of the matrix, not only what the goals and a first look need
    scale: int = 0  # of pgbench's tables; 0: the part's own default
    only: str = ""  # of the path: loads whose title has this in it
    variants: tuple[str, ...] = ()  # of `bench try`: "key=value,key=value" each
    peers: tuple[str, ...] = ()  # those that are measured beside the cluster; () all
    faults: tuple[str, ...] = ()  # of the part failover; () all


class BenchPart(Protocol):
    """One part of a run."""

    def run(self, progress: Progress) -> None:
        """Measure. Raises PoolkeeperError; what was started is taken away in any case."""

    def section(self) -> Section:
        """What was measured until now."""


@dataclass
class RunInProgress:
    """A run of several parts as it goes; `failures` are the parts that ended with an error."""

    cluster: str
    command: str
    seed: int
    sections: list[Section] = field(default_factory=list)
    failures: dict[str, errors.PoolkeeperError] = field(default_factory=dict)
    is_interrupted: bool = False

    def result(self, cluster: Cluster, started_at: str, seconds: float, foreign: float | None) -> BenchRun:
        """The run, with the machine and the versions."""
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


def made_by(name: str, cluster: Cluster, options: BenchOptions) -> BenchPart:
    """The part of that name. Raises UsageError for another one."""
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
    make: Callable[[str, Cluster, BenchOptions], BenchPart] = made_by,
) -> tuple[BenchRun, dict[str, errors.PoolkeeperError]]:
    """Run the parts one after the other; the run, and the parts that failed.

    An interruption ends the run, not the report.
    """
    started_at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    foreign = bench_machine.foreign_now(cluster.spec.name)
    sitting = RunInProgress(cluster.spec.name, command, options.seed)
    try:
        with interruptible():
            play(sitting, [(name, make(name, cluster, options)) for name in names], progress)
    except KeyboardInterrupt:
        sitting.is_interrupted = True
    return sitting.result(cluster, started_at, time.monotonic() - began, foreign), sitting.failures


def play(sitting: RunInProgress, parts: Sequence[tuple[str, BenchPart]], progress: Progress) -> None:
    """Each part in turn; its section is kept whatever ends it."""
    for name, part in parts:
        began = time.monotonic()
        notes: tuple[str, ...] = ()
        try:
            with progress.step(f"bench {name}"):
                part.run(progress)
        except errors.PoolkeeperError as e:
            sitting.failures[name] = e
            notes = (f"it ended early: {e.message}",)
        finally:
            told = part.section()
            update = {"seconds": time.monotonic() - began, "notes": (*notes, *told.notes)}
            sitting.sections.append(told.model_copy(update=update))


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP are as good as Ctrl-C inside, and Ctrl-C counts also where a shell had it ignored."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_SIGNALS)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
