"""The engine removes a container from the cluster's network, as if its cable was pulled, and connects it again.

Invariant: it returns with its declared address and its service's name; the engine then publishes its ports again
(observed with Docker 20.10; the interface has another name afterwards, without the settings of the former one).
Meanwhile it has only its loopback: sending fails at once, its published ports refuse, and its name does not resolve.
"""

from __future__ import annotations

import json

from typing_extensions import override

from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.peers import unmet


class LeaveNetwork(Fault):
    """`docker network disconnect`: interface, address and published ports are gone; the processes continue."""

    sentence = "docker network disconnect of {}"

    @override
    def unmet(self) -> str:
        return unmet(self.host.cluster.spec, self.victim)

    @override
    def inject(self) -> None:
        self.host.docker("network", "disconnect", _network(self.host), self.host.cluster.container(self.victim))

    @override
    def heal(self) -> None:
        rejoin(self.host, self.victim)  # first: a container that starts has to be in its network by then
        self.start_if_down()


def rejoin(host: Host, service: str) -> None:
    """Connect a container to the cluster's network if it is not connected.

    Raises:
        EngineFailed: if docker fails.
    """
    container, network = host.cluster.container(service), _network(host)
    words = ("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    if network not in (json.loads(host.docker(*words)) or {}):
        address = str(host.cluster.spec.addresses()[service])
        host.docker("network", "connect", "--ip", address, "--alias", service, network, container)


def _network(host: Host) -> str:
    return host.cluster.spec.project
