"""What the engine does to whole containers: kill, stop, pause."""

from __future__ import annotations

from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host


class KillContainer(Fault):
    """`docker kill`: every process of the container at once, and its network with them."""

    sentence = "docker kill of {}"

    def inject(self) -> None:
        self.host.docker("kill", self.host.container(self.victim))

    def heal(self) -> None:
        self.start_if_down()


class StopContainer(Fault):
    """`docker stop`: the first process is asked to end, and killed after `seconds`."""

    sentence = "docker stop of {}"

    def __init__(self, host: Host, victim: str, seconds: int = 30) -> None:
        super().__init__(host, victim)
        self._seconds = seconds

    def inject(self) -> None:
        container = self.host.container(self.victim)
        self.host.docker("stop", "--time", str(self._seconds), container, seconds=self._seconds + 30)

    def heal(self) -> None:
        self.start_if_down()


class PauseContainer(Fault):
    """`docker pause`: every process of the container is frozen and keeps its memory, sockets and locks."""

    sentence = "docker pause of {}"

    def inject(self) -> None:
        self.host.docker("pause", self.host.container(self.victim))

    def heal(self) -> None:
        if self.host.state(self.victim)["Paused"]:
            self.host.docker("unpause", self.host.container(self.victim))
        self.start_if_down()


class KillEverything(Fault):
    """`docker kill` of every container of the cluster by one command: what a loss of power leaves behind."""

    sentence = "docker kill of {}"

    @property
    def _containers(self) -> tuple[str, ...]:
        return tuple(map(self.host.container, self.host.cluster.spec.addresses()))

    def aim(self) -> None:
        for service in self.host.cluster.spec.addresses():
            self.host.first_process(service)

    def inject(self) -> None:
        self.host.docker("kill", *self._containers)

    def heal(self) -> None:
        self.host.docker("start", *self._containers)  # which leaves alone what runs
