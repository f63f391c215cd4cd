"""Sessions that are opened and kept: idle ones, silent ones, and one with a running statement.

Invariant: `close` ends all of them, also after the servers are gone, and may be called at any time and twice. All calls
block, each until its own deadline at most. Not promised: that a session is still alive; `answer` checks that.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import psycopg

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres

CONNECT_SECONDS = 3.0
# The messages of a full server; libpq gives no SQLSTATE for a refusal at login.
_FULL = ("too many", "connection slots are reserved")


class Held:
    """A set of open sessions."""

    def __init__(self) -> None:
        self._sessions: list[psycopg.Connection[Any]] = []
        self._sockets: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._sessions) + len(self._sockets)

    def open(self, dsn: Dsn) -> None:
        """Open one more session.

        Raises:
            ServerRefused: with the SQLSTATE, if the server refuses the login.
            Unreachable: if the server does not answer.
        """
        try:
            self._sessions.append(
                psycopg.connect(
                    **postgres.parameters(dsn),
                    connect_timeout=int(CONNECT_SECONDS),
                    application_name="poolkeeper-held",
                    autocommit=True,
                    prepare_threshold=None,
                )
            )
        except psycopg.Error as e:
            raise _wrapped(e, dsn) from e

    def fill(self, dsn: Dsn, most: int) -> str:
        """Open sessions until the server is full, `most` at most; return the server's refusal, "" if it did not refuse.

        Raises:
            ServerRefused: if the server refuses a login for another reason.
        """
        for _ in range(most):
            try:
                self.open(dsn)
            except errors.PoolkeeperError as e:
                if isinstance(e, errors.Unreachable) or any(words in e.message for words in _FULL):
                    return e.message
                raise
        return ""

    def connect(self, host: str, port: int, count: int) -> None:
        """Open TCP connections that send nothing.

        Raises:
            Unreachable: if a connection fails.
        """
        for _ in range(count):
            try:
                self._sockets.append(socket.create_connection((host, port), CONNECT_SECONDS))
            except OSError as e:
                raise errors.Unreachable(f"{host}:{port}: {e}") from e

    def ask(self, *statements: str, seconds: float = 10.0) -> list[Any]:
        """Run statements in the session that was opened last; return the rows of the last statement.

        `seconds` is the server's own limit of each statement.

        Raises:
            ServerRefused: with the SQLSTATE, if a statement fails.
            Unreachable: if the server does not answer.
        """
        session = self._sessions[-1]
        try:
            session.execute(f"SET statement_timeout = {int(seconds * 1000)}".encode())
            for statement in statements:
                cursor = session.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as e:
            raise _wrapped(e, None) from e

    def answer(self) -> None:
        """Run a statement in every session, to check that the server holds it too.

        Raises:
            Unreachable: if a session does not answer.
        """
        for session in self._sessions:
            try:
                session.execute(b"SELECT 1")
            except psycopg.Error as e:
                raise _wrapped(e, None) from e

    def begin(self, statement: str) -> None:
        """Send a statement in the session that was opened last, without waiting for its answer.

        Raises:
            Unreachable: if the session is lost.
        """
        try:
            self._sessions[-1].pgconn.send_query(statement.encode())
            self._sessions[-1].pgconn.flush()
        except psycopg.Error as e:
            raise _wrapped(e, None) from e

    def close(self) -> None:
        """End all of them."""
        for ending in self._all():
            with contextlib.suppress(psycopg.Error, OSError):  # the server is gone, and with it the session
                ending.close()

    def _all(self) -> Iterator[psycopg.Connection[Any] | socket.socket]:
        while self._sessions:
            yield self._sessions.pop()
        while self._sockets:
            yield self._sockets.pop()


def _wrapped(e: psycopg.Error, dsn: Dsn | None) -> errors.PoolkeeperError:
    where = f"{dsn.label}: " if dsn else ""
    text = where + " ".join(str(e).split())
    if e.sqlstate:
        return errors.ServerRefused(text, code=e.sqlstate)
    return errors.ServerRefused(text, code="08004") if "FATAL" in text else errors.Unreachable(text)
