"""Counting the system calls of a service's processes for a while: strace -c from the host.

Invariant: a strace of ours is known by its log, whose path has this cluster's folder and the service, and ends by
itself after LIMIT seconds whatever became of us; `clear` ends what a killed run left. Who was traced goes on as before.
Needs root on this machine. A traced process is many times slower, so only its counts are used, never its times; a
slow part also finds more to read at once than a fast one, so a count of reads may be a little too small.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from poolkeeper.core import errors, wait
from poolkeeper.system import process
from poolkeeper_lab.bench.measure import calls, cpu
from poolkeeper_lab.faults import syscalls
from poolkeeper_lab.faults.host import Host, Process

LIMIT = 300  # seconds
ATTACH_SECONDS, DETACH_SECONDS = 20.0, 20.0
FOLDER = "profile"

Choose = Callable[[Sequence[Process]], Sequence[Process]]


def available(proc: Path = cpu.PROC) -> str:
    """Why no system calls can be counted here; "" if they can."""
    if os.geteuid() != 0:
        return "counting system calls needs root on this machine"
    missing = [name for name in ("strace", "timeout") if not process.find(name)]
    if missing:
        return f"not installed on this machine: {', '.join(missing)}"
    return "" if syscalls.may_trace(proc) else "processes may not be traced here"


def everything(processes: Sequence[Process]) -> Sequence[Process]:
    """All of a container."""
    return processes


def of_postgresql(processes: Sequence[Process]) -> Sequence[Process]:
    """The server and its processes, not Patroni beside it. A new server process is met as a child of the first."""
    return [p for p in processes if p.program == "postgres" or (p.argv[:1] and p.argv[0].startswith("postgres:"))]


@dataclass
class Counted:
    """The calls of each service, by name; filled when the counting ends."""

    of: dict[str, dict[str, int]] = field(default_factory=dict)


@contextmanager
def counting(host: Host, services: dict[str, Choose]) -> Iterator[Counted]:
    """Count for the length of the block. Raises EngineFailed or DeadlinePassed, with nothing left behind."""
    counted = Counted()
    with ExitStack() as stack:
        for service, choose in services.items():
            stack.enter_context(_traced(host, service, choose, counted))
        yield counted


@contextmanager
def _traced(host: Host, service: str, choose: Choose, counted: Counted) -> Iterator[None]:
    log = _log(host, service)
    clear(host, service)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    pids = [found.pid for found in choose(host.processes(service))]
    if not pids:
        raise errors.EngineFailed(f"{service} has no process whose system calls could be counted")
    try:
        words = [word for pid in pids for word in ("--attach", str(pid))]
        strace = ("strace", "-f", "-qq", "-c", "--output", str(log), *words)
        process.start_detached(("timeout", "--kill-after=5", str(LIMIT), *strace), _said(log))
        asyncio.run(_attached(service, pids))
        yield
        _stop(service, log, signal.SIGTERM)
        counted.of[service] = calls.read_summary(log.read_text(encoding="ascii", errors="replace"))
    finally:
        clear(host, service)


def clear(host: Host, service: str) -> None:
    """End every strace of ours at a service, whoever started it, and take its files away. Raises DeadlinePassed."""
    log = _log(host, service)
    if _said(log).exists():  # which is there before strace is
        try:
            _stop(service, log, signal.SIGTERM)
        except errors.DeadlinePassed:
            _stop(service, log, signal.SIGKILL)
    for file in (log, _said(log)):
        file.unlink(missing_ok=True)


def _stop(service: str, log: Path, number: signal.Signals) -> None:
    for pid in syscalls.ours(log):
        syscalls.end(pid, number)

    async def look() -> str | None:
        left = list(syscalls.ours(log))
        return f"it runs as {left}" if left else None

    asyncio.run(wait.wait_until(f"the end of strace at {service}", look, seconds=DETACH_SECONDS, pause=0.02))


async def _attached(service: str, pids: Sequence[int]) -> None:
    async def look() -> str | None:
        free = [pid for pid in pids if syscalls.tracer(pid) == 0]
        return f"not attached to {free}" if free else None

    await wait.wait_until(f"strace of {service}", look, seconds=ATTACH_SECONDS, pause=0.02)


def _log(host: Host, service: str) -> Path:
    return host.cluster.folder.root / FOLDER / f"{service}.calls"


def _said(log: Path) -> Path:
    return log.with_suffix(".err")
