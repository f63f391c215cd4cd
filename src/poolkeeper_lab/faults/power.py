"""Loss of power: all data that a node had only in memory is lost, including the page cache of its file system.

`docker kill` alone loses none of it: the kernel survives and writes it out. Here the data is on a disk of its own
(`disk_images`). Once every process of the node is killed, its file system is shut down without another write. It is
then mounted again, which replays the journal as after a real loss of power. Data that was never flushed is lost.
Invariant: the cut comes after the last node has died, so every acknowledgement came before it.
Not promised: a disk that loses data that it received without a flush; data that reached the device counts as kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from typing_extensions import override

from poolkeeper.render.patroni_config import DATA_DIRECTORY
from poolkeeper_lab.faults import disk_images, node_faults
from poolkeeper_lab.faults.disk_images import DiskPart, Image
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

WORK = 64 << 10  # bytes of WAL that clients write after the move and before the cut

Choose = Callable[[Host, str], Sequence[str]]


def the_victim(host: Host, victim: str) -> Sequence[str]:
    """Return the victim alone."""
    del host
    return (victim,)


def every_node(host: Host, victim: str) -> Sequence[str]:
    """Return every node, for any victim."""
    del victim
    return [node.name for node in host.cluster.spec.nodes]


class LosePower(Fault):
    """The victim, or every node, loses its power while clients write; the plain volume gets the data that is left.

    `as_primary`: the victim gets the role first, once its data is on the image.
    """

    sentence = "loss of power of {}: its unflushed data is lost"

    def __init__(self, host: Host, victim: str, choose: Choose = the_victim, as_primary: bool = False) -> None:
        super().__init__(host, victim)
        self._choose, self._as_primary = choose, as_primary

    @property
    def _images(self) -> list[Image]:
        return [Image(self.host, node, DiskPart.DATA) for node in self._choose(self.host, self.victim)]

    @override
    def available(self) -> str:
        return disk_images.available(self.host)

    @override
    def aim(self) -> None:
        for image in self._images:
            self.host.first_process(image.node)

    def inject(self) -> None:
        """Move the data and cut the power at the end; this blocks for about half a minute."""
        moved = self._images
        names = [image.node for image in moved]
        primary = move_all(self.host, moved)
        if self._as_primary:
            node_faults.hand_over(self.host, self.victim)
            primary = self.victim
        node_faults.wait_written(self.host, primary, WORK)
        self.write_early(moved)
        self.host.docker("kill", *map(self.host.cluster.container, names))
        for image in moved:
            image.cut_power()

    def write_early(self, moved: Sequence[Image]) -> None:
        """Write out data as the kernel might before the cut; here none."""

    @override
    def heal(self) -> None:
        put_back(self.host, self._images)


class LosePowerOutOfOrder(LosePower):
    """A standby loses its power just after a restart point, whose pg_control the kernel wrote out unasked.

    A kernel may do that at any time. It does not harm a server that flushed the pages before it recorded the restart
    point in pg_control, and destroys one that did not.
    """

    sentence = "loss of power of {} after a restart point: of all unflushed data only pg_control is kept"

    @override
    def write_early(self, moved: Sequence[Image]) -> None:
        for image in moved:
            node_faults.restart_point(self.host, image.node)
            flush(image.mountpoint() / Path(DATA_DIRECTORY).name / "global" / "pg_control")


def flush(path: Path) -> None:
    """Have the kernel write out the content of a file, and only the metadata that this needs."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(opened)
    finally:
        os.close(opened)


def move_all(host: Host, wanted: Sequence[Image]) -> str:
    """Move the data of running nodes to images, wait until the cluster is healthy, and return its primary."""
    if any(image.is_large() for image in wanted):
        node_faults.shed_wal(host)
    names = [image.node for image in wanted]
    node_faults.stop(host, names)
    for image in wanted:
        image.move()
    node_faults.start(host, names)
    return node_faults.wait_healthy(host)


def put_back(host: Host, moved: Sequence[Image]) -> None:
    """Move the data on images back to the plain volumes, and start the nodes."""
    existing = [image for image in moved if image.exists]
    if existing:
        for image in existing:
            image.empty()  # so that a running server can write its shutdown checkpoint
        node_faults.stop(host, [image.node for image in existing])
        for image in existing:
            image.back()
    node_faults.start(host, [image.node for image in moved])
