"""Taking away what a run that was killed left in a cluster's containers, before the next one begins.

Invariant: of rules and queues only what carries our mark is touched. A frozen container or process, and a container
that is out of its network, bear no mark: whoever made them so, they are let go. A container that does not run has
nothing else to take away. Each kind of fault that outlives its maker has a line here.
"""

from __future__ import annotations

from poolkeeper.faults import damage, images, links, networks, packets, power, processes, syscalls
from poolkeeper.faults.ground import Ground


def sweep(ground: Ground) -> None:
    """Take away all of it. Raises EngineFailed for what stays."""
    if left := images.left(ground):
        power.put_back(ground, left)
    for node in ground.place.spec.nodes:
        syscalls.detach(ground, node.name)
        damage.clone_noted(ground, node.name)
    is_unable = packets.DropPackets(ground, "").available()
    has_tc = not links.SlowLink(ground, "", 1).available()
    for service in ground.place.spec.addresses():
        networks.rejoin(ground, service)
        state = ground.state(service)
        if not state["Pid"]:
            continue
        if state.get("Paused"):
            ground.docker("unpause", ground.container(service))
        processes.sweep_stopped(ground, service)
        if not is_unable:
            packets.sweep_rules(ground, service)
        if has_tc:
            links.sweep_queues(ground, service)
