"""Is there room on the disk for what a measurement writes? Looked at before anything is started.

Counted is what the engine's disk must hold at the worst moment: on each node the tables, and WAL up to `max_wal_size`
with what a standby may have kept of it. Left free after that: RESERVE.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.system import process

RESERVE = 4 << 30
BYTES_A_SCALE = 16_000_000  # of pgbench's tables with their index, measured: 15.0 to 15.7 MB
WAL_OF_A_NODE = 3 << 30  # max_wal_size (1 GB), the segments that are kept for a slot meanwhile, and those ahead


def needed(nodes: int, scale: int) -> int:
    """Bytes, without the reserve."""
    return nodes * (scale * BYTES_A_SCALE + min(WAL_OF_A_NODE, 2 * scale * BYTES_A_SCALE + (256 << 20)))


def engine_folder() -> Path:
    """Where the engine keeps its volumes. Raises EngineFailed."""
    return Path(process.check(["docker", "info", "--format", "{{.DockerRootDir}}"], timeout=60).strip())


def check(nodes: int, scale: int, folder: Path) -> None:
    """Raises DiskFull where `nodes` databases of that scale leave less than the reserve."""
    free = shutil.disk_usage(folder if folder.exists() else "/").free
    least = needed(nodes, scale) + RESERVE
    if free < least:
        raise errors.DiskFull(
            f"{folder} has {free >> 20:,} MB free; {nodes} nodes with pgbench's tables of scale {scale} want "
            f"{least >> 20:,} MB",
            hint="Free some space, or choose a smaller --scale.",
        )
