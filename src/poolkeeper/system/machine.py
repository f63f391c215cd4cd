"""The machine that all containers share, and the file systems inside the containers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.model.diagnosis import HostLoad, Volume
from poolkeeper.system import process

DF = ("df", "-B1", "--output=target,size,used,avail")


def cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0))


def memory() -> dict[str, int]:
    """Return the fields of /proc/meminfo, in MiB.

    Raises:
        Unreachable: if /proc is not readable.
    """
    return read_memory(_proc("meminfo"))


def host_load() -> HostLoad:
    """Return the current cores, load and memory.

    Raises:
        Unreachable: if /proc lacks one of them.
    """
    found = memory()
    try:
        load = float(_proc("loadavg").split()[0])
        return HostLoad(cores(), load, found["MemTotal"], found["MemAvailable"])
    except (IndexError, KeyError, ValueError) as e:
        raise errors.Unreachable(f"/proc does not report the load or the memory: {e!r}") from e


def read_memory(text: str) -> dict[str, int]:
    """Read the text of /proc/meminfo as MiB by name; lines in another unit are omitted."""
    words = (line.replace(":", " ").split() for line in text.splitlines())
    return {word[0]: int(word[1]) // 1024 for word in words if len(word) == 3 and word[2] == "kB"}


def _proc(name: str) -> str:
    try:
        return (Path("/proc") / name).read_text(encoding="utf-8")
    except OSError as e:
        raise errors.Unreachable(f"/proc/{name}: {e.strerror}") from e


def volumes(container: str, paths: Sequence[str], timeout: float) -> tuple[Volume, ...]:
    """Return the file systems of these paths in a container; `timeout` is in seconds.

    Raises:
        EngineFailed: if `df` cannot run in the container.
    """
    text = process.check(["docker", "exec", container, *DF, *paths], timeout=timeout, what=f"df in {container}")
    return read_volumes(text)


def read_volumes(text: str) -> tuple[Volume, ...]:
    """Read the output of `df`.

    Raises:
        EngineFailed: for a text of another form.
    """
    try:
        rows = [line.rsplit(maxsplit=3) for line in text.strip().splitlines()[1:]]
        return tuple(Volume(path, int(size), int(used), int(free)) for path, size, used, free in rows)
    except ValueError as e:
        raise errors.EngineFailed(f"df printed an unknown text: {text[:200]!r}") from e
