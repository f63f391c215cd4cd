"""Taking away what a run that was killed left in a cluster's containers, before the next one begins.

Invariant: only what carries our mark is touched; a container that does not run has nothing to take away. Each kind of
fault that outlives its maker has a line here.
"""

from __future__ import annotations

from poolkeeper.faults import clocks, damage, images, limits, packets, power, syscalls
from poolkeeper.faults.ground import Ground


def sweep(ground: Ground) -> None:
    """Take away all of it. Raises EngineFailed for what stays."""
    if left := images.left(ground):
        power.put_back(ground, left)
    for node in ground.place.spec.nodes:
        syscalls.detach(ground, node.name)
        damage.clone_noted(ground, node.name)
    for service in ground.place.spec.addresses():
        sweep_container(ground, service)


def sweep_container(ground: Ground, service: str) -> None:
    """Take away what is in a container or around it; one that stands still goes on. Raises EngineFailed."""
    state = ground.state(service)
    if not state["Pid"]:
        return
    if state["Paused"]:
        ground.docker("unpause", ground.container(service))
    if not packets.DropPackets(ground, service).available():
        packets.sweep_rules(ground, service)
    if not limits.StarveCpu(ground, service).available():
        limits.restore(ground, service)
    if service in [node.name for node in ground.place.spec.nodes]:
        clocks.take_out(ground, service)
