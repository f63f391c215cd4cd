"""Signals to single processes of a container, for a crash, a hang and a request to exit.

Invariant: the targets of a signal are found below the container's first process right before. A target that does not
exist yet is waited for: a Pgpool-II that has just started serves no session. Of several targets, those that ended since
are skipped; if all of them ended, others are found. `inject` raises ProcessLookupError if those end too, since nothing
was broken.
Not promised: that a process exits when it is asked to.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence

from typing_extensions import override

from poolkeeper.core.wait import NotYet, wait_for
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host, Process

TARGET_SECONDS = 15.0  # for a target to exist
TRIES = 5  # a session's process may end at any moment
Choose = Callable[[Sequence[Process]], Sequence[Process]]  # of a container's processes, the first one first


class KillProcesses(Fault):
    """SIGKILL, from the host, of processes of a container; if the first one dies, the kernel ends all others."""

    sentence = "SIGKILL of processes of {}, from the host"
    number = signal.SIGKILL

    def __init__(self, host: Host, victim: str, choose: Choose) -> None:
        super().__init__(host, victim)
        self._choose = choose
        self._targets: tuple[int, ...] = ()

    @override
    def aim(self) -> None:
        self._targets = asyncio.run(wait_for(f"a target in {self.victim}", self._find, seconds=TARGET_SECONDS))

    async def _find(self) -> tuple[int, ...]:
        chosen = self._choose(self.host.processes(self.victim))
        if not chosen:
            raise NotYet("no such process")
        return tuple(target.pid for target in chosen)

    @override
    def inject(self) -> None:
        for attempt in range(1, TRIES + 1):
            if self._signal():
                return
            if attempt < TRIES:
                self.aim()
        raise ProcessLookupError(f"all targets among the processes of {self.victim} had ended")

    def _signal(self) -> int:
        """Send the signal to every target; return the number of those that still existed."""
        hit = 0
        for pid in self._targets:
            with contextlib.suppress(ProcessLookupError):
                self.host.send(self.number, (pid,), self.victim)
                hit += 1
        return hit

    @override
    def heal(self) -> None:
        self.start_if_down()


class TermProcesses(KillProcesses):
    """A signal that asks processes of a container to exit, from the host: SIGTERM, or another one that they handle."""

    def __init__(self, host: Host, victim: str, choose: Choose, number: signal.Signals = signal.SIGTERM) -> None:
        super().__init__(host, victim, choose)
        self.number = number
        self.sentence = f"{number.name} of processes of {{}}, from the host"


def first(processes: Sequence[Process]) -> Sequence[Process]:
    """Return the container's first process."""
    return processes[:1]


def postmaster(processes: Sequence[Process]) -> Sequence[Process]:
    """Return the server's parent process: it runs `postgres`, and its parent does not."""
    servers = {p.pid for p in processes if p.program == "postgres"}
    return [p for p in processes if p.pid in servers and p.parent not in servers]


def patroni(processes: Sequence[Process]) -> Sequence[Process]:
    """Return Patroni: a program of that name, or a script of that name that an interpreter runs."""
    return [p for p in processes if any(word.rpartition("/")[2] == "patroni" for word in p.argv[:2])]


class FreezeProcesses(KillProcesses):
    """SIGSTOP, from the host, of processes of a container: they keep all they hold, and all others continue."""

    sentence = "SIGSTOP of processes of {}, from the host"
    number = signal.SIGSTOP

    def heal(self) -> None:
        """Continue the targets that are still in the container: a PID may belong to another process by now."""
        if self.start_if_down():
            return
        present = {process.pid for process in self.host.processes(self.victim)}
        _continue(self.host, sorted(present.intersection(self._targets)), self.victim)


def sweep_stopped(host: Host, service: str) -> None:
    """Continue every stopped process of a container, from any run."""
    _continue(host, [p.pid for p in host.processes(service) if p.is_stopped], service)


def _continue(host: Host, pids: Sequence[int], service: str) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            host.send(signal.SIGCONT, (pid,), service)
