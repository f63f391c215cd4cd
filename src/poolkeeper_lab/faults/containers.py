"""Faults that the engine makes of a complete container: kill, stop, pause."""

from __future__ import annotations

from typing_extensions import override

from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host


class KillContainer(Fault):
    """`docker kill`: every process of the container ends at once, and its network with them."""

    sentence = "docker kill of {}"

    @override
    def inject(self) -> None:
        self.host.docker("kill", self.host.cluster.container(self.victim))

    @override
    def heal(self) -> None:
        self.start_if_down()


class StopContainer(Fault):
    """`docker stop`: the engine asks the first process to exit, and kills it after `seconds`."""

    sentence = "docker stop of {}"

    def __init__(self, host: Host, victim: str, seconds: int = 30) -> None:
        super().__init__(host, victim)
        self._seconds = seconds

    @override
    def inject(self) -> None:
        container = self.host.cluster.container(self.victim)
        self.host.docker("stop", "--time", str(self._seconds), container, seconds=self._seconds + 30)

    @override
    def heal(self) -> None:
        self.start_if_down()


class PauseContainer(Fault):
    """`docker pause`: every process of the container is frozen and keeps its memory, sockets and locks."""

    sentence = "docker pause of {}"

    @override
    def inject(self) -> None:
        self.host.docker("pause", self.host.cluster.container(self.victim))

    @override
    def heal(self) -> None:
        if self.host.state(self.victim)["Paused"]:
            self.host.docker("unpause", self.host.cluster.container(self.victim))
        self.start_if_down()


class KillEverything(Fault):
    """`docker kill` of every container of the cluster by one command, as after a loss of power."""

    sentence = "docker kill of {}"

    @property
    def _containers(self) -> tuple[str, ...]:
        return tuple(map(self.host.cluster.container, self.host.cluster.spec.addresses()))

    @override
    def aim(self) -> None:
        for service in self.host.cluster.spec.addresses():
            self.host.first_process(service)

    @override
    def inject(self) -> None:
        self.host.docker("kill", *self._containers)

    @override
    def heal(self) -> None:
        self.host.docker("start", *self._containers)  # no effect on a container that runs
