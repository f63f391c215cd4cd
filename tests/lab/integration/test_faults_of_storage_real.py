"""The mechanisms of storage's faults on real file systems and processes of this machine, without a cluster."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from tests.lab.unit import disk_host
from tests.lab.unit.disk_host import DiskHost

from poolkeeper_lab.faults import disk_images, syscalls
from poolkeeper_lab.faults.disk_images import DiskPart, Image
from poolkeeper_lab.faults.host import Host, Process
from poolkeeper_lab.faults.syscalls import FSYNC, SpoilCalls

pytestmark = pytest.mark.integration


@pytest.fixture
def place(tmp_path: Path) -> Iterator[DiskHost]:
    made = disk_host.made(tmp_path)
    if reason := disk_images.available(cast(Host, made)):
        pytest.skip(reason)
    yield made
    for image in disk_images.left(cast(Host, made)):
        image.back()


def moved(place: DiskHost, part: DiskPart) -> Image:
    image = Image(cast(Host, place), "pg_node1", part)
    image.move()
    return image


@pytest.mark.parametrize("part", list(DiskPart))
def test_what_was_not_flushed_is_lost_with_the_power_and_what_was_is_not(place: DiskHost, part: DiskPart) -> None:
    image = moved(place, part)
    folder = place.root / "pg_node1" / "pgdata" / "pg_wal"
    for name, is_flushed in (("flushed", True), ("lazy", False)):
        with (folder / name).open("wb", buffering=0) as file:
            file.write(b"x" * 100_000)
            if is_flushed:
                os.fsync(file.fileno())
    old = (folder / "segment").open("r+b", buffering=0)
    old.write(b"new")
    assert (folder / "segment").read_bytes() == b"new"
    image.cut_power()
    old.close()
    image.back()
    assert (folder / "flushed").read_bytes() == b"x" * 100_000
    assert (folder / "segment").read_bytes() == b"wal"
    assert not (folder / "lazy").exists() or (folder / "lazy").read_bytes() != b"x" * 100_000
    assert not disk_images.left(cast(Host, place))


@pytest.mark.parametrize("part", list(DiskPart))
def test_a_full_disk_is_full_until_the_ballast_is_gone(place: DiskHost, part: DiskPart) -> None:
    image = moved(place, part)
    file = place.root / "pg_node1" / "pgdata" / "pg_wal" / "next"
    image.fill()
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        file.write_bytes(bytes(8192))
    image.empty()
    file.write_bytes(bytes(8192))
    image.back()
    assert file.read_bytes() == bytes(8192)
    assert str(place.root) not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


LOOP = """
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
while True:
    began = time.monotonic()
    try:
        os.write(file, b"x")
        os.fsync(file)
        said = "done"
    except OSError as e:
        said = e.strerror
    print(said, time.monotonic() - began, flush=True)
    time.sleep(0.01)
"""


def test_flushes_are_slow_and_fail_and_work_again(place: DiskHost, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = [sys.executable, "-c", LOOP, str(place.root / "file")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        monkeypatch.setattr(place, "processes", lambda _: (Process(child.pid, 1, tuple(argv)),))
        try:
            slow = SpoilCalls(cast(Host, place), "pg_node1", FSYNC, syscalls.slow(150))
            failing = SpoilCalls(cast(Host, place), "pg_node1", FSYNC, syscalls.failing("EIO"))
            if reason := slow.available():
                pytest.skip(reason)
            slow.inject()
            assert any(float(line.rpartition(" ")[2]) > 0.15 for line in (next(child.stdout) for _ in range(200)))
            slow.heal()
            failing.inject()
            assert any(line.startswith(os.strerror(errno.EIO)) for line in (next(child.stdout) for _ in range(200)))
            failing.heal()
            failing.heal()
            assert any(line.startswith("done") for line in (next(child.stdout) for _ in range(200)))
            assert syscalls.tracer(child.pid) == 0
        finally:
            child.kill()
