"""Sessions as faults: they are really held, and a fault without an effect does not count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from tests.lab.unit.test_faults_of_pressure import DSN, Noted, on

from poolkeeper.core import errors
from poolkeeper.system import held_sessions
from poolkeeper_lab.faults import session_faults


class Connection:
    """A session that records its statements."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.closed = 0
        self.pgconn = SimpleNamespace(send_query=lambda text: self.asked.append(text.decode()), flush=lambda: None)

    def execute(self, statement: bytes) -> Any:
        self.asked.append(statement.decode())
        return SimpleNamespace(description=True, fetchall=lambda: [(0,)])

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """Return the sessions that were made; the fourth is refused."""
    opened: list[Connection] = []

    def connect(**_: object) -> Connection:
        if len(opened) == 3:
            raise psycopg.OperationalError("FATAL: sorry, too many clients already")
        opened.append(Connection())
        return opened[-1]

    monkeypatch.setattr(psycopg, "connect", connect)
    return opened


def test_a_server_is_full_when_it_refuses(made: list[Connection]) -> None:
    fault = session_faults.FillServer(on(Noted()), "pg_node1")
    fault.inject()
    assert len(made) == 3
    fault.heal()
    fault.heal()
    assert [session.closed for session in made] == [1, 1, 1]


def test_a_server_that_refuses_nothing_is_not_full(made: list[Connection]) -> None:
    fake = Noted()
    fake.cluster.spec = SimpleNamespace(postgresql=SimpleNamespace(max_connections=1), roles=fake.cluster.spec.roles)
    with pytest.raises(errors.EngineFailed, match="refused none"):
        session_faults.FillServer(on(fake), "pg_node1").inject()
    assert len(made) == 2


def test_a_refusal_for_another_reason_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(**_: object) -> None:
        raise psycopg.OperationalError("FATAL: password authentication failed")

    monkeypatch.setattr(psycopg, "connect", connect)
    with pytest.raises(errors.ServerRefused, match="password"):
        held_sessions.Held().fill(DSN, 5)


def test_an_endpoint_is_full_when_no_child_is_free(made: list[Connection]) -> None:
    session_faults.FillEndpoint(on(Noted()), "pgpool").inject()
    assert len(made) == 3
    assert [session.asked for session in made] == [["SELECT 1"]] * 3
    with pytest.raises(errors.UsageError, match="endpoint"):
        session_faults.FillEndpoint(on(Noted()), "pg_node1").inject()


def endpoint_of(children: int) -> Noted:
    fake = Noted()
    endpoints = SimpleNamespace(**{key: getattr(fake.cluster.spec.endpoints, key) for key in ("rw", "ro", "balanced")})
    endpoints.balanced = SimpleNamespace(service="pgpool", num_init_children=children)
    fake.cluster.spec = SimpleNamespace(endpoints=endpoints, roles=fake.cluster.spec.roles)
    return fake


def test_an_endpoint_that_refuses_no_client_or_every_client_is_not_full(
    made: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.EngineFailed, match="accepted 2 sessions and answered nothing"):
        session_faults.FillEndpoint(on(endpoint_of(1)), "pgpool").inject()
    assert len(made) == 2

    def refuse(**_: object) -> None:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(psycopg, "connect", refuse)
    with pytest.raises(errors.EngineFailed, match="accepted 0 sessions and answered"):
        session_faults.FillEndpoint(on(Noted()), "pgpool").inject()


def test_sessions_that_the_server_has_closed_fill_nothing(
    made: list[Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise psycopg.OperationalError("server closed the connection")

    monkeypatch.setattr(Connection, "execute", gone)
    with pytest.raises(errors.Unreachable, match="closed the connection"):
        session_faults.FillEndpoint(on(Noted()), "pgpool").inject()
    assert made


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        (session_faults.OpenTransaction, session_faults.MESSAGE),
        (session_faults.LockedTable, "LOCK TABLE poolkeeper_chaos.of_register IN ACCESS EXCLUSIVE MODE"),
        (session_faults.LongQuery, "SELECT pg_sleep(30)"),
    ],
)
def test_a_session_is_held_in_its_last_statement(
    made: list[Connection], kind: type[session_faults.Sessions], last: str
) -> None:
    fault = kind(on(Noted()), "pg_node1")
    fault.inject()
    assert made[-1].asked[-1] == last
    assert "COMMIT" not in made[-1].asked
    fault.heal()
    assert made[-1].closed


def test_cancelling_counts_only_if_a_commit_waited(made: list[Connection]) -> None:
    fault = session_faults.CancelWaiting(on(Noted()), "pg_node1", seconds=0.05)
    with pytest.raises(errors.EngineFailed, match="no commit"):
        fault.inject()
    assert "SyncRep" in "".join(made[0].asked)


def test_all_sessions_except_the_balanced_endpoint_s_are_ended(made: list[Connection]) -> None:
    session_faults.EndSessions(on(Noted()), "pg_node1").inject()
    assert made[0].asked[-1].endswith("usename = 'app' AND client_addr IS DISTINCT FROM '10.8.0.20'")


@pytest.mark.parametrize("refusals", [["too many"], ["", "", "too many"], [""]])
def test_silent_connections_occupy_each_child_and_no_client_is_accepted(
    refusals: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is accepted, the client tries again for some seconds: the silent ones may arrive after it."""
    opened: list[object] = []
    said, asked, ended = iter(refusals), [], []
    fault = session_faults.SilentClients(on(Noted()), "pgpool_rw")
    fault.held = cast(Any, SimpleNamespace(connect=lambda *words: opened.append(words), close=lambda: None))

    def client() -> SimpleNamespace:
        def fill(*words: object) -> str:
            asked.append(words)
            return next(said, refusals[-1])

        return SimpleNamespace(fill=fill, close=lambda: ended.append(True))

    monkeypatch.setattr(session_faults, "Held", client)
    monkeypatch.setattr(session_faults, "SETTLE_SECONDS", 0.05)
    if refusals[-1]:
        fault.inject()
        assert len(asked) == len(refusals)
    else:
        with pytest.raises(errors.EngineFailed, match="accepted a client beside 32 silent connections"):
            fault.inject()
    assert len(ended) == len(asked)
    assert opened == [("127.0.0.1", 5100, 32)]
