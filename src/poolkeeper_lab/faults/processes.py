"""Signals to single processes of a container, which is what a crash, a hang and an order to end look like.

Invariant: whom a signal meets is looked up below the container's first process right before. Of several, those that
ended since are left out; if all of them did, `inject` raises ProcessLookupError, for nothing was broken then.
Not promised: that a process which was told to end does so.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Sequence

from poolkeeper.core import errors
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host, Process

Choose = Callable[[Sequence[Process]], Sequence[Process]]  # of a container's processes, the first one first


class KillProcesses(Fault):
    """SIGKILL, from the host, of processes of a container; with its first one the kernel ends all others."""

    sentence = "SIGKILL of processes of {}, from the host"
    number = signal.SIGKILL

    def __init__(self, host: Host, victim: str, choose: Choose) -> None:
        super().__init__(host, victim)
        self._choose = choose
        self._targets: tuple[int, ...] = ()

    def aim(self) -> None:
        chosen = self._choose(self.host.processes(self.victim))
        if not chosen:
            raise errors.ClusterNotUp(f"{self.victim} has no such process")
        self._targets = tuple(target.pid for target in chosen)

    def inject(self) -> None:
        met = 0
        for pid in self._targets:
            with contextlib.suppress(ProcessLookupError):
                self.host.send(self.number, (pid,), self.victim)
                met += 1
        if not met:
            raise ProcessLookupError(f"all processes of {self.victim} that were to be met had ended")

    def heal(self) -> None:
        self.start_if_down()


class TermProcesses(KillProcesses):
    """A signal that asks to end, from the host, to processes of a container: SIGTERM, or what else one understands."""

    def __init__(self, host: Host, victim: str, choose: Choose, number: signal.Signals = signal.SIGTERM) -> None:
        super().__init__(host, victim, choose)
        self.number = number
        self.sentence = f"{number.name} of processes of {{}}, from the host"


def first(processes: Sequence[Process]) -> Sequence[Process]:
    """The container's first process."""
    return processes[:1]


def postmaster(processes: Sequence[Process]) -> Sequence[Process]:
    """The server's parent process: it runs `postgres`, and its parent does not."""
    servers = {p.pid for p in processes if p.program == "postgres"}
    return [p for p in processes if p.pid in servers and p.parent not in servers]


def patroni(processes: Sequence[Process]) -> Sequence[Process]:
    """Patroni: a program of that name, or one given to an interpreter."""
    return [p for p in processes if any(word.rpartition("/")[2] == "patroni" for word in p.argv[:2])]


class FreezeProcesses(KillProcesses):
    """SIGSTOP, from the host, of processes of a container: they keep all they have, and all around them goes on."""

    sentence = "SIGSTOP of processes of {}, from the host"
    number = signal.SIGSTOP

    def heal(self) -> None:
        """A number of a process may be another's by now, so only those go on that are still the container's."""
        if self.start_if_down():
            return
        there = {process.pid for process in self.host.processes(self.victim)}
        _go_on(self.host, sorted(there.intersection(self._targets)), self.victim)


def sweep_stopped(host: Host, service: str) -> None:
    """Let every stopped process of a container go on, whoever stopped it."""
    _go_on(host, [p.pid for p in host.processes(service) if p.is_stopped], service)


def _go_on(host: Host, pids: Sequence[int], service: str) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            host.send(signal.SIGCONT, (pid,), service)
