"""Taking away what a run that was killed left in a cluster's containers, before the next one begins.

Invariant: of rules and queues only what carries our mark is touched. A frozen container or process, and a container
that is out of its network, bear no mark: whoever made them so, they are let go. A container that does not run has
nothing else to take away. Each kind of fault that outlives its maker has a line here.
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
    """Take away all of it. Raises EngineFailed for what stays."""
    if left := disk_images.left(host):
        power.put_back(host, left)
    for node in host.cluster.spec.nodes:
        syscalls.detach(host, node.name)
        damage.clone_noted(host, node.name)
    for service in host.cluster.spec.addresses():
        networks.rejoin(host, service)
        of_container(host, service)


def of_container(host: Host, service: str) -> None:
    """What a run left in one container and in its network namespace."""
    state = host.state(service)
    if not state["Pid"]:
        return
    if state.get("Paused"):
        host.docker("unpause", host.container(service))
    processes.sweep_stopped(host, service)
    if not packets.lacking():
        packets.sweep_rules(host, service)
    if not links.lacking("tbf"):
        links.sweep_queues(host, service)
    if not resource_limits.StarveCpu(host, service).available():
        resource_limits.restore(host, service)
    if service in [node.name for node in host.cluster.spec.nodes]:
        clocks.take_out(host, service)
