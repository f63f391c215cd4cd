"""The targets of a signal: by the titles of real processes, without those that ended meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from tests.lab.unit.test_faults import FakeHost

from poolkeeper.core import errors
from poolkeeper.model.observed import Postgres, WalSender
from poolkeeper_lab.drill import drilled_cluster
from poolkeeper_lab.faults import choices, host, processes
from poolkeeper_lab.faults.host import Host, Process
from poolkeeper_lab.faults.processes import Choose

TITLES = (
    "postgres: poolkeeper: checkpointer ",
    "postgres: poolkeeper: walwriter ",
    "postgres: poolkeeper: startup recovering 000000010000000000000004",
    "postgres: poolkeeper: walreceiver streaming 0/40518F8",
    "postgres: poolkeeper: walsender replicator 10.8.0.12(49360) streaming 0/40518F8",
    "postgres: poolkeeper: walsender replicator 10.8.0.13(46820) streaming 0/40518F8",
    "postgres: poolkeeper: postgres postgres [local] idle",
    "postgres: poolkeeper: app app 10.8.0.100(40112) idle",
    "postgres: poolkeeper: app app 10.8.0.100(40114) COMMIT waiting for 0/40518F8",
    "postgres: poolkeeper: app app 10.8.0.1(40116) idle in transaction",
)
NODE = (
    Process(7, 1, ("python3", "-I", "-S", "/usr/local/lib/poolkeeper/supervisor.py", "--node", "pg_node1")),
    Process(8, 7, ("/usr/bin/python3", "/usr/bin/patroni", "/etc/poolkeeper/patroni.yml")),
    Process(9, 7, ("/usr/lib/postgresql/17/bin/postgres", "-D", "/var/lib/postgresql/data/pgdata")),
    *(Process(10 + number, 9, (title,)) for number, title in enumerate(TITLES)),
)
POOL = (
    Process(7, 1, ("pgpool", "-n", "-D")),
    Process(10, 7, ("pgpool: wait for connection request",)),
    Process(11, 7, ("pgpool: app app 10.8.0.100(4711) idle",)),
    Process(12, 7, ("pgpool: app app 10.8.0.100(4712) INSERT",)),
    Process(13, 7, ("pgpool: PCP: wait for connection request",)),
    Process(14, 7, ("pgpool: worker process",)),
    Process(15, 7, ("pgpool: health check process(0)",)),
    Process(16, 7, ("pgpool: accept connection",)),  # a client is connected, without a session yet
)


@pytest.mark.parametrize(
    ("choose", "pids"),
    [
        (choices.of_server("checkpointer"), [10]),
        (choices.of_server("walwriter"), [11]),
        (choices.of_server("startup"), [12]),
        (choices.of_server("walreceiver"), [13]),
        (choices.of_server("walsender"), [14, 15]),
        (choices.one(choices.of_server("walsender")), [14]),
        (choices.backends, [17, 18, 19]),
        (choices.backend, [18]),
        (choices.of_server("archiver"), []),
        (choices.below_first, [8, 9]),
    ],
)
def test_processes_of_a_node(choose: Choose, pids: list[int]) -> None:
    assert [process.pid for process in choose(NODE)] == pids


@pytest.mark.parametrize(
    ("choose", "pids"),
    [(choices.pool_children, [10, 11, 12, 16]), (choices.pool_session, [12]), (choices.backends, [])],
)
def test_processes_of_pgpool(choose: Choose, pids: list[int]) -> None:
    assert [process.pid for process in choose(POOL)] == pids


def test_a_server_without_a_cluster_name_has_the_same_roles() -> None:
    titles = "postgres: checkpointer ", "postgres: app app 10.8.0.1(1) idle"
    plain = [Process(number, 1, (title,)) for number, title in enumerate(titles)]
    assert [p.pid for p in choices.of_server("checkpointer")(plain)] == [0]
    assert [p.pid for p in choices.backend(plain)] == [1]


class Leaving(FakeHost):
    """A container whose processes are NODE, of which some end before the signal comes."""

    def __init__(self, gone: Sequence[int] = (), stopped: Sequence[int] = ()) -> None:
        super().__init__()
        self.gone, self.stopped = set(gone), set(stopped)

    def processes(self, service: str) -> tuple[Process, ...]:
        del service
        return tuple(Process(p.pid, p.parent, p.argv, p.pid in self.stopped) for p in NODE)

    def send(self, number: signal.Signals, pids: Sequence[int], service: str) -> None:
        if self.gone & set(pids):
            raise ProcessLookupError
        super().send(number, pids, service)


def made(fake: Leaving, kind: type[processes.KillProcesses] = processes.KillProcesses) -> processes.KillProcesses:
    fault = kind(cast(Host, fake), "pg_node1", choices.of_server("walsender"))
    fault.aim()
    return fault


def test_of_several_targets_those_that_ended_are_skipped() -> None:
    fake = Leaving(gone=[14])
    made(fake).inject()
    assert fake.asked == [("SIGKILL", "15", "pg_node1")]


def test_an_injection_fails_if_all_targets_end_again_and_again() -> None:
    with pytest.raises(ProcessLookupError):
        made(Leaving(gone=[14, 15])).inject()


def test_an_injection_finds_another_target_if_its_own_ended() -> None:
    fake = Leaving(gone=[14, 15])
    fault = made(fake)
    fake.gone = {14}
    fault.inject()
    assert fake.asked == [("SIGKILL", "15", "pg_node1")]


def test_a_process_that_never_exists_cannot_be_aimed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TARGET_SECONDS", 0.0)
    with pytest.raises(errors.DeadlinePassed, match="no such process"):
        processes.KillProcesses(cast(Host, Leaving()), "pg_node1", choices.pool_children).aim()


def test_a_process_that_does_not_exist_yet_is_waited_for() -> None:
    seen = iter([[], [], [NODE[1]]])
    fault = processes.KillProcesses(cast(Host, Leaving()), "pg_node1", lambda _: next(seen))
    fault.aim()
    fault.inject()
    assert fault.host.asked == [("SIGKILL", str(NODE[1].pid), "pg_node1")]  # type: ignore[attr-defined]


def test_a_request_to_exit_names_its_signal() -> None:
    fake = Leaving()
    fault = processes.TermProcesses(cast(Host, fake), "pg_node1", processes.postmaster, signal.SIGQUIT)
    fault.aim()
    fault.inject()
    fault.heal()
    assert fake.asked == [("SIGQUIT", "9", "pg_node1")]
    assert str(fault) == "SIGQUIT of processes of pg_node1, from the host"


def test_frozen_processes_continue_after_half_an_injection_and_twice() -> None:
    fake = Leaving(gone=[15])
    fault = made(fake, processes.FreezeProcesses)
    fault.inject()
    fault.heal()
    fault.heal()
    assert [words[:2] for words in fake.asked] == [("SIGSTOP", "14"), ("SIGCONT", "14"), ("SIGCONT", "14")]


def test_a_sweep_continues_stopped_processes() -> None:
    fake = Leaving(stopped=[14])
    processes.sweep_stopped(cast(Host, fake), "pg_node1")
    assert fake.asked == [("SIGCONT", "14", "pg_node1")]


def test_a_stopped_process_is_recognised(tmp_path: Path) -> None:
    for pid, state in ((5, "S"), (6, "T")):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "stat").write_text(f"{pid} (x) {state} {pid - 1} 0 0")
        (entry / "cmdline").write_bytes(b"/bin/x\0")
    assert [p.is_stopped for p in host.descendants(5, tmp_path)] == [False, True]


def sender(name: str, sync: str, lag: int | None) -> WalSender:
    return WalSender(name, "streaming", sync, lag)


def test_the_first_standby_is_the_one_in_the_quorum_that_is_least_behind() -> None:
    def primary(*senders: WalSender) -> Postgres:
        return Postgres(False, 1, "17.6", True, "ANY 1 (pg_node2,pg_node3)", senders)

    names = ["pg_node2", "pg_node3"]
    near, far = sender("pg_node3", "quorum", 10), sender("pg_node2", "quorum", 900)
    assert drilled_cluster.acknowledging(primary(far, near), names) == "pg_node3"
    assert drilled_cluster.acknowledging(primary(sender("pg_node2", "async", 0), near), names) == "pg_node3"
    assert drilled_cluster.acknowledging(primary(sender("pg_node2", "quorum", None), near), names) == "pg_node3"
    for without_quorum in (
        None,
        primary(),
        primary(sender("pg_basebackup", "quorum", 0), sender("pg_node2", "async", 0)),
    ):
        with pytest.raises(errors.Unreachable):
            drilled_cluster.acknowledging(without_quorum, names)
