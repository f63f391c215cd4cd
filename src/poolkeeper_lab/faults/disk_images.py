"""A node's data, or its WAL alone, on a disk of its own: a small ext4 image on a loop device, mounted over the volume.

Invariant: the data is in one place at any time, and a rename in the volume decides which. While the folder has its own
name, the volume has the data and the image is worthless; once it is renamed, the image has the data. So `back` works
from every state, after half a `move` and after SIGKILL of the process that ran it. A machine that lost the mount in
between starts a node without data, which clones itself. It never starts a node whose data went back in time.
An image is known by its path below `.poolkeeper/disks`, and only mounts of such a file are touched.
Needs root on this machine, and an engine that sees its mounts. Both `move` and `back` need the container to be down.
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
LARGE = 256 << 20  # bytes of the moved folder
SPARE = {"data": 192 << 20, "wal": 64 << 20}  # bytes beyond the content at the creation
FREE = 3 * MOST + (1 << 30)  # free bytes that the state folder's disk must have: three images and more
FOLDER = "disks"
BALLAST = "poolkeeper-ballast"
MOVED = "poolkeeper-moved"  # the name of a folder in the volume whose content is now on an image
SEGMENT = 16 << 20  # bytes; initdb's own size, which is not changed here
_SEGMENT = re.compile("[0-9A-F]{24}")
_TOOLS = ("losetup", "mkfs.ext4", "mount", "umount", "fallocate", "cp")
# EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32) with EXT4_GOING_FLAGS_NOLOGFLUSH (Linux, fs/ext4/ext4.h): from then on
# nothing more reaches the device, neither dirty pages nor the journal.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, struct.pack("I", 2)


class DiskPart(StrEnum):
    """The moved part of a node's data."""

    DATA = "data"
    WAL = "wal"


def available(host: Host) -> str:
    """Return why no image can be made on this machine; "" if one can."""
    if os.geteuid() != 0:
        return "it needs root on this machine"
    missing = [name for name in _TOOLS if not process.find(name)]
    if missing:
        return f"not installed on this machine: {', '.join(missing)}"
    root = host.cluster.folder.root
    free = shutil.disk_usage(root if root.exists() else root.parent).free
    return "" if free >= FREE else f"{free >> 20} MB are free beside cluster.toml, {FREE >> 20} MB are needed"


def volume(host: Host, node: str) -> Path:
    """Return the folder on this machine of a node's volume.

    Raises:
        EngineFailed: if the node has no volume there.
    """
    mounts = json.loads(host.docker("inspect", "--format", "{{json .Mounts}}", host.cluster.container(node)))
    wanted = str(Path(DATA_DIRECTORY).parent)
    for mount in mounts:
        if mount["Destination"] == wanted:
            return Path(mount["Source"])
    raise errors.EngineFailed(f"{node} has no volume at {wanted}")


@dataclass(frozen=True)
class Image:
    """The image of one node, whether it exists or not."""

    host: Host
    node: str
    part: DiskPart

    @property
    def file(self) -> Path:
        """The backing file."""
        return self.host.cluster.folder.root / FOLDER / f"{self.node}.{self.part}.img"

    @property
    def exists(self) -> bool:
        """Does the image exist?"""
        return self.file.exists()

    @property
    def _staging(self) -> Path:
        return self.file.with_suffix(".mnt")

    def mountpoint(self) -> Path:
        """Return the folder that it is mounted over: the complete volume, or pg_wal in it."""
        folder = volume(self.host, self.node)
        return folder if self.part is DiskPart.DATA else folder / Path(DATA_DIRECTORY).name / "pg_wal"

    def content(self) -> Path:
        """Return the folder whose content is moved."""
        data = volume(self.host, self.node) / Path(DATA_DIRECTORY).name
        return data if self.part is DiskPart.DATA else data / "pg_wal"

    def moved(self) -> Path:
        """Return its name in the volume while the image has its content; never inside the data, which may be copied."""
        return volume(self.host, self.node) / f"{MOVED}-{self.part}"

    def is_large(self) -> bool:
        """Return whether the content is so large that a part of it should be removed before the move."""
        return _bytes_of(self.content()) > LARGE

    def check_size(self) -> int:
        """Return the bytes of an image for the content.

        Raises:
            EngineFailed: if the image would be too large.
        """
        size = _bytes_of(self.content()) + SPARE[self.part]
        if size > MOST:
            raise errors.EngineFailed(
                f"the {self.part} of {self.node} needs an image of {size >> 20} MB, {MOST >> 20} MB are allowed"
            )
        return size

    def move(self) -> None:
        """Put the content on a new image and mount the image over it.

        Raises:
            EngineFailed: if the image would be too large, or a program fails.
        """
        self.back()  # the image of an earlier run that did not end cleanly
        drop_unused(volume(self.host, self.node) / Path(DATA_DIRECTORY).name / "pg_wal")
        content, size = self.content(), self.check_size()
        self.file.parent.mkdir(exist_ok=True)
        _host("fallocate", "--length", str(size), str(self.file))
        _host("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard", str(self.file))
        with self._staged() as inside:
            (inside / "lost+found").rmdir()
            target = inside / content.name if self.part is DiskPart.DATA else inside
            _copy(content, target)
            self._own(inside)
        content.rename(self.moved())  # from here on the image has it
        if self.part is DiskPart.WAL:
            content.mkdir()
            _take_owner(self.moved(), content)
        _host("mount", "-o", "loop", str(self.file), str(self.mountpoint()))

    def _own(self, inside: Path) -> None:
        """Give the root of the image the owner of the mountpoint, since the container sees it there."""
        _take_owner(self.mountpoint(), inside)

    def back(self) -> None:
        """Move the content back to the volume and remove the image, from every state.

        Raises:
            EngineFailed: if a program fails.
        """
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
            if not source.exists():  # the node's own Patroni removed it, to clone it again
                return
            _copy(source, fresh)
        fresh.rename(content)

    def unmount(self) -> None:
        """Unmount it everywhere on this machine; a container that still runs keeps its own mount."""
        for where in self._mounts():
            _host("umount", where)

    def _mounts(self) -> list[str]:
        if not self.exists:
            return []
        devices = set(_host("losetup", "--noheadings", "--output", "NAME", "--associated", str(self.file)).split())
        return [where for device, where in _mount_table() if device in devices][::-1]

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """Mount the image at a folder of our own; all data is written to it at the end."""
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
        """Remove the ballast, if there is any."""
        ballast = self.mountpoint() / BALLAST
        if os.path.lexists(ballast):  # not on a file system that was shut down, which returns only errors
            ballast.unlink()

    def cut_power(self) -> None:
        """Shut the file system down: nothing reaches the device any more, and data in memory is lost with the mount.

        Raises:
            EngineFailed: if the file system refuses.
        """
        folder = os.open(self.mountpoint(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, _NO_LOG_FLUSH)
        except OSError as e:
            raise errors.EngineFailed(f"the file system of {self.node} cannot be shut down: {e.strerror}") from e
        finally:
            os.close(folder)


def left(host: Host) -> tuple[Image, ...]:
    """Return the existing images, from any run."""
    images = (Image(host, node.name, part) for node in host.cluster.spec.nodes for part in DiskPart)
    return tuple(image for image in images if image.exists)


def drop_unused(wal: Path) -> None:
    """Remove the segments of a stopped server that contain no WAL yet; the server makes them when it needs them.

    A segment that is kept for later has the content and the page addresses of an earlier one, or none: PostgreSQL
    recognises them by the same. There may be a gigabyte of them.
    """
    for file in wal.iterdir():
        if _SEGMENT.fullmatch(file.name) and not _is_used(file):
            file.unlink()


def _is_used(segment: Path) -> bool:
    """Return whether its first page has the address of its name (xlp_pageaddr, third field of XLogPageHeaderData)."""
    with segment.open("rb") as opened:
        head = opened.read(16)
    high, low = int(segment.name[8:16], 16), int(segment.name[16:], 16)
    return len(head) == 16 and struct.unpack("<Q", head[8:])[0] == (high << 32) + low * SEGMENT


def _host(*argv: str) -> str:
    return process.check(argv, timeout=60, what=" ".join(argv[:1]))


def _copy(source: Path, target: Path) -> None:
    """Copy a folder with owners, modes and times; the target may exist already."""
    _host("cp", "--archive", "--no-target-directory", str(source), str(target))


def _take_owner(of: Path, to: Path) -> None:
    seen = of.stat()
    os.chown(to, seen.st_uid, seen.st_gid)
    to.chmod(seen.st_mode & 0o7777)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _bytes_of(folder: Path) -> int:
    """Return the bytes of a folder by its blocks, without files that vanish meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _mount_table(text: str | None = None) -> list[tuple[str, str]]:
    """Return the device and the mountpoint of each mount of this machine, oldest first (proc(5), mountinfo)."""
    lines = (Path("/proc/self/mountinfo").read_text(encoding="utf-8") if text is None else text).splitlines()
    return [(line.partition(" - ")[2].split()[1], line.split()[4]) for line in lines]


def _grown(file: int, step: int) -> bool:
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, step)
    except OSError as e:
        if e.errno == errno.ENOSPC:
            return False
        raise
    return True
