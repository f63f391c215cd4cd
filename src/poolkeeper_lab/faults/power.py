"""Loss of power: what a node had in memory only, the page cache of its file system included, is gone.

`docker kill` alone loses nothing of that: the kernel lives on and writes it out. Here the data is on a disk of its own
(`images`); when every process of the node was killed, its file system is shut down without writing anything more, and
mounted anew, which replays the journal as after a real loss of power. What was never flushed is not there.
Invariant: the cut comes after the last of the nodes has died, so all that was acknowledged was acknowledged before.
Not promised: a disk that loses what it had been given and not asked to flush; what reached the device counts as kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from poolkeeper.render.patroni_config import DATA_DIRECTORY
from poolkeeper_lab.faults import disk_images, node_faults
from poolkeeper_lab.faults.disk_images import DiskPart, Image
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

WORK = 64 << 10  # bytes of WAL that clients write after the move and before the cut

Choose = Callable[[Host, str], Sequence[str]]


def the_victim(host: Host, victim: str) -> Sequence[str]:
    """It alone."""
    del host
    return (victim,)


def every_node(host: Host, victim: str) -> Sequence[str]:
    """All of them, whoever is named."""
    del victim
    return [node.name for node in host.cluster.spec.nodes]


class LosePower(Fault):
    """The victim, or every node, loses its power while clients write; healed on the plain volume, with what is left.

    `as_primary`: the victim gets the role first, once its data is on the image.
    """

    sentence = "loss of power of {}: its unflushed data is lost"

    def __init__(self, host: Host, victim: str, who: Choose = the_victim, as_primary: bool = False) -> None:
        super().__init__(host, victim)
        self._who, self._as_primary = who, as_primary

    @property
    def _images(self) -> list[Image]:
        return [Image(self.host, node, DiskPart.DATA) for node in self._who(self.host, self.victim)]

    def available(self) -> str:
        return disk_images.available(self.host)

    def aim(self) -> None:
        for image in self._images:
            self.host.first_process(image.node)

    def inject(self) -> None:
        """Blocks for about half a minute, in which the data is moved; the cut is at its end."""
        moved = self._images
        names = [image.node for image in moved]
        primary = move_all(self.host, moved)
        if self._as_primary:
            node_faults.hand_over(self.host, self.victim)
            primary = self.victim
        node_faults.wait_written(self.host, primary, WORK)
        self.write_early(moved)
        self.host.docker("kill", *map(self.host.container, names))
        for image in moved:
            image.cut_power()

    def write_early(self, moved: Sequence[Image]) -> None:
        """What the kernel happens to write out by itself before the cut; nothing."""

    def heal(self) -> None:
        put_back(self.host, self._images)


class LosePowerOutOfOrder(LosePower):
    """A standby loses its power just after a restart point, whose pg_control the kernel wrote out by itself.

    A kernel may do that at any time. It does no harm to a server that flushed the pages before it named the restart
    point in pg_control, and is the ruin of one that did not.
    """

    sentence = "loss of power of {} after a restart point: of all unflushed data only pg_control is kept"

    def write_early(self, moved: Sequence[Image]) -> None:
        for image in moved:
            node_faults.restart_point(self.host, image.node)
            flush(image.mountpoint() / Path(DATA_DIRECTORY).name / "global" / "pg_control")


def flush(path: Path) -> None:
    """Have the kernel write out the content of this file, and nothing else that it does not need for that."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(opened)
    finally:
        os.close(opened)


def move_all(host: Host, wanted: Sequence[Image]) -> str:
    """Move the data of running nodes to images and wait until the cluster is whole again; its primary."""
    if any(image.is_large() for image in wanted):
        node_faults.shed_wal(host)
    names = [image.node for image in wanted]
    node_faults.stop(host, names)
    for image in wanted:
        image.move()
    node_faults.start(host, names)
    return node_faults.wait_whole(host)


def put_back(host: Host, moved: Sequence[Image]) -> None:
    """Bring what is on images back to the plain volumes, and let the nodes run."""
    there = [image for image in moved if image.exists]
    if there:
        for image in there:
            image.empty()  # so that a server that still runs can write what it has to for its end
        node_faults.stop(host, [image.node for image in there])
        for image in there:
            image.back()
    node_faults.start(host, [image.node for image in moved])
