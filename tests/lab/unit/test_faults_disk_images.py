"""A node's data on a disk of its own: however a move ends, the data is in one place, and comes back from there."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from pathlib import Path
from typing import cast

import pytest
from tests.lab.unit import disk_host
from tests.lab.unit.disk_host import DiskHost, FakeEngine

from poolkeeper.core import errors
from poolkeeper.system import process
from poolkeeper_lab.faults import disk_images
from poolkeeper_lab.faults.disk_images import DiskPart, Image
from poolkeeper_lab.faults.host import Host

MOUNT_TABLE = disk_images._mount_table  # before a fake replaces it
PARTS = pytest.mark.parametrize("part", list(DiskPart))


@pytest.fixture(name="host", autouse=True)
def host_(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    played = FakeEngine()
    monkeypatch.setattr(process, "check", played.check)
    monkeypatch.setattr(disk_images, "_mount_table", played.table)
    return played


@pytest.fixture
def place(tmp_path: Path) -> DiskHost:
    return disk_host.made(tmp_path)


def volume_of(place: DiskHost) -> dict[str, str]:
    """Return every file of the node's volume with its content."""
    top = place.root / "pg_node1"
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


PLAIN = {"pgdata/PG_VERSION": "17", "pgdata/pg_wal/segment": "wal"}


def image_of(place: DiskHost, part: DiskPart) -> Image:
    return Image(cast(Host, place), "pg_node1", part)


def is_clean(place: DiskHost, host: FakeEngine) -> bool:
    """Return whether nothing of an image is left."""
    left = [path for path in (place.root / "state").rglob("*.img")]
    return not host.mounts and not left and not disk_images.left(cast(Host, place))


@PARTS
def test_data_moves_there_and_back_with_what_was_written_meanwhile(
    part: DiskPart, host: FakeEngine, place: DiskHost
) -> None:
    image = image_of(place, part)
    image.move()
    assert disk_images.left(cast(Host, place)) == (image,)
    assert volume_of(place).items() >= ({} if part is DiskPart.WAL else PLAIN).items()
    assert (image.content() / ("segment" if part is DiskPart.WAL else "PG_VERSION")).exists()
    (place.root / "pg_node1" / "pgdata" / "pg_wal" / "next").write_text("more")
    (image.mountpoint() / disk_images.BALLAST).write_text("heavy")
    for _ in range(2):
        image.back()
        assert volume_of(place) == {**PLAIN, "pgdata/pg_wal/next": "more"}
        assert is_clean(place, host)


@PARTS
@pytest.mark.parametrize("step", range(6))
def test_half_a_move_is_rolled_back(part: DiskPart, step: int, host: FakeEngine, place: DiskHost) -> None:
    host.fails_at = step
    image = image_of(place, part)
    with pytest.raises(errors.EngineFailed):
        image.move()
    image.back()
    assert volume_of(place) == PLAIN
    assert is_clean(place, host)


@PARTS
def test_half_a_move_back_is_completed(part: DiskPart, host: FakeEngine, place: DiskHost) -> None:
    image = image_of(place, part)
    image.move()
    host.fails_at = len(host.ran) + 3  # losetup, umount, mount, and then the copy
    with pytest.raises(errors.EngineFailed):
        image.back()
    image.back()
    assert volume_of(place) == PLAIN
    assert is_clean(place, host)


def test_a_node_that_lost_its_mount_and_cloned_itself_keeps_the_clone(host: FakeEngine, place: DiskHost) -> None:
    image = image_of(place, DiskPart.DATA)
    image.move()
    host.umount(image.mountpoint())
    assert not image.content().exists()  # so the server cannot start with data that went back in time
    image.content().mkdir()
    (image.content() / "PG_VERSION").write_text("clone")
    image.back()
    assert volume_of(place) == {"pgdata/PG_VERSION": "clone"}
    assert is_clean(place, host)


@PARTS
def test_data_that_patroni_removed_does_not_come_back(part: DiskPart, host: FakeEngine, place: DiskHost) -> None:
    image = image_of(place, part)
    image.move()
    for entry in (place.root / "pg_node1" / "pgdata").iterdir():
        if not (part is DiskPart.WAL and entry.name == "pg_wal"):  # a mountpoint cannot be removed
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if part is DiskPart.DATA:
        image.content().rmdir()
    image.back()
    assert volume_of(place) == {}
    assert not image.content().exists()
    assert is_clean(place, host)


def test_too_much_data_is_refused_before_any_change(
    host: FakeEngine, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_images, "_bytes_of", lambda _: disk_images.MOST)
    with pytest.raises(errors.EngineFailed, match="700 MB are allowed"):
        image_of(place, DiskPart.DATA).check_size()
    assert host.ran == []


def test_unused_segments_are_not_copied(tmp_path: Path) -> None:
    def segment(name: str, address: int) -> None:
        (tmp_path / name).write_bytes(struct.pack("<HHIQ", 0xD116, 2, 1, address) + bytes(100))

    segment("0000000100000002000000FF", (2 << 32) + 0xFF * disk_images.SEGMENT)
    segment("000000010000000300000000", (2 << 32) + 0xF0 * disk_images.SEGMENT)
    (tmp_path / "000000010000000300000001").write_bytes(b"")
    (tmp_path / "00000001.history").write_text("no segment")
    disk_images.drop_unused(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["00000001.history", "0000000100000002000000FF"]


def test_a_disk_is_filled_to_its_last_block(place: DiskHost, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [(5 << 20) + 8192]

    def allocate(file: int, offset: int, length: int) -> None:
        if length > free[0]:
            raise OSError(errno.ENOSPC, "full")
        free[0] -= length
        os.truncate(file, offset + length)

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    image = image_of(place, DiskPart.DATA)
    image.move()
    image.fill()
    assert free == [0]
    image.empty()
    assert not (image.mountpoint() / disk_images.BALLAST).exists()
    image.empty()


def test_mounts_are_read_from_the_kernels_table() -> None:
    line = "36 35 98:0 / /mnt/a rw,noatime shared:1 - ext4 /dev/loop3 rw,errors=continue"
    assert MOUNT_TABLE(line) == [("/dev/loop3", "/mnt/a")]
