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
from poolkeeper_lab.faults.host import Ground


def sweep(ground: Ground) -> None:
    """Take away all of it. Raises EngineFailed for what stays."""
    if left := disk_images.left(ground):
        power.put_back(ground, left)
    for node in ground.place.spec.nodes:
        syscalls.detach(ground, node.name)
        damage.clone_noted(ground, node.name)
    for service in ground.place.spec.addresses():
        networks.rejoin(ground, service)
        of_container(ground, service)


def of_container(ground: Ground, service: str) -> None:
    """What a run left in one container and in its network namespace."""
    state = ground.state(service)
    if not state["Pid"]:
        return
    if state.get("Paused"):
        ground.docker("unpause", ground.container(service))
    processes.sweep_stopped(ground, service)
    if not packets.lacking():
        packets.sweep_rules(ground, service)
    if not links.lacking("tbf"):
        links.sweep_queues(ground, service)
    if not resource_limits.StarveCpu(ground, service).available():
        resource_limits.restore(ground, service)
    if service in [node.name for node in ground.place.spec.nodes]:
        clocks.take_out(ground, service)
