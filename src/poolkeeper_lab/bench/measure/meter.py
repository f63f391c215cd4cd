"""The CPU time of a period: of each container, of this program, and of all other processes (foreign).

Sources: the control group of a container (cgroup v1 `cpuacct.usage`, v2 `cpu.stat`; they include programs started by
`docker exec`), else its process tree; /proc/stat for the machine. Foreign load excludes interrupts, because the network
work of the measured parts happens there. It includes time that the hypervisor took (steal).
The container engine works for the cluster (health checks, published ports), and so do the kernel's own threads: neither
is foreign. Not promised: a program of the engine that lives only between two readings is found; it counts as foreign.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from poolkeeper_lab.bench.measure import busy, cpu

CGROUPS = Path("/sys/fs/cgroup")
FOREIGN_LIMIT = 0.10  # of all cores: a round with more is discarded
ENGINE = ("dockerd", "containerd", "containerd-shim", "docker-proxy")  # the kernel truncates names to 15 characters
_KERNEL = 2  # the parent of the kernel's threads
_FOREIGN_FIELDS = (0, 1, 2, 7)  # of a line of /proc/stat: user, nice, system, steal


@dataclass(frozen=True)
class MeterReading:
    """CPU seconds since an arbitrary start: of the machine, of this program, and of each part."""

    at: float  # monotonic seconds
    machine: float
    own: float
    parts: Mapping[str, float]
    engine: float = 0.0  # of the container engine and the kernel's threads


@dataclass(frozen=True)
class Usage:
    """Between two readings: CPU seconds of each part and of this program, and the foreign share of the machine."""

    seconds: float
    parts: Mapping[str, float]
    foreign: float
    own: float = 0.0  # of this program and its child processes

    @property
    def is_loud(self) -> bool:
        """Whether the foreign load was too high for a conclusion."""
        return self.foreign > FOREIGN_LIMIT


def between(before: MeterReading, after: MeterReading, cores: int) -> Usage:
    """Return the usage between two readings.

    A part counts as 0 if it was restarted in between, and is left out if one reading lacks it.
    """
    seconds = after.at - before.at
    parts = {name: max(0.0, after.parts[name] - spent) for name, spent in before.parts.items() if name in after.parts}
    own = max(0.0, after.own - before.own)
    engine = max(0.0, after.engine - before.engine)
    rest = after.machine - before.machine - sum(parts.values()) - own - engine
    return Usage(seconds, parts, max(0.0, rest / (cores * seconds)) if seconds > 0 else 0.0, own)


class Meter:
    """Reads the CPU time of parts; the host process id of its container's first process identifies each part."""

    def __init__(self, parts: Mapping[str, int], proc: Path = cpu.PROC, cgroups: Path = CGROUPS) -> None:
        self._proc = proc
        self._parts = {name: source(pid, proc, cgroups) for name, pid in parts.items()}

    def read(self) -> MeterReading:
        """Read all parts now."""
        parts = {name: take() for name, take in self._parts.items()}
        engine = of_engine(self._proc)
        return MeterReading(time.monotonic(), worked(self._proc), cpu.of_tree(os.getpid(), self._proc), parts, engine)

    def since(self, before: MeterReading) -> Usage:
        """Return the usage from `before` until now."""
        return between(before, self.read(), busy.cores())


def worked(proc: Path = cpu.PROC) -> float:
    """Return the CPU seconds of all cores, without idle time and interrupts."""
    words = (proc / "stat").read_text(encoding="utf-8").splitlines()[0].split()[1:]
    return sum(int(words[i]) for i in _FOREIGN_FIELDS) / cpu.TICKS


def of_engine(proc: Path = cpu.PROC) -> float:
    """Return the CPU seconds of the container engine's running processes and of the kernel's threads."""
    return sum(_engine_ticks(entry) for entry in proc.iterdir() if entry.name.isdigit()) / cpu.TICKS


def _engine_ticks(entry: Path) -> int:
    name, _, numbers = _text(entry / "stat").rpartition(")")
    words = numbers.split()
    if not words:  # it has ended
        return 0
    is_engine = name.partition("(")[2] in ENGINE or int(words[1]) == _KERNEL
    return int(words[11]) + int(words[12]) if is_engine else 0


def source(pid: int, proc: Path = cpu.PROC, cgroups: Path = CGROUPS) -> Callable[[], float]:
    """Return the function that reads the CPU seconds of a container."""
    for file, read in _candidates(pid, proc, cgroups):
        if file.is_file():
            return lambda: read(_text(file))
    return lambda: cpu.of_tree(pid, proc)


def _candidates(pid: int, proc: Path, cgroups: Path) -> list[tuple[Path, Callable[[str], float]]]:
    found: list[tuple[Path, Callable[[str], float]]] = []
    for line in _text(proc / str(pid) / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if path == "/":  # the root group, which contains every process
            continue
        if "cpuacct" in controllers.split(","):
            found += [(cgroups / name / path.lstrip("/") / "cpuacct.usage", _nanoseconds) for name in
                      ("cpuacct", "cpu,cpuacct")]  # fmt: skip
        elif number == "0":
            found.append((cgroups / path.lstrip("/") / "cpu.stat", _usage_of_stat))
    return found


def _text(file: Path) -> str:
    """Return the text of a file, or nothing if the file no longer exists."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def _nanoseconds(text: str) -> float:
    return int(text) / 1e9 if text.strip().isdigit() else 0.0


def _usage_of_stat(text: str) -> float:
    pairs = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    return int(pairs.get("usage_usec", 0)) / 1e6
