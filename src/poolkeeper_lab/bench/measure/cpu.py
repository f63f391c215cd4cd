"""The CPU time of a start: CPU seconds of the machine meanwhile, and of the containers by their image.

Source: Linux, proc(5): /proc/stat and /proc/PID/stat, in ticks. A process's time includes that of the children it has
waited for, so the work of each process is counted once. Not promised: that the machine did nothing else meanwhile.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolkeeper.system import compose
from poolkeeper_lab.faults.host import descendants

PROC = Path("/proc")
IMAGE_LABEL = "poolkeeper.image"
TICKS = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)  # of a line of /proc/stat: idle, iowait
_GUEST = 8  # user time already includes guest time and the fields after it


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one start: of the machine, and of the containers by their image."""

    machine: float
    containers: Mapping[str, float]


@dataclass(frozen=True)
class CpuSummary:
    """Medians of several runs, in CPU seconds. `rest`: the engine, the command itself, and all other processes."""

    machine: float
    containers: Mapping[str, float]
    rest: float
    cores: int

    @property
    def least_seconds(self) -> float:
        """The least duration of this work in seconds: no core is ever idle."""
        return self.machine / self.cores


def of_machine(proc: Path = PROC) -> float:
    """Return the CPU seconds of all cores together since the machine started."""
    words = (proc / "stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    return sum(int(word) for i, word in enumerate(words[:_GUEST]) if i not in _IDLE) / TICKS


def of_tree(first: int, proc: Path = PROC) -> float:
    """Return the CPU seconds of a process and its descendants; one that ends meanwhile is left out."""
    return sum(_own(proc / str(found.pid)) for found in descendants(first, proc))


def _own(entry: Path) -> float:
    try:
        words = (entry / "stat").read_text(errors="replace", encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, words[11:15])) / TICKS  # utime, stime, cutime, cstime


def of_cluster(name: str) -> dict[str, float]:
    """Map each image (postgres, etcd, pgpool, …) to the CPU seconds of all its containers in a cluster.

    Raises:
        EngineFailed: if the engine does not answer.
    """
    found: dict[str, float] = {}
    for document in compose.inspect(name):
        image = str(document["Config"]["Labels"][IMAGE_LABEL])
        found[image] = found.get(image, 0.0) + of_tree(int(document["State"]["Pid"]))
    return found


def summary(costs: Sequence[Cost], cores: int) -> CpuSummary:
    """Return the median of each part.

    Raises:
        ValueError: if there are no costs.
    """
    if not costs:
        raise ValueError("nothing was measured")
    names = sorted(set().union(*(cost.containers for cost in costs)))
    parts = {name: statistics.median(cost.containers.get(name, 0.0) for cost in costs) for name in names}
    rest = statistics.median(cost.machine - sum(cost.containers.values()) for cost in costs)
    return CpuSummary(statistics.median(cost.machine for cost in costs), parts, rest, cores)
