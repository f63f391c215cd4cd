"""A node's data, or its WAL alone, on a disk of its own: a small ext4 image on a loop device, mounted over the volume.

Invariant: the data is in one place at any time. A rename in the volume says which: as long as the folder has its own
name, the volume has the data and the image is worth nothing; once it is renamed, the image has it. So `back` finds its
way from whatever is there, after half a `move` as after SIGKILL of who made it, and a machine that lost the mount in
between starts a node without data, which clones itself, and never one whose data went back in time.
An image is known by its path below `.poolkeeper/disks`, and only mounts of such a file are touched.
Needs root on this machine, and an engine that sees its mounts. Both `move` and `back` want the container down.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from poolkeeper.core import errors
from poolkeeper.render.patroni_config import DATA_DIRECTORY
from poolkeeper.system import process
from poolkeeper_lab.faults.host import Host

MOST = 700 << 20  # bytes of one image
LARGE = 256 << 20  # bytes of what is moved
SPARE = {"data": 192 << 20, "wal": 64 << 20}  # beyond what is there when it is made
ROOM = 3 * MOST + (1 << 30)  # what the state folder's disk must have left: three images, and some
FOLDER = "disks"
BALLAST = "poolkeeper-ballast"
MOVED = "poolkeeper-moved"  # the name of a folder in the volume whose content is on an image now
SEGMENT = 16 << 20  # bytes; initdb's own size, which is not changed here
_SEGMENT = re.compile("[0-9A-F]{24}")
_TOOLS = ("losetup", "mkfs.ext4", "mount", "umount", "fallocate", "cp")
# EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32) with EXT4_GOING_FLAGS_NOLOGFLUSH (Linux, fs/ext4/ext4.h): from then on
# nothing more reaches the device, neither dirty pages nor the journal.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, struct.pack("I", 2)


class DiskPart(StrEnum):
    """What is moved."""

    DATA = "data"
    WAL = "wal"


def available(host: Host) -> str:
    """Why no image can be made here; "" if it can."""
    if os.geteuid() != 0:
        return "it needs root on this machine"
    missing = [name for name in _TOOLS if not process.find(name)]
    if missing:
        return f"not installed on this machine: {', '.join(missing)}"
    root = host.cluster.folder.root
    free = shutil.disk_usage(root if root.exists() else root.parent).free
    return "" if free >= ROOM else f"{free >> 20} MB are free beside cluster.toml, {ROOM >> 20} MB are needed"


def volume(host: Host, node: str) -> Path:
    """Where this machine has a node's volume. Raises EngineFailed."""
    mounts = json.loads(host.docker("inspect", "--format", "{{json .Mounts}}", host.container(node)))
    wanted = str(Path(DATA_DIRECTORY).parent)
    for mount in mounts:
        if mount["Destination"] == wanted:
            return Path(mount["Source"])
    raise errors.EngineFailed(f"{node} has no volume at {wanted}")


@dataclass(frozen=True)
class Image:
    """One node's image; it need not exist."""

    host: Host
    node: str
    part: DiskPart

    @property
    def file(self) -> Path:
        """The backing file."""
        return self.host.cluster.folder.root / FOLDER / f"{self.node}.{self.part}.img"

    @property
    def exists(self) -> bool:
        """Is there anything to take away?"""
        return self.file.exists()

    @property
    def _staging(self) -> Path:
        return self.file.with_suffix(".mnt")

    def mountpoint(self) -> Path:
        """Over what it is mounted: the whole volume, or pg_wal in it."""
        cluster = volume(self.host, self.node)
        return cluster if self.part is DiskPart.DATA else cluster / Path(DATA_DIRECTORY).name / "pg_wal"

    def content(self) -> Path:
        """The folder whose content is moved."""
        data = volume(self.host, self.node) / Path(DATA_DIRECTORY).name
        return data if self.part is DiskPart.DATA else data / "pg_wal"

    def moved(self) -> Path:
        """Its name in the volume while the image has its content; never inside the data, which others may copy."""
        return volume(self.host, self.node) / f"{MOVED}-{self.part}"

    def is_large(self) -> bool:
        """Is there so much that a part of it should go before it is moved?"""
        return _bytes_of(self.content()) > LARGE

    def check_size(self) -> int:
        """The bytes of an image that holds it. Raises EngineFailed where that is too much."""
        size = _bytes_of(self.content()) + SPARE[self.part]
        if size > MOST:
            raise errors.EngineFailed(
                f"the {self.part} of {self.node} needs an image of {size >> 20} MB, {MOST >> 20} MB are allowed"
            )
        return size

    def move(self) -> None:
        """Put the content on a new image and mount that over it. Raises EngineFailed."""
        self.back()  # of a run before that did not end in order
        drop_unused(volume(self.host, self.node) / Path(DATA_DIRECTORY).name / "pg_wal")
        content, size = self.content(), self.check_size()
        self.file.parent.mkdir(exist_ok=True)
        _host("fallocate", "--length", str(size), str(self.file))
        _host("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", str(self.file))
        with self._staged() as inside:
            (inside / "lost+found").rmdir()
            there = inside / content.name if self.part is DiskPart.DATA else inside
            _copy(content, there)
            self._own(inside)
        content.rename(self.moved())  # from here on the image has it
        if self.part is DiskPart.WAL:
            content.mkdir()
            _take_owner(self.moved(), content)
        _host("mount", "-o", "loop", str(self.file), str(self.mountpoint()))

    def _own(self, inside: Path) -> None:
        """The root of the image is what the container sees as the mountpoint."""
        _take_owner(self.mountpoint(), inside)

    def back(self) -> None:
        """Bring the content back to the volume and remove the image, from whatever is there. Raises EngineFailed."""
        self.unmount()
        content, moved = self.content(), self.moved()
        if self.part is DiskPart.WAL:
            _remove_if_empty(content)
        if moved.exists():
            if self.exists and not content.exists() and content.parent.exists():
                self._bring(content)
            shutil.rmtree(moved)
        if self.part is DiskPart.WAL and self.exists and not (content.parent / "PG_VERSION").exists():
            shutil.rmtree(content.parent, ignore_errors=True)  # Patroni removed the data, and could not remove a mount
        self.file.unlink(missing_ok=True)

    def _bring(self, content: Path) -> None:
        fresh = volume(self.host, self.node) / f"{MOVED}-{self.part}.back"
        shutil.rmtree(fresh, ignore_errors=True)
        with self._staged() as inside:
            source = inside / content.name if self.part is DiskPart.DATA else inside
            (inside / BALLAST).unlink(missing_ok=True)
            if not source.exists():  # the server's own Patroni threw it away, to clone it anew
                return
            _copy(source, fresh)
        fresh.rename(content)

    def unmount(self) -> None:
        """Wherever it is mounted on this machine. A container that still runs keeps a mount of its own."""
        for where in self._mounts():
            _host("umount", where)

    def _mounts(self) -> list[str]:
        if not self.exists:
            return []
        devices = set(_host("losetup", "--noheadings", "--output", "NAME", "--associated", str(self.file)).split())
        return [where for device, where in _mount_table() if device in devices][::-1]

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """The image mounted where only we look at it; all is written to it at the end."""
        self._staging.mkdir(exist_ok=True)
        _host("mount", "-o", "loop", str(self.file), str(self._staging))
        try:
            yield self._staging
        finally:
            _host("umount", str(self._staging))
            self._staging.rmdir()

    def fill(self) -> None:
        """Leave no block free."""
        with (self.mountpoint() / BALLAST).open("ab") as ballast:
            for step in (1 << 24, 1 << 20, 1 << 16, 1 << 12):
                while _grown(ballast.fileno(), step):
                    pass

    def empty(self) -> None:
        """Take the ballast away, if there is any."""
        ballast = self.mountpoint() / BALLAST
        if os.path.lexists(ballast):  # not on a file system without power, which answers nothing
            ballast.unlink()

    def cut_power(self) -> None:
        """From now on nothing reaches the device any more; what was in memory only is lost with the mount."""
        folder = os.open(self.mountpoint(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, _NO_LOG_FLUSH)
        except OSError as e:
            raise errors.EngineFailed(f"the file system of {self.node} cannot be shut down: {e.strerror}") from e
        finally:
            os.close(folder)


def left(host: Host) -> tuple[Image, ...]:
    """The images that are there, of whatever run."""
    images = (Image(host, node.name, part) for node in host.cluster.spec.nodes for part in DiskPart)
    return tuple(image for image in images if image.exists)


def drop_unused(wal: Path) -> None:
    """Remove the segments of a stopped server that nothing was written to yet; it makes them when it needs them.

    A segment that is kept for later has the content and the page addresses of an earlier one, or none: that is how
    PostgreSQL knows them too. There may be a gigabyte of them.
    """
    for file in wal.iterdir():
        if _SEGMENT.fullmatch(file.name) and not _is_used(file):
            file.unlink()


def _is_used(segment: Path) -> bool:
    """Has its first page the address of the segment's name? (xlp_pageaddr, the third field of XLogPageHeaderData)"""
    with segment.open("rb") as opened:
        head = opened.read(16)
    high, low = int(segment.name[8:16], 16), int(segment.name[16:], 16)
    return len(head) == 16 and struct.unpack("<Q", head[8:])[0] == (high << 32) + low * SEGMENT


def _host(*argv: str) -> str:
    return process.check(argv, timeout=60, what=" ".join(argv[:1]))


def _copy(source: Path, target: Path) -> None:
    """With owners, modes and times; the target may be there already."""
    _host("cp", "--archive", "--no-target-directory", str(source), str(target))


def _take_owner(of: Path, to: Path) -> None:
    seen = of.stat()
    os.chown(to, seen.st_uid, seen.st_gid)
    to.chmod(seen.st_mode & 0o7777)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _bytes_of(folder: Path) -> int:
    """As blocks; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _mount_table(text: str | None = None) -> list[tuple[str, str]]:
    """Device and place of each mount of this machine, the oldest first (proc(5), mountinfo)."""
    lines = (Path("/proc/self/mountinfo").read_text() if text is None else text).splitlines()
    return [(line.partition(" - ")[2].split()[1], line.split()[4]) for line in lines]


def _grown(file: int, step: int) -> bool:
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, step)
    except OSError as e:
        if e.errno == errno.ENOSPC:
            return False
        raise
    return True
