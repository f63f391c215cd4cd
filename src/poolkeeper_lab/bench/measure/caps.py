"""Nodes that have a part of one processor each, and whether they used all of it.

`docker update --cpus` limits a container for good; it has no way back to "no limit" and needs none: the cluster is the
bench's own and is removed. Whether a node was held back is read from its control group (`nr_throttled`), by both
versions of control groups; where that cannot be read the share that it used has to tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poolkeeper.system import process

AT_CAP = 0.9  # of its cap: who used more of it was held back by it
BUSY = 0.95  # of the whole machine: nobody could have done more


def limit(containers: Sequence[str], cpus: float) -> None:
    """Give each container so many processors at most. Raises EngineFailed."""
    argv = ["docker", "update", "--cpus", f"{cpus:g}", *containers]
    process.check(argv, timeout=60, what="docker update --cpus")


@dataclass(frozen=True)
class CapLoad:
    """Who used how many processors in a measurement: each part by its name, and the machine as a whole."""

    parts: Mapping[str, float]  # part → processors (CPU seconds a second)
    readers: Sequence[str]  # the parts that are meant to be the limit
    cap: float
    cores: int
    machine: float  # processors in use, of `cores`

    @property
    def of_cap(self) -> float:
        """The least share of its cap that a reader used."""
        return min((self.parts.get(name, 0.0) / self.cap for name in self.readers), default=0.0)

    def limit(self) -> str:
        """What held the throughput back: "the capped nodes", "the machine's cores", or the busiest part."""
        if self.of_cap >= AT_CAP:
            return NODES
        if self.machine >= BUSY * self.cores:
            return CORES
        others = {name: used for name, used in self.parts.items() if name not in self.readers}
        if not others:
            return UNKNOWN
        return f"{max(others, key=lambda name: others[name])}, or too few clients"


NODES, CORES, UNKNOWN = "the capped nodes", "the machine's cores", "cannot be told"
