"""The machine that all containers share, and the file systems inside them.

Raises EngineFailed where a container cannot be asked, and Unreachable where /proc does not say.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.model.diagnosis import HostLoad, Volume
from poolkeeper.system import process

DF = ("df", "-B1", "--output=target,size,used,avail")


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> dict[str, int]:
    """/proc/meminfo, in MiB."""
    return read_memory(_proc("meminfo"))


def host_load() -> HostLoad:
    """Cores, load and memory at this moment."""
    found = memory()
    try:
        load = float(_proc("loadavg").split()[0])
        return HostLoad(cores(), load, found["MemTotal"], found["MemAvailable"])
    except (IndexError, KeyError, ValueError) as e:
        raise errors.Unreachable(f"/proc does not tell the load or the memory: {e!r}") from e


def read_memory(text: str) -> dict[str, int]:
    """The text of /proc/meminfo → MiB by name; lines in another unit are left out."""
    words = (line.replace(":", " ").split() for line in text.splitlines())
    return {word[0]: int(word[1]) // 1024 for word in words if len(word) == 3 and word[2] == "kB"}


def _proc(name: str) -> str:
    try:
        return (Path("/proc") / name).read_text()
    except OSError as e:
        raise errors.Unreachable(f"/proc/{name}: {e.strerror}") from e


def volumes(container: str, paths: Sequence[str], timeout: float) -> tuple[Volume, ...]:
    """The file systems of these paths in a container; `timeout` in seconds."""
    text = process.check(["docker", "exec", container, *DF, *paths], timeout=timeout, what=f"df in {container}")
    return read_volumes(text)


def read_volumes(text: str) -> tuple[Volume, ...]:
    """What `df` printed → file systems. Raises EngineFailed for a text of another form."""
    try:
        rows = [line.rsplit(maxsplit=3) for line in text.strip().splitlines()[1:]]
        return tuple(Volume(path, int(size), int(used), int(free)) for path, size, used, free in rows)
    except ValueError as e:
        raise errors.EngineFailed(f"df printed something unknown: {text[:200]!r}") from e
