"""The disk check before a measurement: the engine's disk must have space for the data that the measurement writes.

The check counts the largest amount at one time: on each node the tables, and WAL up to `max_wal_size` with the segments
that a standby may retain. RESERVE must remain free after that.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.system import process

RESERVE = 4 << 30
BYTES_A_SCALE = 16_000_000  # of pgbench's tables with their index, measured: 15.0 to 15.7 MB
WAL_OF_A_NODE = 3 << 30  # max_wal_size (1 GB), the segments that a slot retains meanwhile, and the recycled ones


def needed(nodes: int, scale: int) -> int:
    """Return the bytes that are needed, without the reserve."""
    return nodes * (scale * BYTES_A_SCALE + min(WAL_OF_A_NODE, 2 * scale * BYTES_A_SCALE + (256 << 20)))


def engine_folder() -> Path:
    """Return the folder of the engine's volumes.

    Raises:
        EngineFailed: if the engine does not answer.
    """
    return Path(process.check(["docker", "info", "--format", "{{.DockerRootDir}}"], timeout=60).strip())


def check(nodes: int, scale: int, folder: Path) -> None:
    """Check that `nodes` databases of this scale leave at least the reserve free.

    Raises:
        DiskFull: if they leave less.
    """
    free = shutil.disk_usage(folder if folder.exists() else "/").free
    least = needed(nodes, scale) + RESERVE
    if free < least:
        raise errors.DiskFull(
            f"{folder} has {free >> 20:,} MB free; {nodes} nodes with pgbench's tables of scale {scale} need "
            f"{least >> 20:,} MB",
            hint="Free some space, or choose a smaller --scale.",
        )
