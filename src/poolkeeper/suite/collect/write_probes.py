"""Questions that write: through Pgpool-II, and then reads on each node until the writes arrive.

Invariant: everything happens inside the run's own schema. A wait for an arrival ends at its deadline with the
last state seen; that is a value, not a failure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from poolkeeper.cluster.reading import describe, failure_of, take
from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.probe import Arrival, Failure, Inserts, Reading, Row, RowsSeen, WriteAttempt
from poolkeeper.model.target import Target
from poolkeeper.system import postgres

T = TypeVar("T")

WRITERS = 10  # concurrent sessions
ROWS_EACH = 3
COLUMN_TYPE = "integer"

_POLL = 0.02  # seconds between two polls; a standby nearby replays within a few milliseconds
_MARGIN = 1.0  # seconds that a wait may take beyond its deadline, to report what it saw
_NOT_YET = ("42P01", "3F000")  # the table, or the schema, has not arrived


async def insert(target: Target, schema: str) -> Reading[str]:
    """Write one row through Pgpool-II; its value is the schema's name, which no other run has."""
    return await _run(target, f"INSERT INTO {schema}.replicated VALUES ('{schema}')", schema)


async def alter(target: Target, schema: str) -> Reading[str]:
    """Add a column through Pgpool-II."""
    return await _run(target, f"ALTER TABLE {schema}.altered ADD COLUMN added {COLUMN_TYPE}", COLUMN_TYPE)


async def _run(target: Target, statement: str, value: str) -> Reading[str]:
    async def run() -> str:
        await postgres.query(target.balanced, statement, target.timeout)
        return value

    return await take(target.balanced.label, statement, target.timeout, run(), lambda _: "done")


async def arrivals(target: Target, names: Sequence[str], schema: str) -> dict[str, Reading[Arrival]]:
    """Wait on each node for the row of `insert`."""
    return await _watch_each(target, names, f"SELECT value FROM {schema}.replicated", schema)


async def columns(target: Target, names: Sequence[str], schema: str) -> dict[str, Reading[Arrival]]:
    """Wait on each node for the column of `alter`, by its type in the catalogue."""
    statement = f"""
SELECT format_type(atttypid, atttypmod) FROM pg_attribute
 WHERE attrelid = to_regclass('{schema}.altered') AND attname = 'added' AND NOT attisdropped"""
    return await _watch_each(target, names, statement, COLUMN_TYPE)


async def _watch_each(
    target: Target, names: Sequence[str], statement: str, expected: str
) -> dict[str, Reading[Arrival]]:
    watches = (_watch(target.nodes[name], statement, expected, target.timeout) for name in names)
    return dict(zip(names, await asyncio.gather(*watches), strict=True))


async def _watch(dsn: Dsn, statement: str, expected: str, timeout: float) -> Reading[Arrival]:
    async def read() -> Arrival:
        rows, waited = await _poll(dsn, statement, lambda rows: (expected,) in rows, timeout)
        return Arrival(expected, ", ".join(str(row[0]) for row in rows) or None, waited)

    return await take(dsn.label, _repeated(statement, timeout), timeout + _MARGIN, read(), _show_arrival)


def _show_arrival(seen: Arrival) -> str:
    return f"{seen.found or 'nothing'} after {seen.waited:.3f} s"


def _repeated(statement: str, timeout: float) -> str:
    return f"{statement} (again until it arrives, for at most {timeout:g} s)"


async def _poll(
    dsn: Dsn, statement: str, done: Callable[[list[postgres.Row]], bool], timeout: float
) -> tuple[list[postgres.Row], float]:
    """Return the first rows that are `done`, or the last ones before the deadline; and the seconds that it took."""
    began = time.perf_counter()
    async with postgres.session(dsn, timeout) as opened:
        while True:
            rows = await _rows_so_far(opened, statement)
            waited = time.perf_counter() - began
            if done(rows) or waited >= timeout:
                return rows, waited
            await asyncio.sleep(_POLL)


async def _rows_so_far(opened: postgres.Session, statement: str) -> list[postgres.Row]:
    try:
        return await opened.rows(statement)
    except errors.ServerRefused as e:
        if e.code in _NOT_YET:
            return []
        raise


async def attempts(target: Target, names: Sequence[str], schema: str) -> dict[str, Reading[WriteAttempt]]:
    """Try a write straight on each of these nodes."""
    tries = (_attempt(target.nodes[name], f"{schema}.refused{i}", target.timeout) for i, name in enumerate(names))
    return dict(zip(names, await asyncio.gather(*tries), strict=True))


async def _attempt(dsn: Dsn, table: str, timeout: float) -> Reading[WriteAttempt]:
    """Try a write; a standby refuses CREATE TABLE before it resolves the schema, so nothing has to arrive first."""
    statement = f"CREATE TABLE {table} (value text)"

    async def attempt() -> WriteAttempt:
        async with postgres.session(dsn, timeout) as opened:
            ((in_recovery,),) = await opened.rows("SELECT pg_is_in_recovery()")
            try:
                await opened.rows(statement)
            except errors.ServerRefused as e:
                return WriteAttempt(in_recovery, e.code, e.message)
            await opened.rows(f"DROP TABLE {table}")
            return WriteAttempt(in_recovery, "", "accepted; the table was dropped again")

    ran = f"SELECT pg_is_in_recovery(); {statement}"
    return await take(dsn.label, ran, timeout, attempt(), lambda a: f"in recovery: {a.in_recovery}; {a.code} {a.text}")


async def write_concurrently(target: Target, schema: str) -> Reading[Inserts]:
    """Write from WRITERS sessions at once through Pgpool-II, each with ROWS_EACH commits."""
    ran = (
        f"{WRITERS} sessions at once, each {ROWS_EACH} times: INSERT INTO {schema}.concurrent VALUES (session, number)"
    )
    return await take(target.balanced.label, ran, 2 * target.timeout, _write_all(target, schema), _show_inserts)


async def _write_all(target: Target, schema: str) -> Inserts:
    done: list[Row] = []
    results = await asyncio.gather(*(_write(target, schema, session, done) for session in range(1, WRITERS + 1)))
    intended = tuple((session, number) for session in range(1, WRITERS + 1) for number in range(1, ROWS_EACH + 1))
    return Inserts(intended, tuple(sorted(done)), tuple(failure for failure in results if failure))


async def _write(target: Target, schema: str, session: int, done: list[Row]) -> Failure | None:
    try:
        async with postgres.session(target.balanced, target.timeout) as opened:
            for number in range(1, ROWS_EACH + 1):
                await opened.rows(f"INSERT INTO {schema}.concurrent VALUES ({session}, {number})")
                done.append((session, number))
    except errors.PoolkeeperError as e:
        return failure_of(e)
    return None


def _show_inserts(found: Inserts) -> str:
    lost = f"; {len(found.failures)} sessions failed: {describe(found.failures[0])}" if found.failures else ""
    return f"{len(found.acknowledged)} of {len(found.intended)} rows acknowledged{lost}"


async def rows_seen(target: Target, schema: str, count: int) -> Mapping[str, Reading[RowsSeen]]:
    """Wait on each node until it has `count` rows of the concurrent writes."""
    reads = (_rows_on(dsn, schema, count, target.timeout) for dsn in target.nodes.values())
    return dict(zip(target.nodes, await asyncio.gather(*reads), strict=True))


async def _rows_on(dsn: Dsn, schema: str, count: int, timeout: float) -> Reading[RowsSeen]:
    statement = f"SELECT session, number FROM {schema}.concurrent ORDER BY 1, 2"

    async def read() -> RowsSeen:
        rows, waited = await _poll(dsn, statement, lambda rows: len(rows) >= count, timeout)
        return RowsSeen(tuple((row[0], row[1]) for row in rows), waited)

    def show(seen: RowsSeen) -> str:
        return f"{len(seen.rows)} rows after {seen.waited:.3f} s"

    return await take(dsn.label, _repeated(statement, timeout), timeout + _MARGIN, read(), show)
