"""Sessions that are opened and kept: idle ones, silent ones, and one that is in the midst of something.

Invariant: `close` ends all of them, also when the servers behind are gone, and may be called at any time and twice. All
calls block, each for its own deadline at most. Not promised: that a session is still alive, unless somebody asks.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import psycopg

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn

CONNECT_SECONDS = 3.0
# What a server without room says; libpq gives no SQLSTATE of a refusal at log-in.
_FULL = ("too many", "connection slots are reserved")


class Held:
    """Any number of open sessions."""

    def __init__(self) -> None:
        self._sessions: list[psycopg.Connection[Any]] = []
        self._sockets: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._sessions) + len(self._sockets)

    def open(self, dsn: Dsn) -> None:
        """Log in once more. Raises ServerRefused or Unreachable."""
        try:
            self._sessions.append(
                psycopg.connect(
                    host=dsn.host,
                    port=dsn.port,
                    user=dsn.user,
                    dbname=dsn.dbname,
                    password=dsn.password or None,
                    connect_timeout=int(CONNECT_SECONDS),
                    application_name="poolkeeper-held",
                    autocommit=True,
                    prepare_threshold=None,
                )
            )
        except psycopg.Error as e:
            raise _wrapped(e, dsn) from e

    def fill(self, dsn: Dsn, most: int) -> str:
        """Log in until the server says that it has no more room, `most` times at most; what it said, "" if nothing."""
        for _ in range(most):
            try:
                self.open(dsn)
            except errors.PoolkeeperError as e:
                if isinstance(e, errors.Unreachable) or any(words in e.message for words in _FULL):
                    return e.message
                raise
        return ""

    def connect(self, host: str, port: int, count: int) -> None:
        """Connections by TCP that say nothing. Raises Unreachable."""
        for _ in range(count):
            try:
                self._sockets.append(socket.create_connection((host, port), CONNECT_SECONDS))
            except OSError as e:
                raise errors.Unreachable(f"{host}:{port}: {e}") from e

    def ask(self, *statements: str, seconds: float = 10.0) -> list[Any]:
        """Statements in the session that was opened last; the rows of the last one.

        Raises ServerRefused with the SQLSTATE, or Unreachable. `seconds` is the server's own limit of each.
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
        """Ask every session something, to know that it is held on the other side too. Raises Unreachable for one."""
        for session in self._sessions:
            try:
                session.execute(b"SELECT 1")
            except psycopg.Error as e:
                raise _wrapped(e, None) from e

    def begin(self, statement: str) -> None:
        """Send a statement in the session that was opened last and do not wait for its answer. Raises Unreachable."""
        try:
            self._sessions[-1].pgconn.send_query(statement.encode())
            self._sessions[-1].pgconn.flush()
        except psycopg.Error as e:
            raise _wrapped(e, None) from e

    def close(self) -> None:
        """End all of them."""
        for ending in self._all():
            with contextlib.suppress(psycopg.Error, OSError):  # its server is gone, and so is the session
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
