"""System calls that are slow or fail, by strace, attached from the host to processes of a container.

Invariant: our strace is known by the path of its log, with this cluster's folder and the service. So healing and
`sweep` end exactly ours, from any run; it also ends after LIMIT seconds. When it ends, the kernel lets all
traced processes continue as before. The fault counts as injected once the log has an affected call.
Needs root on this machine. All calls of the traced processes become slower, not only the affected ones.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from typing_extensions import override

from poolkeeper.core import errors, wait
from poolkeeper.system import postgres, process
from poolkeeper_lab.faults.disk_images import FOLDER
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host, Process

LIMIT = 120  # seconds after which strace ends, even if this process is gone
ATTACH_SECONDS, EFFECT_SECONDS, DETACH_SECONDS = 10.0, 15.0, 10.0
FSYNC = ("fsync", "fdatasync")  # wal_sync_method is fdatasync on Linux; data files are flushed by fsync
WRITE = ("pwrite64", "pwritev", "pwritev2")
READ = ("pread64", "preadv", "preadv2")
IO_ERROR, _READ_ERROR = "58030", "could not read block"  # SQLSTATE io_error, and its message
STATEMENT_SECONDS = 20.0
_MORE_THAN_TEMP_BUFFERS = "SELECT i, repeat('x', 1000) AS filler FROM generate_series(1, 20000) AS i"
_AFFECTED = (" (INJECTED)", " (DELAYED)")  # strace writes it after such a call
_CAP_SYS_PTRACE = 19

Choose = Callable[[Sequence[Process]], Sequence[Process]]


def everything(processes: Sequence[Process]) -> Sequence[Process]:
    """Return all processes of the container, so that a server that Patroni starts again is affected, too."""
    return processes


def wal_writers(processes: Sequence[Process]) -> Sequence[Process]:
    """Return the processes that write WAL: all except those of the server that write data files, or replay."""
    others = ("postgres: checkpointer", "postgres: background writer", "postgres: startup")
    return [p for p in processes if not any(word in " ".join(p.argv) for word in others)]


def slow(milliseconds: int) -> str:
    """Return strace's word for calls that wait before they are made."""
    return f"delay_enter={milliseconds * 1000}"


def failing(error: str) -> str:
    """Return strace's word for calls that are not made and end with an error, given by its name."""
    return f"error={error}"


class SpoilCalls(Fault):
    """Some calls of some processes of the victim, and of their children, are slow or fail."""

    def __init__(self, host: Host, victim: str, calls: Sequence[str], how: str, choose: Choose = everything) -> None:
        super().__init__(host, victim)
        self._calls, self._how, self._choose = ",".join(calls), how, choose

    def __str__(self) -> str:
        return f"strace of {self.victim}: {self._calls} with {self._how}"

    @override
    def available(self) -> str:
        if os.geteuid() != 0:
            return "it needs root on this machine"
        missing = [name for name in ("strace", "timeout") if not process.find(name)]
        if missing:
            return f"not installed on this machine: {', '.join(missing)}"
        return "" if may_trace(Path("/proc")) else "processes may not be traced here"

    @override
    def inject(self) -> None:
        chosen = [p.pid for p in self._choose(self.host.processes(self.victim))]
        log = _log(self.host, self.victim)
        log.parent.mkdir(exist_ok=True)
        pids = [word for pid in chosen for word in ("--attach", str(pid))]
        what = ("-e", f"trace={self._calls}", "-e", f"inject={self._calls}:{self._how}")
        argv = ("timeout", "--kill-after=5", str(LIMIT), "strace", "-f", "-qq", "--output", str(log), *what, *pids)
        process.start_detached(argv, log.with_suffix(".err"))
        asyncio.run(self._wait_attached(chosen))
        asyncio.run(self.provoke())
        asyncio.run(self._wait_effect(log))

    async def provoke(self) -> None:
        """Have the victim make such a call, if the clients' work does not."""

    async def _wait_effect(self, log: Path) -> None:
        async def affected() -> None:
            text = log.read_text(encoding="utf-8", errors="replace")
            wait.require(None if any(word in text for word in _AFFECTED) else "no such call was made")

        await wait.wait_for(f"a call of {self.victim} with {self._how}", affected, seconds=EFFECT_SECONDS)

    async def _wait_attached(self, pids: Sequence[int]) -> None:
        async def attached() -> None:
            free = [pid for pid in pids if tracer(pid) == 0]
            wait.require(f"not attached to {free}" if free else None)

        await wait.wait_for(f"strace of {self.victim}", attached, seconds=ATTACH_SECONDS, pause=0.02)

    @override
    def heal(self) -> None:
        detach(self.host, self.victim)
        self.start_if_down()


class SpoilReads(SpoilCalls):
    """Reads of the primary fail: its rows are in memory, so `provoke` makes rows that go to disk and back.

    `inject` raises EngineFailed if these are read without an error.
    """

    @override
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
    """End each of our straces at a service, from any run, and wait until it is gone.

    Raises:
        DeadlinePassed: if it is not gone in time.
    """
    log = _log(host, service)
    if not log.with_suffix(".err").exists():  # it exists before strace does
        return

    async def gone() -> None:
        left = list(ours(log))
        wait.require(f"it runs as {left}" if left else None)

    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in ours(log):
            end(pid, number)
        try:
            asyncio.run(wait.wait_for(f"the end of strace at {service}", gone, seconds=DETACH_SECONDS, pause=0.02))
            break
        except errors.DeadlinePassed:
            if number is signal.SIGKILL:
                raise
    for file in (log, log.with_suffix(".err")):
        file.unlink(missing_ok=True)


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal to a tracer whose PID was found a moment ago."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended already, with the last traced process


def _log(host: Host, service: str) -> Path:
    return host.cluster.folder.root / FOLDER / f"{service}.strace"


def ours(log: Path, proc: Path = Path("/proc")) -> Iterator[int]:
    """Yield the processes that run strace with this log, without those that ended and wait for their parent."""
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if Path(words[0]).name == "strace" and str(log) in words:
                yield int(entry.name)


def tracer(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Return the PID of a process's tracer; 0 if it has none, None if the process is gone."""
    word = _status(proc / str(pid), "TracerPid")
    return None if word is None else int(word)


def may_trace(proc: Path) -> bool:
    """Return whether the kernel allows this process to trace processes of others."""
    scope = proc / "sys/kernel/yama/ptrace_scope"
    if scope.exists() and scope.read_text(encoding="utf-8").strip() == "3":
        return False
    return bool(int(_status(proc / "self", "CapEff") or "0", 16) >> _CAP_SYS_PTRACE & 1)


def _status(entry: Path, name: str) -> str | None:
    try:
        lines = (entry / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), None)
