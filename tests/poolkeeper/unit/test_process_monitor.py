"""The process monitor on a small /proc of its own: what it accepts as a supervisor, and when it reports unknown."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolkeeper.system import process_monitor

BOOT = "8a0c1bd2-0000-4000-8000-000000000001"
INCARNATION = "5f0e7c4e-0000-4000-8000-000000000002"
ARGV = ("python3", "supervisor.py", "--node", "pg_node1", "--incarnation", INCARNATION)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return a /proc with a boot id and no process."""
    boot = tmp_path / "sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text(f"{BOOT}\n")
    (tmp_path / "self").mkdir()
    return tmp_path


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Start a real process, because a pidfd needs one."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def _add(proc: Path, pid: int, argv: tuple[str, ...] = ARGV, numbers: str = "{pid}\t1") -> Path:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in argv))
    (folder / "status").write_text(f"Name:\tx\nNSpid:\t{numbers.format(pid=pid)}\nThreads:\t1\n")
    return folder


def _attend(proc: Path, boot: str = BOOT) -> tuple[str, str]:
    """Return the state and the reason after one search."""

    async def attend() -> tuple[str, str]:
        monitor = process_monitor.ProcessMonitor(proc)
        process = monitor.attend("pg_node1", INCARNATION, boot)
        monitor.close()
        return process.state, process.reason

    return asyncio.run(attend())


def test_a_supervisor_is_alive_and_then_dead(proc: Path, child: subprocess.Popen[bytes]) -> None:
    """The state is kept while it lasts; the death is reported once, unasked, and stays known."""

    async def watch() -> None:
        monitor = process_monitor.ProcessMonitor(proc)
        first = monitor.attend("pg_node1", INCARNATION, BOOT)
        assert first.state == "alive"
        assert monitor.attend("pg_node1", INCARNATION, BOOT) is first
        assert await monitor.next_death(0.01) is None
        child.kill()
        death = await monitor.next_death(5)
        assert death is not None
        assert (death.node, death.incarnation, death.state) == ("pg_node1", INCARNATION, "dead")
        assert death.since >= first.since
        assert monitor.sight("pg_node1") == monitor.attend("pg_node1", INCARNATION, BOOT) == death
        assert await monitor.next_death(0.01) is None

    _add(proc, child.pid)
    asyncio.run(watch())


def test_a_new_incarnation_starts_as_unknown(proc: Path, child: subprocess.Popen[bytes]) -> None:
    """The death of the former one is then not reported, and is no proof about the new one."""

    async def watch() -> None:
        monitor = process_monitor.ProcessMonitor(proc)
        assert monitor.attend("pg_node1", INCARNATION, BOOT).state == "alive"
        assert monitor.attend("pg_node1", "another", BOOT).state == "unknown"
        child.kill()
        assert await monitor.next_death(0.1) is None
        assert monitor.sight("pg_node1").incarnation == "another"

    _add(proc, child.pid)
    asyncio.run(watch())


def test_an_absent_supervisor_is_unknown_until_it_appears(
    proc: Path, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some calls search again, not each one; the time since when it is unknown does not change."""

    async def watch() -> None:
        monitor = process_monitor.ProcessMonitor(proc)
        assert monitor.sight("pg_node1").state == "unknown"
        first = monitor.attend("pg_node1", INCARNATION, BOOT)
        assert (first.state, first.reason) == ("unknown", "no such supervisor runs here")
        _add(proc, child.pid)
        assert monitor.attend("pg_node1", INCARNATION, BOOT) is first
        (proc / str(child.pid)).rename(proc / "away")
        monkeypatch.setattr(process_monitor, "SEARCH_PAUSE", 0)
        monitor = process_monitor.ProcessMonitor(proc)
        first = monitor.attend("pg_node1", INCARNATION, BOOT)
        assert monitor.attend("pg_node1", INCARNATION, BOOT).since == first.since
        (proc / "away").rename(proc / str(child.pid))
        assert monitor.attend("pg_node1", INCARNATION, BOOT).state == "alive"
        monitor.close()

    asyncio.run(watch())


@pytest.mark.parametrize(
    ("argv", "numbers"),
    [
        (("sh", "--node", "pg_node1", "--incarnation", "another"), "{pid}\t1"),
        (("sh", "--node", "pg_node2", "--incarnation", INCARNATION), "{pid}\t1"),
        (("sh", f"--node pg_node1 --incarnation {INCARNATION}"), "{pid}\t1"),
        (("sh", "pg_node1", "--node", INCARNATION, "--incarnation"), "{pid}\t1"),
        (ARGV, "{pid}\t7"),
        (ARGV, "{pid}"),
        ((), "{pid}\t1"),
    ],
)
def test_another_process_is_no_supervisor(
    proc: Path, child: subprocess.Popen[bytes], argv: tuple[str, ...], numbers: str
) -> None:
    """Other arguments, another order, a child of the supervisor that still has its argv, a zombie."""
    _add(proc, child.pid, argv, numbers)
    assert _attend(proc) == ("unknown", "no such supervisor runs here")


def test_two_supervisors_are_unknown(proc: Path, child: subprocess.Popen[bytes]) -> None:
    _add(proc, child.pid)
    _add(proc, os.getpid())
    assert _attend(proc) == ("unknown", "2 processes have its incarnation")


@pytest.mark.parametrize("boot", ["", "8a0c1bd2-0000-4000-8000-00000000000f"])
def test_another_boot_is_unknown(proc: Path, child: subprocess.Popen[bytes], boot: str) -> None:
    """Nothing is known about the processes of another machine, or of this one before its start."""
    _add(proc, child.pid)
    state, reason = _attend(proc, boot)
    assert state == "unknown"
    assert BOOT in reason


def test_no_boot_id_is_unknown(proc: Path, child: subprocess.Popen[bytes]) -> None:
    """Two empty boot ids are not the same boot."""
    _add(proc, child.pid)
    (proc / "sys/kernel/random/boot_id").unlink()
    assert {_attend(proc, boot)[0] for boot in ("", BOOT)} == {"unknown"}


@pytest.mark.parametrize("what", ["cmdline", "status"])
def test_an_unreadable_process_is_unknown(proc: Path, child: subprocess.Popen[bytes], what: str) -> None:
    """One process that cannot be read could be a second supervisor."""
    file = _add(proc, child.pid) / what
    file.unlink()
    file.mkdir()  # refuses to be read, also to root
    state, reason = _attend(proc)
    assert state == "unknown"
    assert reason.startswith("the kernel refused")


def test_no_proc_is_unknown(proc: Path) -> None:
    (proc / "sys").rename(proc / "kept")
    assert _attend(proc / "absent")[0] == "unknown"


def test_a_number_that_went_to_another_process_is_unknown(
    proc: Path, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number changes hands between finding the process and holding it; the pidfd is closed again."""
    folder = _add(proc, child.pid)
    opened: list[int] = []
    pidfd_open = os.pidfd_open

    def reuse(pid: int) -> int:
        (folder / "cmdline").write_bytes(b"cat\0")
        opened.append(pidfd_open(pid))
        return opened[-1]

    monkeypatch.setattr(os, "pidfd_open", reuse)
    assert _attend(proc) == ("unknown", "its supervisor ended before it could be held")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_an_event_that_is_no_end_is_unknown(
    proc: Path, child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error on the descriptor wakes the event loop too, and is no fact about the process."""

    async def watch() -> None:
        monitor = process_monitor.ProcessMonitor(proc)
        assert monitor.attend("pg_node1", INCARNATION, BOOT).state == "alive"
        monkeypatch.setattr(process_monitor, "_poll", lambda _: select.POLLERR)
        child.kill()
        assert await monitor.next_death(0.2) is None
        assert monitor.sight("pg_node1").state == "unknown"

    _add(proc, child.pid)
    asyncio.run(watch())
