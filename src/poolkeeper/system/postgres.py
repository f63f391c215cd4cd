"""PostgreSQL, directly or through Pgpool-II and HAProxy, as a client sees it (psycopg 3, asynchronous).

Invariant: every call ends within its deadline, also against a frozen server. A commit that the server could not confirm
(WARNING 01000: cancelled while it waited for its quorum) is an error here, never a success.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from poolkeeper.core import environment, errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import NODE_PARAMETER, EndpointView, Postgres, Slot, WalSender

Row = tuple[Any, ...]
NODE = f"current_setting('{NODE_PARAMETER}', true)"
SERVED_BY = (
    f"coalesce({NODE}, host(inet_server_addr()))"  # in SQL: the node's name, or the address of a server that has none
)
_LIBPQ_GUESS = "This probably means the server terminated abnormally before or while processing the request."
_NO_FILE = "/dev/null/none"  # libpq silently continues without a file that cannot exist
# Without these, libpq reads ~/.pgpass, the certificates in ~/.postgresql, and the ticket of a Kerberos login.
_NO_HOME = {
    "passfile": _NO_FILE, "sslcert": _NO_FILE, "sslkey": _NO_FILE, "sslrootcert": _NO_FILE, "gssencmode": "disable"
}  # fmt: skip
AMBIGUOUS = "01000"  # WARNING of a commit whose synchronous wait was cancelled; PostgreSQL docs, SyncRepWaitForLSN


def parse_dsn(text: str) -> Dsn:
    """Read a libpq connection string or URL; without a password in it, PGPASSWORD and PGPASSFILE of the shell apply.

    Raises:
        ServerRefused: with code 08001, if libpq cannot read it.
    """
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(text).items() if value is not None}
    except psycopg.ProgrammingError as e:
        raise errors.ServerRefused("not a connection string", code="08001", hint="host=… port=… user=… dbname=…") from e
    host, port = parts.pop("host", "127.0.0.1"), int(parts.pop("port", "5432"))
    user, dbname = parts.pop("user", "postgres"), parts.pop("dbname", "postgres")
    password = parts.pop("password", "") or environment.removed("PGPASSWORD")
    if file := environment.removed("PGPASSFILE"):
        parts.setdefault("passfile", file)
    return Dsn(host, port, user, dbname, password, tuple(sorted(parts.items())), is_foreign=True)


def parameters(dsn: Dsn) -> dict[str, Any]:
    """Return libpq's parameters of a connection. To our own servers, no file of the operator's home changes them."""
    return {
        **({} if dsn.is_foreign else _NO_HOME),
        "host": dsn.host,
        "port": dsn.port,
        "user": dsn.user,
        "dbname": dsn.dbname,
        "password": dsn.password or None,
        **dict(dsn.options),
    }


class Session:
    """An open session in autocommit. A statement without parameters uses the simple protocol."""

    def __init__(self, connection: psycopg.AsyncConnection[Row], dsn: Dsn, timeout: float) -> None:
        self._connection = connection
        self._dsn = dsn
        self._timeout = timeout
        self._warnings: list[str] = []
        connection.add_notice_handler(self._note)

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.sqlstate == AMBIGUOUS:
            self._warnings.append(notice.message_primary or AMBIGUOUS)

    async def rows(
        self, query: LiteralString | str | sql.Composed, parameters: Sequence[Any] | None = None
    ) -> list[Row]:
        """Run one statement; return its rows (empty if it has none).

        Raises:
            ServerRefused: with the SQLSTATE, if the statement fails or its commit is ambiguous.
            Unreachable: if the session is lost.
            DeadlinePassed: if the server does not answer in time.
        """
        self._warnings.clear()
        try:
            async with asyncio.timeout(self._timeout):
                statement = query if isinstance(query, sql.Composed) else query.encode()
                cursor = await self._connection.execute(statement, parameters)
                found = await cursor.fetchall() if cursor.description else []
        except TimeoutError as e:
            raise errors.DeadlinePassed(f"{self._dsn.label} gave no answer within {self._timeout:g} s") from e
        except psycopg.Error as e:
            raise _wrapped(e, self._dsn) from e
        if self._warnings:
            raise errors.ServerRefused(f"ambiguous commit: {self._warnings[0]}", code=AMBIGUOUS)
        return found

    def scram_verifier(self, user: str, password: str) -> str:
        """Return the SCRAM-SHA-256 verifier of a password, so that the clear text never reaches the server."""
        made = self._connection.pgconn.encrypt_password(password.encode(), user.encode(), b"scram-sha-256")
        return made.decode()


@asynccontextmanager
async def session(dsn: Dsn, timeout: float) -> AsyncIterator[Session]:
    """Open a session; `timeout` in seconds bounds the connection and also each statement.

    Raises:
        ServerRefused: with the SQLSTATE, or 08004 where libpq gives none, if the server refuses the session.
        Unreachable: if no server answers.
        DeadlinePassed: if the server does not accept the session in time.
    """
    try:
        async with asyncio.timeout(timeout):
            connection = await psycopg.AsyncConnection.connect(
                **{
                    "connect_timeout": max(2, int(timeout)),
                    "application_name": "poolkeeper",
                    **parameters(dsn),
                },
                autocommit=True,
                prepare_threshold=None,
            )
    except TimeoutError as e:
        raise errors.DeadlinePassed(f"{dsn.label} did not accept a session within {timeout:g} s") from e
    except psycopg.Error as e:
        raise _wrapped(e, dsn) from e
    try:
        yield Session(connection, dsn, timeout)
    finally:
        await connection.close()


async def query(dsn: Dsn, statement: str, timeout: float) -> list[Row]:
    """Run one statement in its own session; return its rows."""
    async with session(dsn, timeout) as opened:
        return await opened.rows(statement)


def _wrapped(e: psycopg.Error, dsn: Dsn) -> errors.PoolkeeperError:
    text = " ".join(str(e).split()).removesuffix(_LIBPQ_GUESS).rstrip()
    if e.sqlstate:
        return errors.ServerRefused(f"{dsn.label}: {text}", code=e.sqlstate)
    if "FATAL" in text or "ERROR" in text:
        return errors.ServerRefused(f"{dsn.label}: {text}", code="08004")
    return errors.Unreachable(f"{dsn.label}: {text}")


_NODE = """
SELECT pg_is_in_recovery(), (pg_control_checkpoint()).timeline_id, current_setting('server_version'),
       current_setting('data_checksums') = 'on', current_setting('synchronous_standby_names'),
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END
"""
_SENDERS = """
SELECT application_name, state, sync_state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
  FROM pg_stat_replication WHERE application_name <> 'pg_basebackup' ORDER BY 1
"""
_SLOTS = """
SELECT slot_name, slot_type, active,
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END
  FROM pg_replication_slots ORDER BY 1
"""
_RECEIVED_TIMELINE = "SELECT received_tli FROM pg_stat_wal_receiver"


async def observe_node(dsn: Dsn, timeout: float) -> Postgres:
    """Return the state that a node reports.

    On a standby the timeline is the received one, else that of its last checkpoint.
    """
    async with session(dsn, timeout) as opened:
        ((in_recovery, checkpoint_tli, version, checksums, names, wal_tli),) = await opened.rows(_NODE)
        received = await opened.rows(_RECEIVED_TIMELINE) if in_recovery else []
        senders = [] if in_recovery else await opened.rows(_SENDERS)
        slots = await opened.rows(_SLOTS)
    timeline = int(wal_tli, 16) if wal_tli else received[0][0] if received and received[0][0] else checkpoint_tli
    return Postgres(
        in_recovery=in_recovery,
        timeline=timeline,
        version=version.split()[0],
        data_checksums=checksums,
        synchronous_standby_names=names,
        senders=tuple(WalSender(*row) for row in senders),
        slots=tuple(Slot(*row) for row in slots),
    )


async def observe_endpoint(dsn: Dsn, nodes: dict[str, str], timeout: float) -> EndpointView:
    """Run one query through an endpoint.

    `nodes` maps a server's address to its name, for a server that does not report its name.
    """
    ((server, in_recovery),) = await query(dsn, f"SELECT {SERVED_BY}, pg_is_in_recovery()", timeout)
    return EndpointView(nodes.get(server, str(server)), in_recovery)


async def differing_settings(dsn: Dsn, wanted: dict[str, str], timeout: float) -> list[str]:
    """Return the parameters whose value differs from the wanted one.

    The server itself converts both values. `SET LOCAL` of the wanted text would need the right context. Sizes and times
    are therefore compared with `pg_settings` after a unit conversion by `pg_size_bytes` or an interval.
    """
    query = "SELECT name, setting, unit, vartype, current_setting(name) FROM pg_settings WHERE name = ANY(%s)"
    async with session(dsn, timeout) as opened:
        rows = await opened.rows(query, [list(wanted)])
        return sorted([row[0] for row in rows if not await _same(opened, row, wanted[row[0]])])


async def _same(opened: Session, row: Row, wanted: str) -> bool:
    _, setting, unit, kind, shown = row
    if wanted.lower() in (setting.lower(), shown.lower()):
        return True
    if kind == "bool":
        return (wanted.lower() in ("on", "true", "yes", "1")) is (setting == "on")
    if unit in ("ms", "s", "min"):
        question = "SELECT %s::interval = %s::interval"
        pair = [wanted if not wanted.isdigit() else f"{wanted} {unit}", f"{setting} {unit}"]
    elif kind == "integer" and unit:
        question = "SELECT pg_size_bytes(%s) = pg_size_bytes(%s)"
        pair = [wanted, shown]
    elif kind == "real":
        question, pair = "SELECT %s::float8 = %s::float8", [wanted, setting]
    else:
        return False
    try:
        return bool((await opened.rows(question, pair))[0][0])
    except errors.ServerRefused:
        return False
