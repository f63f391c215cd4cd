"""System calls that are slow or fail: strace, attached from the host to processes of a container, injects it.

Invariant: a strace of ours is known by the log that it writes, whose path has this cluster's folder and the service, so
that healing and `sweep` end exactly ours, whoever started it; it ends by itself after LIMIT seconds as well. When it
ends the kernel lets all its processes go on as before. It counts as injected when its log has a call that it met.
Needs root on this machine. All calls of the traced processes become slower by it, not only those that it meets.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from poolkeeper.core import errors, wait
from poolkeeper.system import postgres, process
from poolkeeper_lab.faults.disk_images import FOLDER
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host, Process

LIMIT = 120  # seconds after which it ends whatever became of us
ATTACH_SECONDS, FELT_SECONDS, DETACH_SECONDS = 10.0, 15.0, 10.0
FSYNC = ("fsync", "fdatasync")  # wal_sync_method is fdatasync on Linux; data files are flushed by fsync
WRITE = ("pwrite64", "pwritev", "pwritev2")
READ = ("pread64", "preadv", "preadv2")
IO_ERROR, _READ_ERROR = "58030", "could not read block"  # SQLSTATE io_error, and its words
STATEMENT_SECONDS = 20.0
_MORE_THAN_TEMP_BUFFERS = "SELECT i, repeat('x', 1000) AS filler FROM generate_series(1, 20000) AS i"
_MET = (" (INJECTED)", " (DELAYED)")  # what strace writes behind such a call
_CAP_SYS_PTRACE = 19

Choose = Callable[[Sequence[Process]], Sequence[Process]]


def everything(processes: Sequence[Process]) -> Sequence[Process]:
    """All of the container, so that a server that Patroni starts again meets the same."""
    return processes


def wal_writers(processes: Sequence[Process]) -> Sequence[Process]:
    """All but the server's processes that write data files, or replay: what is left of PostgreSQL writes WAL."""
    others = ("postgres: checkpointer", "postgres: background writer", "postgres: startup")
    return [p for p in processes if not any(word in " ".join(p.argv) for word in others)]


def slow(milliseconds: int) -> str:
    """Each call waits before it is made."""
    return f"delay_enter={milliseconds * 1000}"


def failing(error: str) -> str:
    """Each call is not made and ends with an error, by its name."""
    return f"error={error}"


class SpoilCalls(Fault):
    """Some calls of some processes of the victim are slow or fail, and of all that these start."""

    def __init__(self, host: Host, victim: str, calls: Sequence[str], how: str, choose: Choose = everything) -> None:
        super().__init__(host, victim)
        self._calls, self._how, self._choose = ",".join(calls), how, choose

    def __str__(self) -> str:
        return f"strace of {self.victim}: {self._calls} with {self._how}"

    def available(self) -> str:
        if os.geteuid() != 0:
            return "it needs root on this machine"
        missing = [name for name in ("strace", "timeout") if not process.find(name)]
        if missing:
            return f"not installed on this machine: {', '.join(missing)}"
        return "" if may_trace(Path("/proc")) else "processes may not be traced here"

    def inject(self) -> None:
        chosen = [p.pid for p in self._choose(self.host.processes(self.victim))]
        log = _log(self.host, self.victim)
        log.parent.mkdir(exist_ok=True)
        pids = [word for pid in chosen for word in ("--attach", str(pid))]
        what = ("-e", f"trace={self._calls}", "-e", f"inject={self._calls}:{self._how}")
        argv = ("timeout", "--kill-after=5", str(LIMIT), "strace", "-f", "-qq", "--output", str(log), *what, *pids)
        process.start_detached(argv, log.with_suffix(".err"))
        asyncio.run(self._attached(chosen))
        asyncio.run(self.provoke())
        asyncio.run(self._felt(log))

    async def provoke(self) -> None:
        """Have the victim make such a call, where the clients' work does not."""

    async def _felt(self, log: Path) -> None:
        async def look() -> str | None:
            return None if any(word in log.read_text(errors="replace") for word in _MET) else "no such call was made"

        await wait.wait_until(f"a call of {self.victim} with {self._how}", look, seconds=FELT_SECONDS)

    async def _attached(self, pids: Sequence[int]) -> None:
        async def look() -> str | None:
            free = [pid for pid in pids if tracer(pid) == 0]
            return f"not attached to {free}" if free else None

        await wait.wait_until(f"strace of {self.victim}", look, seconds=ATTACH_SECONDS, pause=0.02)

    def heal(self) -> None:
        detach(self.host, self.victim)
        self.start_if_down()


class SpoilReads(SpoilCalls):
    """The same of the primary's reads: its rows are in memory, so some are made that have to go to disk and back.

    Raises EngineFailed where these are read as if nothing were.
    """

    async def provoke(self) -> None:
        dsn = self.host.cluster.with_passwords().node(self.victim, "superuser")
        try:
            async with postgres.session(dsn, STATEMENT_SECONDS) as session:
                await session.rows(f"CREATE TEMP TABLE spilled AS {_MORE_THAN_TEMP_BUFFERS}")
                found = await session.rows("SELECT count(*) FROM spilled")
        except errors.ServerRefused as e:
            if e.code == IO_ERROR or _READ_ERROR in e.message:  # a session's start is refused without a SQLSTATE
                return
            raise
        raise errors.EngineFailed(f"{self.victim} read {found} although its reads fail")


def detach(host: Host, service: str) -> None:
    """End every strace of ours at a service, whoever started it, and wait until it is gone. Raises DeadlinePassed."""
    log = _log(host, service)
    if not log.with_suffix(".err").exists():  # which is there before strace is
        return

    async def look() -> str | None:
        left = list(ours(log))
        return f"it runs as {left}" if left else None

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in ours(log):
            end(pid, number)
        try:
            asyncio.run(wait.wait_until(f"the end of strace at {service}", look, seconds=DETACH_SECONDS, pause=0.02))
            break
        except errors.DeadlinePassed:
            if number is signal.SIGKILL:
                raise
    for file in (log, log.with_suffix(".err")):
        file.unlink(missing_ok=True)


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal to a tracer that was found a moment ago."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself, with the last of what it traced


def _log(host: Host, service: str) -> Path:
    return host.cluster.folder.root / FOLDER / f"{service}.strace"


def ours(log: Path, proc: Path = Path("/proc")) -> Iterator[int]:
    """The processes that run strace with this log. One that has ended and was not collected has no words any more."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if Path(words[0]).name == "strace" and str(log) in words:
                yield int(entry.name)


def tracer(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Who traces a process, 0: nobody; None: it is gone."""
    word = _status(proc / str(pid), "TracerPid")
    return None if word is None else int(word)


def may_trace(proc: Path) -> bool:
    """Does the kernel let us trace processes of others?"""
    scope = proc / "sys/kernel/yama/ptrace_scope"
    if scope.exists() and scope.read_text().strip() == "3":
        return False
    return bool(int(_status(proc / "self", "CapEff") or "0", 16) >> _CAP_SYS_PTRACE & 1)


def _status(entry: Path, name: str) -> str | None:
    try:
        lines = (entry / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), None)
