"""Clients of the read-only endpoint that try each way to write, and must never succeed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import keeper_steps
from tests.poolkeeper.e2e.hammer import wait_for


class WriteAttempts(threading.Thread):
    """One client: it opens the next session after a lost one. `wrong` lists the statements that were not refused."""

    ATTEMPTS = (
        "SET default_transaction_read_only = off",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
        "SET transaction_read_only = off",
        "INSERT INTO write_attempts VALUES (1)",
        "BEGIN READ WRITE",
        "INSERT INTO write_attempts VALUES (2)",
        "COMMIT",
    )
    # A write; a setting while in recovery; a statement in a transaction that has failed.
    REFUSALS = ("25006", "0A000", "25P02")
    LOST = ("08", "57P", "58", "XX")  # classes of the errors of a server or Pgpool-II when a session ends

    def __init__(self, dsn: str) -> None:
        super().__init__(daemon=True)
        self._dsn = f"{dsn} connect_timeout=5"
        self._end = threading.Event()
        self.first_node = ""
        self.tried = self.sessions = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        while not self._end.is_set():
            try:
                with psycopg.connect(self._dsn, autocommit=True) as session:
                    self._use(session)
            except psycopg.OperationalError:
                self._end.wait(0.02)  # a lost or refused session: the next one

    def _use(self, session: psycopg.Connection[Any]) -> None:
        self.sessions += 1
        node = session.execute("SELECT host(inet_server_addr())").fetchall()[0][0]
        self.first_node = self.first_node or node
        while not self._end.is_set():
            for statement in self.ATTEMPTS:
                self._try(session, statement)
            self.tried += 1

    def _try(self, session: psycopg.Connection[Any], statement: str) -> None:
        try:
            session.execute(statement.encode())
        except psycopg.Error as e:
            if session.broken or session.closed or (e.sqlstate or "").startswith(self.LOST):
                raise psycopg.OperationalError("lost") from e
            if e.sqlstate not in self.REFUSALS:
                self.wrong.append(f"{statement}: {e.sqlstate} {e}")
        else:
            if statement.startswith("INSERT"):
                self.wrong.append(f"{statement}: done")

    def stop(self) -> None:
        """End the client."""
        self._end.set()
        self.join(30)


@contextmanager
def clients(cluster: ClusterUnderTest, count: int = 6) -> Iterator[list[WriteAttempts]]:
    """Run this number of clients, each with a session; at the end none has written anything."""
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        session.execute("DROP TABLE IF EXISTS write_attempts")
        session.execute("CREATE TABLE write_attempts (n int)")
    # Half of them past Pgpool-II, whose pooled connections may all be to one standby: HAProxy gives them the other.
    made = [WriteAttempts(cluster.dsn("ro") if i % 2 else keeper_steps.inner_dsn(cluster)) for i in range(count)]
    for client in made:
        client.start()
    try:
        wait_for(lambda: all(client.tried for client in made), "a session each")
        yield made
    finally:
        for client in made:
            client.stop()
    assert [word for client in made for word in client.wrong] == []
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        assert session.execute("SELECT n FROM write_attempts").fetchall() == []
        session.execute("DROP TABLE write_attempts")
