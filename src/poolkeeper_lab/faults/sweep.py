"""Remove everything that a killed run left in a cluster's containers, before the next run begins.

Invariant: only rules and queues with our mark are removed. A frozen container or process, and a container out of its
network, have no mark: they are released, whatever the cause. A container that does not run has nothing else to remove.
Each kind of fault that outlives its process has a line here.
"""

from __future__ import annotations

from poolkeeper_lab.faults import (
    clocks,
    damage,
    disk_images,
    links,
    networks,
    packets,
    power,
    processes,
    resource_limits,
    syscalls,
)
from poolkeeper_lab.faults.host import Host


def sweep(host: Host) -> None:
    """Remove the left faults of all containers.

    Raises:
        EngineFailed: if one of them cannot be removed.
    """
    if left := disk_images.left(host):
        power.put_back(host, left)
    for node in host.cluster.spec.nodes:
        syscalls.detach(host, node.name)
        damage.clone_noted(host, node.name)
    for service in host.cluster.spec.addresses():
        networks.rejoin(host, service)
        of_container(host, service)


def of_container(host: Host, service: str) -> None:
    """Remove the left faults of one container and of its network namespace."""
    state = host.state(service)
    if not state["Pid"]:
        return
    if state.get("Paused"):
        host.docker("unpause", host.cluster.container(service))
    processes.sweep_stopped(host, service)
    if not packets.lacking():
        packets.sweep_rules(host, service)
    if not links.lacking("tbf"):
        links.sweep_queues(host, service)
    if not resource_limits.StarveCpu(host, service).available():
        resource_limits.restore(host, service)
    if service in [node.name for node in host.cluster.spec.nodes]:
        clocks.remove(host, service)
