"""A container is taken out of the cluster's network by the engine, as if its cable was pulled, and put back.

Invariant: it comes back with its declared address and its service's name; the engine then publishes its ports again
(seen of Docker 20.10; the interface has another name afterwards, and what was set at the old one is gone with it).
While it is out it has its loopback only: to send fails at once, its published ports refuse, nobody can find its name.
"""

from __future__ import annotations

import json

from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.peers import unmet


class LeaveNetwork(Fault):
    """`docker network disconnect`: the container's interface, address and published ports are gone; it runs on."""

    sentence = "docker network disconnect of {}"

    def unmet(self) -> str:
        return unmet(self.host.cluster.spec, self.victim)

    def inject(self) -> None:
        self.host.docker("network", "disconnect", _network(self.host), self.host.container(self.victim))

    def heal(self) -> None:
        rejoin(self.host, self.victim)  # first: a container that starts is told its network by then
        self.start_if_down()


def rejoin(host: Host, service: str) -> None:
    """Put a container into the cluster's network if it is not there. Raises EngineFailed."""
    container, network = host.container(service), _network(host)
    words = ("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    if network not in (json.loads(host.docker(*words)) or {}):
        address = str(host.cluster.spec.addresses()[service])
        host.docker("network", "connect", "--ip", address, "--alias", service, network, container)


def _network(host: Host) -> str:
    return host.cluster.spec.project
