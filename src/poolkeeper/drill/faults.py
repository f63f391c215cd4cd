"""The mechanisms by which something breaks, each named by exactly what it does, and the way back of each.

Invariant: `heal` may be called at any time, also when `inject` never ran, failed half-way, or was healed already; it
leaves the victim able to work again and does not wait until it does. `aim` changes nothing. All of them block.
Not promised: that the cluster recovers; that is what the drill measures.
"""

from __future__ import annotations

import abc
import contextlib
import signal
from collections.abc import Callable, Sequence

from poolkeeper import errors
from poolkeeper.drill.ground import Ground, Process

Choose = Callable[[Sequence[Process]], Sequence[Process]]  # of a container's processes, the first one first
_DOWN = ("exited", "created", "dead")


class Fault(abc.ABC):
    """One way to break one service."""

    sentence = ""  # what it does, of "{}", its victim

    def __init__(self, ground: Ground, victim: str) -> None:
        self.ground = ground
        self.victim = victim

    def __str__(self) -> str:
        return self.sentence.format(self.victim)

    def available(self) -> str:
        """Why it cannot be done here and now; "" if it can."""
        return ""

    def aim(self) -> None:
        """Find what `inject` needs, so that it takes no time then. Raises ClusterNotUp where the victim is not up."""
        self.ground.first_process(self.victim)

    @abc.abstractmethod
    def inject(self) -> None:
        """Break it."""

    @abc.abstractmethod
    def heal(self) -> None:
        """Take away what was done."""

    def start_if_down(self) -> bool:
        """The engine's restart policy does not start again what its own command ended. Was it down?"""
        is_down = str(self.ground.state(self.victim)["Status"]) in _DOWN
        if is_down:
            self.ground.docker("start", self.ground.container(self.victim))
        return is_down


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


class KillContainer(Fault):
    """`docker kill`: every process of the container at once, and its network with them."""

    sentence = "docker kill of {}"

    def inject(self) -> None:
        self.ground.docker("kill", self.ground.container(self.victim))

    def heal(self) -> None:
        self.start_if_down()


class StopContainer(Fault):
    """`docker stop`: the first process is asked to end, and killed after `seconds`."""

    sentence = "docker stop of {}"

    def __init__(self, ground: Ground, victim: str, seconds: int = 30) -> None:
        super().__init__(ground, victim)
        self._seconds = seconds

    def inject(self) -> None:
        container = self.ground.container(self.victim)
        self.ground.docker("stop", "--time", str(self._seconds), container, seconds=self._seconds + 30)

    def heal(self) -> None:
        self.start_if_down()


class PauseContainer(Fault):
    """`docker pause`: every process of the container is frozen and keeps its memory, sockets and locks."""

    sentence = "docker pause of {}"

    def inject(self) -> None:
        self.ground.docker("pause", self.ground.container(self.victim))

    def heal(self) -> None:
        if self.ground.state(self.victim)["Paused"]:
            self.ground.docker("unpause", self.ground.container(self.victim))
        self.start_if_down()


class KillEverything(Fault):
    """`docker kill` of every container of the cluster by one command: what a loss of power leaves behind."""

    sentence = "docker kill of {}"

    @property
    def _containers(self) -> tuple[str, ...]:
        return tuple(map(self.ground.container, self.ground.place.spec.addresses()))

    def aim(self) -> None:
        for service in self.ground.place.spec.addresses():
            self.ground.first_process(service)

    def inject(self) -> None:
        self.ground.docker("kill", *self._containers)

    def heal(self) -> None:
        self.ground.docker("start", *self._containers)  # which leaves alone what runs


class Ask(Fault):
    """Not a break but a request, as a switchover: `request` makes it and returns when it is done; nothing to heal."""

    sentence = "a request to {}"

    def __init__(self, ground: Ground, victim: str, request: Callable[[], None]) -> None:
        super().__init__(ground, victim)
        self._request = request

    def inject(self) -> None:
        self._request()

    def heal(self) -> None:
        """There is nothing to take away."""
