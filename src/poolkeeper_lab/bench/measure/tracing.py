"""Counting the system calls of a service's processes for a period: strace -c from the host.

Invariant: the path of its log, in this cluster's folder and with the service's name, identifies a strace of the bench.
It ends automatically after LIMIT seconds, whatever happened to the bench. `clear` ends the one that a killed run left.
A traced process continues as before.
Counting needs root on this machine. A traced process is many times slower, so only its counts are used, never its
times. A slow part also finds more data in each read than a fast one, so a count of reads may be slightly too small.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from poolkeeper.core import errors, file_modes, wait
from poolkeeper.system import process
from poolkeeper_lab.bench.measure import calls, cpu
from poolkeeper_lab.faults import syscalls
from poolkeeper_lab.faults.host import Host, Process

LIMIT = 300  # seconds
ATTACH_SECONDS, DETACH_SECONDS = 20.0, 20.0
FOLDER = "profile"

Choose = Callable[[Sequence[Process]], Sequence[Process]]


def available(proc: Path = cpu.PROC) -> str:
    """Return why system calls cannot be counted here; "" if they can."""
    if os.geteuid() != 0:
        return "counting system calls needs root on this machine"
    missing = [name for name in ("strace", "timeout") if not process.find(name)]
    if missing:
        return f"not installed on this machine: {', '.join(missing)}"
    return "" if syscalls.may_trace(proc) else "processes may not be traced here"


def everything(processes: Sequence[Process]) -> Sequence[Process]:
    """Return all processes of a container."""
    return processes


def of_postgresql(processes: Sequence[Process]) -> Sequence[Process]:
    """Return the server's processes, without Patroni; strace follows new server processes as children of the first."""
    return [p for p in processes if p.program == "postgres" or (p.argv[:1] and p.argv[0].startswith("postgres:"))]


@dataclass
class Counted:
    """The calls of each service, by name; filled when the counting ends."""

    of: dict[str, dict[str, int]] = field(default_factory=dict)


@contextmanager
def counting(host: Host, services: dict[str, Choose]) -> Iterator[Counted]:
    """Count the system calls for the length of the block; no strace remains afterwards.

    Raises:
        EngineFailed: if a service has no process, or a summary cannot be read.
        DeadlinePassed: if a strace does not attach or end in time.
    """
    counted = Counted()
    with ExitStack() as stack:
        for service, choose in services.items():
            stack.enter_context(_traced(host, service, choose, counted))
        yield counted


@contextmanager
def _traced(host: Host, service: str, choose: Choose, counted: Counted) -> Iterator[None]:
    log = _log(host, service)
    clear(host, service)
    file_modes.make_folder(log.parent, file_modes.PRIVATE_FOLDER)
    pids = [found.pid for found in choose(host.processes(service))]
    if not pids:
        raise errors.EngineFailed(f"{service} has no process whose system calls could be counted")
    try:
        words = [word for pid in pids for word in ("--attach", str(pid))]
        strace = ("strace", "-f", "-qq", "-c", "--output", str(log), *words)
        process.start_detached(("timeout", "--kill-after=5", str(LIMIT), *strace), _error_log(log))
        asyncio.run(_attached(service, pids))
        yield
        _stop(service, log, signal.SIGTERM)
        counted.of[service] = calls.read_summary(log.read_text(encoding="ascii", errors="replace"))
    finally:
        clear(host, service)


def clear(host: Host, service: str) -> None:
    """End every strace of the bench at a service, also one of a former run, and remove its files.

    Raises:
        DeadlinePassed: if a strace does not end.
    """
    log = _log(host, service)
    if _error_log(log).exists():  # this file exists before strace starts
        try:
            _stop(service, log, signal.SIGTERM)
        except errors.DeadlinePassed:
            _stop(service, log, signal.SIGKILL)
    for file in (log, _error_log(log)):
        file.unlink(missing_ok=True)


def _stop(service: str, log: Path, number: signal.Signals) -> None:
    for pid in syscalls.ours(log):
        syscalls.end(pid, number)

    async def check() -> None:
        if left := list(syscalls.ours(log)):
            raise wait.NotYet(f"it runs as {left}")

    asyncio.run(wait.wait_for(f"the end of strace at {service}", check, seconds=DETACH_SECONDS, pause=0.02))


async def _attached(service: str, pids: Sequence[int]) -> None:
    async def check() -> None:
        if free := [pid for pid in pids if syscalls.tracer(pid) == 0]:
            raise wait.NotYet(f"not attached to {free}")

    await wait.wait_for(f"strace of {service}", check, seconds=ATTACH_SECONDS, pause=0.02)


def _log(host: Host, service: str) -> Path:
    return host.cluster.folder.root / FOLDER / f"{service}.calls"


def _error_log(log: Path) -> Path:
    return log.with_suffix(".err")
