"""Signals to single processes of a container, which is what a crash, a hang and an order to end look like."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Sequence

from poolkeeper import errors
from poolkeeper.faults.fault import Fault
from poolkeeper.faults.ground import Ground, Process

Choose = Callable[[Sequence[Process]], Sequence[Process]]  # of a container's processes, the first one first


class KillProcesses(Fault):
    """SIGKILL, from the host, of processes of a container; with its first one the kernel ends all others."""

    sentence = "SIGKILL of processes of {}, from the host"

    def __init__(self, ground: Ground, victim: str, choose: Choose) -> None:
        super().__init__(ground, victim)
        self._choose = choose
        self._targets: tuple[int, ...] = ()

    def aim(self) -> None:
        chosen = self._choose(self.ground.processes(self.victim))
        if not chosen:
            raise errors.ClusterNotUp(f"{self.victim} has no such process")
        self._targets = tuple(target.pid for target in chosen)

    def inject(self) -> None:
        self.ground.send(signal.SIGKILL, self._targets, self.victim)

    def heal(self) -> None:
        self.start_if_down()


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

    def inject(self) -> None:
        self.ground.send(signal.SIGSTOP, self._targets, self.victim)

    def heal(self) -> None:
        """A number of a process may be another's by now, so only those go on that are still the container's."""
        if self.start_if_down():
            return
        there = {process.pid for process in self.ground.processes(self.victim)}
        for pid in there.intersection(self._targets):
            with contextlib.suppress(ProcessLookupError):
                self.ground.send(signal.SIGCONT, (pid,), self.victim)
