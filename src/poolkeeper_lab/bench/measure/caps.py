"""Nodes that are capped to a part of one processor each, and whether they used all of it.

`docker update --cpus` caps a container permanently. It cannot set "no limit" again, and need not: the cluster is the
bench's own and is removed. The share of its cap that a node used shows whether the cap limited it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolkeeper.system import process

AT_CAP = 0.9  # of its cap: a node that used more was limited by it
BUSY = 0.95  # of all cores: no part could have used more


def limit(containers: Sequence[str], cpus: float) -> None:
    """Cap each container to `cpus` processors.

    Raises:
        EngineFailed: if the engine refuses.
    """
    argv = ["docker", "update", "--cpus", f"{cpus:g}", *containers]
    process.check(argv, timeout=60, what="docker update --cpus")


@dataclass(frozen=True)
class CapLoad:
    """The processors that each part used in a measurement, by its name, and the total of the machine."""

    parts: Mapping[str, float]  # part → processors (CPU seconds a second)
    readers: Sequence[str]  # the parts that should be the limit
    cap: float
    cores: int
    machine: float  # processors in use, of `cores`

    @property
    def of_cap(self) -> float:
        """The least share of its cap that a reader used."""
        return min((self.parts.get(name, 0.0) / self.cap for name in self.readers), default=0.0)

    def limit(self) -> str:
        """Name the limit of the throughput: "the capped nodes", "the machine's cores", or the busiest part."""
        if self.of_cap >= AT_CAP:
            return NODES
        if self.machine >= BUSY * self.cores:
            return CORES
        others = {name: used for name, used in self.parts.items() if name not in self.readers}
        if not others:
            return UNKNOWN
        return f"{max(others, key=lambda name: others[name])}, or too few clients"


NODES, CORES, UNKNOWN = "the capped nodes", "the machine's cores", "unknown"
