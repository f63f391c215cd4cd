"""One connection to a PostgreSQL port in which every step has the client's own deadline.

libpq runs in non-blocking mode. A frozen server, a dropped packet or an endpoint that holds a session therefore never
blocks the client beyond its deadline. The connection relies neither on TCP's timeouts nor on a cancel request, which
needs an answer itself. Not promised: parameters, rows of other types than text, or use by several threads.
"""

from __future__ import annotations

import select
import time
from dataclasses import dataclass

import psycopg
from psycopg import conninfo, pq

from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.drill import ledger

_AMBIGUOUS = "01000"  # WARNING of a commit whose wait for the quorum was cancelled (PostgreSQL: SyncRepWaitForLSN)
_DONE = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_WORDS = {  # part of libpq's message about a failed connection → our code for it; libpq gives no SQLSTATE then
    "Connection refused": "connect: refused",
    "FATAL": "connect: FATAL",
    "ERROR": "connect: ERROR",
}


class Failed(Exception):
    """A statement or a connection failed: `code` is a SQLSTATE or a word; `sent`: a statement was sent."""

    def __init__(self, code: str, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    """The first row, the code of the warning that makes a commit ambiguous ("" without), and the command's tag.

    The tag of a COMMIT that was turned into a rollback is ROLLBACK; the answer has no other sign of it.
    """

    row: tuple[str, ...]
    warning: str = ""
    tag: str = ""


class Link:
    """An open connection, in autocommit, by the simple protocol: the commit is done before the answer is complete."""

    def __init__(self, connection: pq.abc.PGconn) -> None:
        self._connection = connection
        self._warning = ""
        connection.nonblocking = 1
        connection.notice_handler = self._note

    def _note(self, notice: pq.abc.PGresult) -> None:
        code = (notice.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
        self._warning = _AMBIGUOUS if code == _AMBIGUOUS else self._warning

    def ask(self, statement: str, seconds: float) -> Answer:
        """Send one statement and return its complete answer, once the server is ready for the next statement.

        Raises:
            Failed: on an error of the server, a lost connection, or after `seconds`.
        """
        deadline, self._warning = time.monotonic() + seconds, ""
        row: tuple[str, ...] = ()
        tag = ""
        failure: Failed | None = None
        try:
            self._send(statement.encode(), deadline)
            while (result := self._next(deadline)) is not None:
                if result.status in _DONE:
                    row, tag = _first_row(result) or row, (result.command_status or b"").decode()
                else:
                    failure = failure or _refusal(result)
        except psycopg.Error as e:
            raise failure or Failed(ledger.LOST, str(e), sent=True) from e
        if failure:
            raise failure
        return Answer(row, self._warning, tag)

    def _send(self, statement: bytes, deadline: float) -> None:
        self._connection.send_query(statement)
        while self._connection.flush():
            _wait(self._connection.socket, select.POLLOUT | select.POLLIN, deadline, sent=True)
            self._connection.consume_input()

    def _next(self, deadline: float) -> pq.abc.PGresult | None:
        while self._connection.is_busy():
            _wait(self._connection.socket, select.POLLIN, deadline, sent=True)
            self._connection.consume_input()
        return self._connection.get_result()

    def close(self) -> None:
        """Close the connection; never waits."""
        self._connection.finish()


def connect(dsn: Dsn, seconds: float) -> Link:
    """Open a connection.

    Raises:
        Failed: (not sent) after `seconds`, or when the connection is refused.
    """
    deadline = time.monotonic() + seconds
    text = conninfo.make_conninfo(
        host=dsn.host, port=dsn.port, user=dsn.user, dbname=dsn.dbname, password=dsn.password or None,
        application_name="poolkeeper drill", gssencmode="disable", sslmode="disable",
    )  # fmt: skip
    connection = pq.PGconn.connect_start(text.encode())
    try:
        _negotiate(connection, deadline)
    except BaseException:
        connection.finish()
        raise
    return Link(connection)


def _negotiate(connection: pq.abc.PGconn, deadline: float) -> None:
    while connection.status != pq.ConnStatus.BAD:
        match connection.connect_poll():
            case pq.PollingStatus.OK:
                return
            case pq.PollingStatus.READING:
                _wait(connection.socket, select.POLLIN, deadline, sent=False)
            case pq.PollingStatus.WRITING:
                _wait(connection.socket, select.POLLOUT, deadline, sent=False)
            case _:
                break
    text = " ".join(connection.error_message.decode(errors="replace").split())
    raise Failed(next((word for sign, word in _WORDS.items() if sign in text), "connect: lost"), text, sent=False)


def _wait(descriptor: int, events: int, deadline: float, *, sent: bool) -> None:
    poll = select.poll()
    poll.register(descriptor, events)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise Failed(ledger.SILENT if sent else "connect: silent", "no answer before the client's deadline", sent=sent)


def _first_row(result: pq.abc.PGresult) -> tuple[str, ...]:
    if not result.ntuples:
        return ()
    return tuple((result.get_value(0, column) or b"").decode() for column in range(result.nfields))


def _refusal(result: pq.abc.PGresult) -> Failed:
    code = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    text = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode(errors="replace")
    # Pgpool-II's own errors have no untranslated severity; their severity is in English.
    severities = (pq.DiagnosticField.SEVERITY_NONLOCALIZED, pq.DiagnosticField.SEVERITY)
    severity = next((found for field in severities if (found := result.error_field(field))), b"")
    is_fatal = severity in (b"FATAL", b"PANIC")
    return Failed(code + ledger.ENDED * is_fatal if code else ledger.LOST, text, sent=True)
