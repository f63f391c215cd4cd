"""A container is taken out of the cluster's network by the engine, as if its cable was pulled, and put back.

Invariant: it comes back with its declared address and its service's name; the engine then publishes its ports again
(seen of Docker 20.10; the interface has another name afterwards, and what was set at the old one is gone with it).
While it is out it has its loopback only: to send fails at once, its published ports refuse, nobody can find its name.
"""

from __future__ import annotations

import json

from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Ground
from poolkeeper_lab.faults.peers import unmet


class LeaveNetwork(Fault):
    """`docker network disconnect`: the container's interface, address and published ports are gone; it runs on."""

    sentence = "docker network disconnect of {}"

    def unmet(self) -> str:
        return unmet(self.ground.place.spec, self.victim)

    def inject(self) -> None:
        self.ground.docker("network", "disconnect", _network(self.ground), self.ground.container(self.victim))

    def heal(self) -> None:
        rejoin(self.ground, self.victim)  # first: a container that starts is told its network by then
        self.start_if_down()


def rejoin(ground: Ground, service: str) -> None:
    """Put a container into the cluster's network if it is not there. Raises EngineFailed."""
    container, network = ground.container(service), _network(ground)
    words = ("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    if network not in (json.loads(ground.docker(*words)) or {}):
        address = str(ground.place.spec.addresses()[service])
        ground.docker("network", "connect", "--ip", address, "--alias", service, network, container)


def _network(ground: Ground) -> str:
    return ground.place.spec.project
