"""`bench storm`: the drivers' words and figures, who waits and who is refused, goals; the drivers at a fake server."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from tests.poolkeeper.unit import snapshots, wire_server

from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import process
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_endpoints, storm_driver, storm_job
from poolkeeper_lab.bench.load.storm_job import StormAttempt, StormJob, StormReport
from poolkeeper_lab.bench.measure import meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.parts import storm
from poolkeeper_lab.bench.report.bench_model import BenchSection

SPEC = snapshots.SPEC
PLACE = SimpleNamespace(spec=SPEC)
JOB = storm_job.job(Dsn("10.8.0.100", 5100, "app", "db", "secret"), storm_job.WRITE, 7, 0, 1000, 3, 5.0)
SORRY = "FATAL: Sorry, too many clients already"


def report(*done: float | None, late: float = 0.0) -> StormReport:
    """Attempts that were done so; None was refused."""
    return StormReport(tuple(StormAttempt(0.1, d, "" if d else SORRY) for d in done), late)


def test_a_job_and_its_answer_survive_the_pipe() -> None:
    assert StormJob.read(JOB.text()) == JOB
    assert StormReport.read(report(1.0, None, late=0.01).text()) == report(1.0, None, late=0.01)


@pytest.mark.parametrize("text", ["", "{}", "Traceback", '{"late": 0, "attempts": 3}'])
def test_half_an_answer_is_none(text: str) -> None:
    with pytest.raises(errors.EngineFailed, match="no valid report"):
        StormReport.read(text)


@pytest.mark.parametrize(
    ("clients", "sessions", "drivers"), [(2000, 0, 2), (7, 0, 3), (2000, 31, 2), (5, 1, 4), (1, 0, 9)]
)
def test_shares_add_up_to_the_job(clients: int, sessions: int, drivers: int) -> None:
    parts = storm_job.shares(replace(JOB, clients=clients, sessions=sessions), drivers)
    assert sum(part.clients for part in parts) == clients
    assert sum(part.sessions for part in parts) == sessions
    assert len({part.seed for part in parts}) == len(parts)
    assert all(part.sessions for part in parts) or not sessions


def test_a_late_driver_makes_no_storm() -> None:
    assert len(storm_job.combine([report(1.0), report(2.0, late=0.05)]).attempts) == 2
    with pytest.raises(errors.EngineFailed, match=r"ready only 0\.50 s"):
        storm_job.combine([report(1.0), report(2.0, late=0.5)])


def test_figures_count_every_client_once() -> None:
    found = storm_job.figures(report(*(i / 100 for i in range(1, 101)), None, None))
    assert (found.count, found.refused, found.last, found.p50, found.p99) == (102, 2, 1.0, 0.5, 0.99)
    assert storm_job.message_counts(found.messages) == f"“{SORRY}” × 2"
    none_of_them = storm_job.figures(report(None))
    assert (none_of_them.refused, none_of_them.last) == (1, None)


def test_waiting_clients_are_separate_from_refused_ones() -> None:
    seen = StormReport(
        (
            StormAttempt(0.2, 2.2),
            StormAttempt(2.3, 4.3),
            StormAttempt(2.5, None, "57P01"),
            StormAttempt(None, None, SORRY),
        )
    )
    values = {measure.name: value for measure, value in storm.busy_values(seen).items()}
    assert values == {"connected at once": 1, "waited": 2, "refused": 2, "longest wait": 2.5}
    alone = storm.busy_values(StormReport((StormAttempt(None, None, SORRY),)))
    assert storm.LONGEST not in alone


def test_an_error_is_reported_without_the_address_and_without_the_guess() -> None:
    text = (
        'connection failed: connection to server at "10.8.0.100", port 5100 failed: server closed the connection '
        "unexpectedly\n\tThis probably means the server terminated abnormally\n\tbefore or while processing it."
    )
    assert storm_job.shorten(text) == "server closed the connection unexpectedly"
    assert storm_job.shorten(f'connection to server at "h", port 1 failed: {SORRY}') == SORRY
    assert len(storm_job.shorten("x" * 999)) == storm_job.MESSAGE


class FakeConnection:
    """A session; `broken`: its second statement fails."""

    def __init__(self, server: FakeServer) -> None:
        self._server = server

    async def execute(self, statement: bytes) -> None:
        """Note it."""
        self._server.statements.append(statement)
        if self._server.breaks and len(self._server.statements) >= self._server.breaks:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    async def close(self) -> None:
        """Count it."""
        self._server.open -= 1


class FakeServer:
    """A server with room for so many sessions in all; the most that were open at once."""

    def __init__(self, room: int, breaks: int = 0) -> None:
        self.room, self.breaks = room, breaks
        self.open = self.most = self.ever = 0
        self.statements: list[bytes] = []

    async def connect(self, **_: Any) -> FakeConnection:
        """Let one in, or not."""
        self.ever += 1
        if self.ever > self.room:
            raise psycopg.OperationalError(f'connection to server at "h", port 1 failed: {SORRY}')
        self.open += 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        return FakeConnection(self)


def driven(monkeypatch: pytest.MonkeyPatch, server: FakeServer, **update: Any) -> StormReport:
    """The driver's work at a fake server."""
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", server.connect)
    return asyncio.run(storm_driver.run(replace(JOB, at=time.monotonic(), **update)))


def test_each_client_has_a_connection_of_its_own_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(5)
    found = storm_job.figures(driven(monkeypatch, server))
    assert (found.count, found.refused, found.messages) == (7, 2, ((SORRY, 2),))
    assert (server.open, server.most) == (0, 5)
    assert len(server.statements) == 5 * len(storm_job.WRITE)
    assert b"UPDATE pgbench_accounts SET abalance = abalance + " in server.statements[server.most]


def test_kept_sessions_share_the_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(3)
    found = storm_job.figures(driven(monkeypatch, server, sessions=3, clients=20))
    assert (found.count, found.refused, server.ever, server.open) == (20, 0, 3, 0)
    assert len(server.statements) == 20 * len(storm_job.WRITE)


def test_what_a_broken_session_leaves_is_refused_and_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer(1, breaks=6)
    found = storm_job.figures(driven(monkeypatch, server, sessions=1, clients=5))
    assert (found.count, found.refused) == (5, 4)
    assert dict(found.messages) == {"server closed the connection unexpectedly": 1, "its session had ended": 3}


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(**_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", silent)
    found = asyncio.run(storm_driver.run(replace(JOB, at=time.monotonic(), patience=0.01)))
    assert {attempt.error for attempt in found.attempts} == {"no answer in time"}


def test_statements_are_those_of_the_seed() -> None:
    first = storm_driver._statements(JOB, random.Random(1))
    assert first == storm_driver._statements(JOB, random.Random(1))
    assert first != storm_driver._statements(JOB, random.Random(2))
    assert b"{" not in b"".join(first)


def test_drivers_are_processes_that_get_the_password_by_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, str]] = []

    def together(jobs: list[tuple[Any, str]], timeout: float) -> list[process.Finished]:
        del timeout
        seen.extend(jobs)
        return [process.Finished((), 0, report(1.0).text(), "") for _ in jobs]

    monkeypatch.setattr(process, "run_together", together)
    assert len(storm.perform(JOB, 2).attempts) == 2
    assert not [argv for argv, _ in seen if "secret" in argv]
    assert [StormJob.read(text).clients for _, text in seen] == [4, 3]
    assert len({StormJob.read(text).at for _, text in seen}) == 1


def test_a_driver_that_fails_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = process.Finished((), 1, "", "Traceback: odd")
    monkeypatch.setattr(process, "run_together", lambda *_: [failed])
    with pytest.raises(errors.EngineFailed, match="ended with an error") as caught:
        storm.perform(JOB, 1)
    assert caught.value.detail == "Traceback: odd"


ECHO = "import sys; text = sys.stdin.read(); print(text * 40000); sys.exit(int(text))"


def test_programs_run_together_and_their_long_output_is_read() -> None:
    done = process.run_together([((sys.executable, "-c", ECHO), "0"), ((sys.executable, "-c", ECHO), "3")], 60)
    assert [end.code for end in done] == [0, 3]
    assert [len(end.stdout) for end in done] == [40001, 40001]


def test_programs_that_do_not_end_are_killed() -> None:
    waiting = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(errors.EngineFailed, match="did not end"):
        process.run_together([((sys.executable, "-c", waiting), "")], 0.5)
    assert not [entry for entry in os.listdir("/proc") if entry.isdigit() and _is_child(entry)]


def _is_child(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as opened:
            return b"time.sleep(600)" in opened.read()
    except OSError:
        return False


def test_levels_are_below_at_and_beyond_what_an_endpoint_has() -> None:
    own = {endpoint.key: endpoint for endpoint in bench_endpoints.own(SPEC, "pg_node1")}
    assert storm.levels(PLACE, own["5100"]) == (30, 32, 64)  # type: ignore[arg-type]
    sessions = SPEC.direct_sessions()["direct_rw"]
    assert storm.levels(PLACE, own["5200"]) == (sessions - 2, sessions, 2 * sessions)  # type: ignore[arg-type]


def test_cpu_time_of_the_drivers_is_reported() -> None:
    used = meter.Usage(9.0, {"pgpool_rw": 1.0, "pg_node1": 3.0, "pg_node2": 1.0}, 0.0, own=6.0)
    values = {m.name: value for m, value in storm.cpu_values(PLACE, used, 2000).items()}  # type: ignore[arg-type]
    assert values == {"Pgpool-II": 0.5, "PostgreSQL, Patroni": 2.0, "drivers": 3.0}


def section(kept: StormReport, stormed: StormReport, endpoint: str = "5100", kind: str = "write") -> BenchSection:
    """Return the part's notes after a round of one case."""
    part = storm.Storm(PLACE, BenchOptions(seed=7))  # type: ignore[arg-type]
    contenders = tuple(
        Contender(name, partial(Sample, storm.storm_values(t)))
        for name, t in ((storm.ALONE, kept), (storm.STORM, stormed))
    )
    part._note(f"{endpoint}, {kind}, {storm.STORM}", storm_job.figures(stormed))
    about = {"endpoint": endpoint, "transaction": kind, "clients": "2000", "kept": "30"}
    case = Case(about, contenders, (Ratio(storm.STORM, storm.ALONE, storm.LAST),), axis="how")
    part._storms = RoundsRecord([case], 1, 7)
    rounds.play(part._storms, Silent())
    return part.section()


def test_goals_are_no_refusal_and_a_timely_last_transaction() -> None:
    refused, factor = section(report(1.0, 2.0), report(3.0, 5.0)).goals[:2]
    assert (refused.is_met, factor.is_met) == (True, True)
    assert factor.estimate is not None
    assert factor.estimate.median == 2.5
    refused, factor = section(report(1.0), report(3.1, None)).goals[:2]
    assert (refused.is_met, factor.is_met) == (False, False)


def test_a_refusal_in_a_discarded_round_is_one_too() -> None:
    part = storm.Storm(PLACE, BenchOptions(seed=7))  # type: ignore[arg-type]
    for found in (report(None, None), report(1.0)):
        part._note("5100", storm_job.figures(found))
    assert part._worst == {"5100": 2}
    assert part.section().notes == (f"5100: “{SORRY}” × 2",)


def test_a_goal_without_a_storm_is_not_measured() -> None:
    assert [goal.reason for goal in section(report(1.0), report(2.0), endpoint="9999").goals] == ["it was not run"] * 4
    none_done = section(report(1.0), report(None)).goals[:2]
    assert [goal.is_met for goal in none_done] == [False, None]


@pytest.mark.parametrize("sessions", [0, 4])
def test_real_drivers_at_a_server_of_the_wire(monkeypatch: pytest.MonkeyPatch, sessions: int) -> None:
    monkeypatch.setattr(storm_job, "LATE", 600.0)
    with wire_server.running(150) as server:
        job = replace(JOB, host="127.0.0.1", port=server.port, clients=200, sessions=sessions, patience=60.0)
        found = storm_job.figures(storm.perform(job, 2))
        if sessions:
            assert (found.count, found.refused, server.logins) == (200, 0, 4)
        else:
            assert (found.count, found.refused) == (200, 50)
            assert found.messages == (("FATAL: Sorry, too many clients already", 50),)
        assert len(server.statements) == (found.count - found.refused) * len(storm_job.WRITE)
        assert found.last is not None
        assert 0 < (found.p50 or 0) <= found.last
