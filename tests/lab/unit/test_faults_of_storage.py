"""Faults of storage: their order, their effect, and the reports of damage and refusals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from tests.lab.unit import disk_host
from tests.lab.unit.disk_host import DiskHost
from tests.lab.unit.test_faults import NODE

from poolkeeper.core import errors
from poolkeeper.operations import logs
from poolkeeper.system import postgres, process
from poolkeeper_lab.chaos.scenarios import storage_scenarios
from poolkeeper_lab.faults import damage, disk_images, disks, networks, node_faults, power, sweep, syscalls
from poolkeeper_lab.faults.disk_images import DiskPart, Image
from poolkeeper_lab.faults.host import Host, Process


@pytest.fixture
def place(tmp_path: Path) -> DiskHost:
    return disk_host.made(tmp_path)


class Calls:
    """The calls, in their order; `primary` is the primary for all components."""

    def __init__(self, primary: str) -> None:
        self.made: list[str] = []
        self.primary = primary

    def note(self, name: str, value: Any = None) -> Callable[..., Any]:
        def call(*words: Any, **_: Any) -> Any:
            self.made.append(" ".join([name, *(word for word in words if isinstance(word, str))]))
            return value

        return call


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made = Calls("pg_node2")
    for name in ("stop", "start", "wait_written", "hand_over", "checkpoint", "take_role_from", "clone_again"):
        monkeypatch.setattr(node_faults, name, made.note(name))
    monkeypatch.setattr(node_faults, "wait_healthy", made.note("wait_healthy", "pg_node2"))
    monkeypatch.setattr(node_faults, "wait_replayed", made.note("wait_replayed", 0x5000000))
    for name in ("move", "cut_power", "fill", "empty", "back"):
        monkeypatch.setattr(Image, name, made.note(name))
    monkeypatch.setattr(Image, "exists", True)
    return made


def test_power_is_cut_after_the_last_node_has_died(calls: Calls, place: DiskHost) -> None:
    fault = power.LosePower(cast(Host, place), "every node", power.every_node)
    fault.inject()
    assert place.asked[-1] == ("kill", "c_pg_node1", "c_pg_node2")
    assert calls.made == [
        *("stop", "move", "move", "start", "wait_healthy", "wait_written pg_node2", "cut_power", "cut_power")
    ]
    calls.made.clear()
    fault.heal()
    assert calls.made == ["empty", "empty", "stop", "back", "back", "start"]


@pytest.mark.parametrize("is_large", [True, False])
def test_much_wal_is_removed_before_the_move(
    is_large: bool, calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "is_large", lambda _: is_large)
    monkeypatch.setattr(node_faults, "shed_wal", calls.note("shed_wal"))
    assert power.move_all(cast(Host, place), [Image(cast(Host, place), "pg_node1", DiskPart.WAL)]) == "pg_node2"
    assert calls.made == [*(["shed_wal"] if is_large else []), "stop", "move", "start", "wait_healthy"]


def test_the_victim_gets_the_role_before_its_power_is_cut(calls: Calls, place: DiskHost) -> None:
    power.LosePower(cast(Host, place), "pg_node1", as_primary=True).inject()
    assert calls.made[-3:] == ["hand_over pg_node1", "wait_written pg_node1", "cut_power"]


def test_only_pg_control_is_written_out_between_a_restart_point_and_the_cut(
    calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[Path] = []
    monkeypatch.setattr(node_faults, "restart_point", calls.note("restart_point"))
    monkeypatch.setattr(power, "flush", flushed.append)
    power.LosePowerOutOfOrder(cast(Host, place), "pg_node1").inject()
    assert calls.made[-3:] == ["wait_written pg_node2", "restart_point pg_node1", "cut_power"]
    assert flushed == [place.root / "pg_node1" / "pgdata" / "global" / "pg_control"]
    assert place.asked[-1] == ("kill", "c_pg_node1")


def test_one_file_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda opened: written.append(os.readlink(f"/proc/self/fd/{opened}")))
    (tmp_path / "file").touch()
    power.flush(tmp_path / "file")
    assert written == [str(tmp_path / "file")]


@pytest.mark.parametrize(
    ("as_primary", "answers", "has_effect"),
    [
        (True, ["refused"], True),
        (True, [], False),
        (False, [[("pg_node3",)]], True),
        (False, [], False),
    ],
)
def test_a_full_disk_counts_only_with_an_effect(
    as_primary: bool,
    answers: list[Any],
    has_effect: bool,
    calls: Calls,
    place: DiskHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def query(dsn: Any, statement: str, timeout: float) -> Any:
        del dsn, timeout
        asked.append(statement)
        if statement.startswith("SELECT application_name"):
            return answers[0] if has_effect and not as_primary else [("pg_node1",)]
        if has_effect and as_primary and not statement.startswith("DROP"):
            raise errors.ServerRefused("disk full", code="53100")
        return []

    monkeypatch.setattr(postgres, "query", query)
    fault = disks.FillDisk(cast(Host, place), "pg_node1", DiskPart.DATA, "s.growth", as_primary)
    if has_effect:
        fault.inject()
    else:
        with pytest.raises(errors.EngineFailed, match="that had no effect"):
            fault.inject()
    assert asked[0] == "DROP TABLE IF EXISTS s.growth"
    assert asked[1].startswith("CREATE TABLE s.growth")
    assert ("hand_over pg_node1" in calls.made) is as_primary
    calls.made.clear()
    fault.heal()
    assert calls.made == ["empty", "stop", "back", "start"]


def test_strace_is_attached_to_the_chosen_processes_and_ended_by_its_log(
    place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Sequence[str]] = []
    lines = ["31  fsync(6) = 0"]

    def start(argv: Sequence[str], output: Path) -> None:
        started.append(argv)
        output.touch()
        output.with_suffix(".strace").write_text("\n".join(lines))

    monkeypatch.setattr(process, "start_detached", start)
    monkeypatch.setattr(syscalls, "tracer", lambda _: 5)
    how = syscalls.failing("EIO")
    fault = syscalls.SpoilCalls(cast(Host, place), "pg_node1", syscalls.FSYNC, how, syscalls.wal_writers)
    assert str(fault) == "strace of pg_node1: fsync,fdatasync with error=EIO"
    monkeypatch.setattr(syscalls, "EFFECT_SECONDS", 0.2)
    with pytest.raises(errors.DeadlinePassed, match="no such call was made"):
        fault.inject()
    lines.append("31  fsync(6) = -1 EIO (Input/output error) (INJECTED)")
    fault.inject()
    argv = started[-1]
    assert argv[:3] == ("timeout", "--kill-after=5", str(syscalls.LIMIT))
    assert "inject=fsync,fdatasync:error=EIO" in argv
    assert [argv[at + 1] for at, word in enumerate(argv) if word == "--attach"] == ["7", "8", "9", "12", "11"]
    log = str(place.root / "state" / "disks" / "pg_node1.strace")
    assert log in argv
    ended: list[int] = []
    running = [[41], [41], []]
    monkeypatch.setattr(syscalls, "ours", lambda _: iter(running.pop(0)))
    monkeypatch.setattr(os, "kill", lambda pid, _: ended.append(pid))
    fault.heal()
    assert ended == [41]
    assert list((place.root / "state" / "disks").iterdir()) == []
    fault.heal()  # no log is left, so no strace is searched


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (errors.ServerRefused("could not read block 3", code="58030"), None),
        (errors.ServerRefused("out of memory", code="53200"), errors.ServerRefused),
        ([(20000,)], errors.EngineFailed),
    ],
)
def test_a_failing_read_must_not_return_rows(
    answer: Any, raised: type[Exception] | None, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        async def rows(self, statement: str) -> Any:
            if statement.startswith("SELECT count") and isinstance(answer, Exception):
                raise answer
            return answer

    @asynccontextmanager
    async def session(*_: Any) -> AsyncIterator[Session]:
        yield Session()

    monkeypatch.setattr(postgres, "session", session)
    fault = syscalls.SpoilReads(cast(Host, place), "pg_node1", syscalls.READ, syscalls.failing("EIO"))
    if raised:
        with pytest.raises(raised):
            asyncio.run(fault.provoke())
    else:
        asyncio.run(fault.provoke())


def test_only_a_strace_with_our_log_is_ours(tmp_path: Path) -> None:
    log = tmp_path / "pg_node1.strace"
    for pid, words in {
        "5": ("strace", "-f", "--output", str(log)),
        "6": ("/usr/bin/strace", "--output", str(tmp_path / "pg_node2.strace")),
        "7": ("timeout", "strace", "--output", str(log)),
        "8": ("",),
    }.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes("\0".join(words).encode())
    assert list(syscalls.ours(log, tmp_path)) == [5]


def test_strace_is_attached_to_processes_that_write_wal() -> None:
    startup = Process(12, 9, ("postgres: startup recovering 000000010000000000000003",))
    assert list(syscalls.wal_writers([*NODE, startup])) == [p for p in NODE if p.pid != 10]
    assert syscalls.everything(NODE) == NODE
    assert syscalls.slow(200) == "delay_enter=200000"


def test_a_process_that_ended_has_no_tracer(tmp_path: Path) -> None:
    assert syscalls.tracer(4, tmp_path) is None
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "status").write_text("Name:\tx\nTracerPid:\t0\n")
    assert syscalls.tracer(4, tmp_path) == 0


def control(redo: str) -> str:
    return f"Latest checkpoint location:  0/9\nLatest checkpoint's REDO location:    {redo}\n"


@pytest.mark.parametrize(("what", "left"), [("page", {3, 4, 5}), ("segment", {3, 5}), ("all", set())])
def test_wal_is_damaged_between_redo_and_the_replayed_position(
    what: str, left: set[int], calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.root / "pg_node1" / "pgdata" / "pg_wal"
    for number in (3, 4, 5):
        (folder / f"0000000100000000{number:08X}").write_bytes(b"\0" * disk_images.SEGMENT)
    monkeypatch.setattr(place, "docker", answering(place, control("0/3F00000")))
    fault = damage.LoseWal(cast(Host, place), "pg_node1", what)
    fault.inject()
    found = {int(file.name[-8:], 16): file for file in folder.iterdir() if len(file.name) == 24}
    assert set(found) == left
    spoiled = {number for number, file in found.items() if any(file.read_bytes())}
    assert spoiled == ({4} if what == "page" else set())
    assert calls.made[-2:] == ["stop", "start"]


@pytest.mark.parametrize("line", ["FATAL:  according to history file, WAL location 0/49 belongs to timeline 7", ""])
def test_a_standby_is_cloned_only_if_its_server_can_never_pass_the_damage(
    line: str, calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"{line}, {damage.IMPASSABLE} 8" if line else "LOG:  invalid magic number 2EE9 in WAL segment"

    async def no_answer(*_: object) -> None:
        raise errors.DeadlinePassed("no answer")

    monkeypatch.setattr(node_faults, "wait_answer", no_answer)
    monkeypatch.setattr(logs, "merged", lambda *_, **__: [logs.Line("", "pg_node1", said)])
    damage.LoseWal(cast(Host, place), "pg_node1").heal()
    assert calls.made == (["clone_again pg_node1"] if line else [])


def test_wal_without_anything_to_replay_is_not_damaged(
    calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "docker", answering(place, control("0/5000000")))
    with pytest.raises(errors.EngineFailed, match="only 0 bytes"):
        damage.LoseWal(cast(Host, place), "pg_node1").inject()
    assert calls.made[-1] == "stop"


def answering(place: DiskHost, control_data: str) -> Callable[..., str]:
    plain = DiskHost.docker

    def docker(*words: str, seconds: float = 60) -> str:
        if words[0] == "run":
            return control_data
        if "{{.Config.Image}}" in words:
            return "image\n"
        return plain(place, *words, seconds=seconds)

    return docker


def test_names_and_positions_of_wal(tmp_path: Path) -> None:
    assert damage.position("2/A0") == (2 << 32) + 160
    for timeline in "12":
        (tmp_path / f"0000000{timeline}00000002000000FF").touch()
    assert damage.segment(tmp_path, damage.position("2/FF000001")).name == "0000000200000002000000FF"
    with pytest.raises(errors.EngineFailed):
        damage.segment(tmp_path, 0)


@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (errors.ServerRefused("invalid page in block 1", code="XX001"), None),
        ([(200,)], errors.EngineFailed),
        (errors.ServerRefused("no such table", code="42P01"), errors.ServerRefused),
    ],
)
def test_a_damaged_page_must_be_refused(
    answer: Any, raised: type[Exception] | None, calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place.root / "pg_node1" / "pgdata" / "still"
    file.write_bytes(bytes(3 * damage.PAGE))

    async def query(dsn: Any, statement: str, timeout: float) -> Any:
        del dsn, timeout
        if "filepath" in statement:
            return [("still",)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def at_once(*_: Any) -> None:
        """Answer at once."""

    monkeypatch.setattr(postgres, "query", query)
    monkeypatch.setattr(node_faults, "wait_answer", at_once)
    fault = damage.SpoilPage(cast(Host, place), "pg_node1", "s.still", promoted=True)
    if raised:
        with pytest.raises(raised):
            fault.inject()
    else:
        fault.inject()
    assert file.read_bytes().count(0xFF) == 64
    assert calls.made == ["checkpoint pg_node1", "wait_replayed pg_node1", "stop", "start", "hand_over pg_node1"]
    calls.made.clear()
    for _ in range(2):
        fault.heal()
    assert calls.made == ["take_role_from pg_node1", "clone_again pg_node1"]


def test_a_page_is_not_damaged_if_the_file_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(damage.PAGE))
    with pytest.raises(errors.EngineFailed):
        damage.overwrite(tmp_path / "short", damage.PAGE, 1)


def test_sweep_removes_everything_that_a_killed_run_left(
    calls: Calls, place: DiskHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.root / "state" / "disks"
    folder.mkdir()
    (folder / "pg_node2.damaged").touch()
    (folder / "pg_node1.err").touch()
    monkeypatch.setattr(syscalls, "ours", lambda _: iter(()))
    monkeypatch.setattr(networks, "rejoin", lambda *_: None)
    monkeypatch.setattr(sweep, "of_container", lambda *_: None)
    sweep.sweep(cast(Host, place))
    assert calls.made[-3:] == ["start", "take_role_from pg_node2", "clone_again pg_node2"]
    assert calls.made.count("back") == 4
    assert list(folder.iterdir()) == []


def test_the_scenarios_of_storage_are_many_and_brief() -> None:
    assert len(storage_scenarios.SCENARIOS) >= 16
    assert all(scenario.hold[1] <= 10 for scenario in storage_scenarios.SCENARIOS)
