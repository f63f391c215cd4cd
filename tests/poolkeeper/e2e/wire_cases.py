"""Sequences of protocol messages that drivers send and that poolers are reported to break.

Each case runs in a new session on libpq's own interface, and returns what the server answered. Sources are public
reports; most cases name theirs. `POSTGRESQL` has the answers of PostgreSQL itself, and `DIFFERENCES` those of a
Pgpool-II in front of it: at every endpoint with one, by its version.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

import psycopg
from psycopg import pq

PATIENCE = 3.0  # seconds; an answer takes milliseconds
LOST, HANGS = "session lost", "no answer"


class Broken(Exception):
    """The session was lost, or gave no answer in time."""


class Wire:
    """A session without a driver: each call sends messages and returns the answers to them."""

    def __init__(self, dsn: str) -> None:
        self.server = pq.PGconn.connect(dsn.encode())
        if self.server.status != pq.ConnStatus.OK:
            raise Broken(self.server.get_error_message())

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.finish()

    def answers(self) -> list[str]:
        """Return each result as its SQLSTATE or its status, until the server is ready or begins a COPY.

        Raises:
            Broken: if the session is lost, or answers nothing within PATIENCE.
        """
        found: list[str] = []
        while (result := self._result()) is not None:
            found.append(_text(result))
            if result.status in {pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.PIPELINE_SYNC}:
                break
        if self.server.status != pq.ConnStatus.OK:
            raise Broken(LOST)
        return found

    def _result(self) -> pq.abc.PGresult | None:
        deadline = time.monotonic() + PATIENCE
        while self.server.flush():
            select.select([], [self.server.socket], [], PATIENCE)
        while self.server.is_busy():
            ready, _, _ = select.select([self.server.socket], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise Broken(HANGS)
            try:
                self.server.consume_input()
            except psycopg.OperationalError as e:
                raise Broken(LOST) from e
        return self.server.get_result()

    def simple(self, sql: str) -> list[str]:
        """Send one Query message."""
        self.server.send_query(sql.encode())
        return self.answers()

    def extended(self, sql: str) -> list[str]:
        """Send Parse, Bind, Describe, Execute and Sync."""
        self.server.send_query_params(sql.encode(), None)
        return self.answers()

    def prepare(self, name: str, sql: str) -> list[str]:
        """Send Parse and Sync."""
        self.server.send_prepare(name.encode(), sql.encode())
        return self.answers()

    def describe(self, name: str) -> list[str]:
        """Send Describe of a statement, and Sync."""
        self.server.send_describe_prepared(name.encode())
        return self.answers()

    def execute(self, name: str) -> list[str]:
        """Send Bind, Describe, Execute and Sync."""
        self.server.send_query_prepared(name.encode(), None)
        return self.answers()


def _text(result: pq.abc.PGresult) -> str:
    code = result.error_field(pq.DiagnosticField.SQLSTATE)
    return code.decode() if code else pq.ExecStatus(result.status).name


def describe_unknown(wire: Wire) -> list[str]:
    """Describe a statement that was never prepared (pgpool2#169)."""
    return wire.describe("nope") + wire.simple("SELECT 1")


def bind_unknown(wire: Wire) -> list[str]:
    """Bind a statement that was never prepared."""
    return wire.execute("nope") + wire.simple("SELECT 1")


def bind_deallocated(wire: Wire) -> list[str]:
    """Bind a statement after DEALLOCATE ALL (osm2pgsql#878)."""
    return wire.prepare("s", "SELECT 1") + wire.simple("DEALLOCATE ALL") + wire.execute("s") + wire.simple("SELECT 1")


def _in_failed_transaction(wire: Wire, sql: str) -> list[str]:
    return wire.simple("BEGIN") + wire.simple("SELECT 1/0") + wire.simple(sql) + wire.simple("ROLLBACK")


def empty_query_when_failed(wire: Wire) -> list[str]:
    """An empty query in a failed transaction: drivers test a connection so (Ruby on Rails; pgpool2#161)."""
    return _in_failed_transaction(wire, "")


def semicolon_when_failed(wire: Wire) -> list[str]:
    """The same with a lone semicolon."""
    return _in_failed_transaction(wire, ";")


def copy_in_extended(wire: Wire) -> list[str]:
    """COPY FROM STDIN as pg8000 and QGIS send it (pgpool2#162)."""
    found = wire.simple("CREATE TEMP TABLE copied (n int)") + wire.extended("COPY copied FROM STDIN")
    wire.server.put_copy_data(b"1\n2\n")
    wire.server.put_copy_end()
    return found + wire.answers() + wire.simple("SELECT 1")


def copy_out_extended(wire: Wire) -> list[str]:
    """COPY TO STDOUT in the extended protocol."""
    found = wire.extended("COPY (SELECT generate_series(1, 3)) TO STDOUT")
    while wire.server.get_copy_data(0)[0] > 0:
        pass
    return found + wire.answers() + wire.simple("SELECT 1")


def failure_after_a_transaction(wire: Wire) -> list[str]:
    """One message that begins and ends a transaction, and fails after it."""
    return wire.simple("BEGIN; SELECT 1; COMMIT; SELECT 1/0") + wire.simple("SELECT 1")


def failure_in_a_transaction(wire: Wire) -> list[str]:
    """One message that begins a transaction and fails in it."""
    return wire.simple("BEGIN; SELECT 1/0; COMMIT") + wire.simple("SELECT 1") + wire.simple("ROLLBACK")


def deferred_key_at_commit(wire: Wire) -> list[str]:
    """A COMMIT that fails: a retry loop needs its SQLSTATE."""
    return [
        *wire.simple("DROP TABLE IF EXISTS deferred_child, deferred_parent"),
        *wire.simple("CREATE TABLE deferred_parent (n int PRIMARY KEY)"),
        *wire.simple("CREATE TABLE deferred_child (n int REFERENCES deferred_parent DEFERRABLE INITIALLY DEFERRED)"),
        *wire.simple("BEGIN"),
        *wire.simple("INSERT INTO deferred_child VALUES (1)"),
        *wire.simple("COMMIT"),
        *wire.simple("SELECT 1"),
    ]


def rollback_after_a_failed_commit(wire: Wire) -> list[str]:
    """The way out of a failed COMMIT that works with every version."""
    return deferred_key_at_commit(wire)[-2:-1] + wire.simple("ROLLBACK") + wire.simple("SELECT 1")


def discard_all_extended(wire: Wire) -> list[str]:
    """DISCARD ALL in the extended protocol, as a pool on the client's side sends it."""
    return wire.prepare("s", "SELECT 1") + wire.extended("DISCARD ALL") + wire.prepare("s", "SELECT 2")


CASES: dict[str, Callable[[Wire], list[str]]] = {
    case.__name__: case
    for case in (
        describe_unknown,
        bind_unknown,
        bind_deallocated,
        empty_query_when_failed,
        semicolon_when_failed,
        copy_in_extended,
        copy_out_extended,
        failure_after_a_transaction,
        failure_in_a_transaction,
        deferred_key_at_commit,
        rollback_after_a_failed_commit,
        discard_all_extended,
    )
}
OK, ROWS = "COMMAND_OK", "TUPLES_OK"
POSTGRESQL: dict[str, list[str]] = {
    "describe_unknown": ["26000", ROWS],
    "bind_unknown": ["26000", ROWS],
    "bind_deallocated": [OK, OK, "26000", ROWS],
    "empty_query_when_failed": [OK, "22012", "EMPTY_QUERY", OK],
    "semicolon_when_failed": [OK, "22012", "EMPTY_QUERY", OK],
    "copy_in_extended": [OK, "COPY_IN", OK, ROWS],
    "copy_out_extended": ["COPY_OUT", OK, ROWS],
    "failure_after_a_transaction": [OK, ROWS, OK, "22012", ROWS],
    "failure_in_a_transaction": [OK, "22012", "25P02", OK],
    "deferred_key_at_commit": [OK, OK, OK, OK, OK, "23503", ROWS],
    "rollback_after_a_failed_commit": ["23503", OK, ROWS],
    "discard_all_extended": [OK, OK, OK],
}
DIFFERENCES: dict[str, dict[str, list[str]]] = {
    "4.6": {
        "describe_unknown": [LOST],
        "bind_unknown": [LOST],
        "bind_deallocated": [LOST],
        "empty_query_when_failed": [OK, "22012", "25P02", OK],
        "semicolon_when_failed": [OK, "22012", "25P02", OK],
        "copy_in_extended": [HANGS],
        "copy_out_extended": [LOST],
    },
    # A failed COMMIT leaves Pgpool-II's own mark of a failed transaction, which only ROLLBACK or COMMIT removes. It
    # refuses statements of the simple protocol meanwhile (pool_proto_modules.c, check_transaction_state_and_abort).
    "4.7": {
        "describe_unknown": [LOST],
        "bind_unknown": ["XX000", ROWS],
        "bind_deallocated": [OK, OK, "XX000", ROWS],
        "failure_after_a_transaction": [OK, ROWS, OK, "22012", "25P02"],
        "deferred_key_at_commit": [OK, OK, OK, OK, OK, "23503", "25P02"],
    },
}


def run(dsn: str, name: str) -> list[str]:
    """Return the answers to a case; only LOST or HANGS if the session did not survive it."""
    with Wire(dsn) as wire:
        try:
            return CASES[name](wire)
        except Broken as e:
            return [str(e)]
