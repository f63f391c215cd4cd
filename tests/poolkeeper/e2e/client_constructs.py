"""Constructs that SQL text alone cannot express: pipelines, COPY, notifications, driver cursors, several sessions.

Same contract as `constructs.py`: each passes on a plain PostgreSQL, and raises elsewhere.
"""

from __future__ import annotations

import psycopg
from psycopg import pq
from tests.poolkeeper.e2e.constructs import GET, PUT
from tests.poolkeeper.e2e.hammer import Session, WrongAnswer


def _sql(session: Session, text: str) -> str:
    return text.replace(":k", str(session.key))


def pipeline_write_read(session: Session) -> None:
    """Write and read in one pipeline, no round trip between them."""
    with session.connection.pipeline():
        session.connection.execute(_sql(session, PUT))
        cursor = session.connection.execute(_sql(session, GET))
    session.expect(str(cursor.fetchone()), "('a',)", "read in the pipeline")
    session.step(GET + " --> a")


def pipeline_prepared_read(session: Session) -> None:
    """A statement prepared by a read is used again after a write, in one pipeline."""
    with session.connection.pipeline():
        before = session.connection.execute(_sql(session, GET), prepare=True)
        session.connection.execute(_sql(session, PUT), prepare=True)
        after = session.connection.execute(_sql(session, GET), prepare=True)
    session.expect(str(before.fetchone()), "None", "read before")
    session.expect(str(after.fetchone()), "('a',)", "read after")


def pipeline_transaction(session: Session) -> None:
    """A transaction that reads, writes and reads in a pipeline."""
    with session.connection.pipeline(), session.connection.transaction():
        before = session.connection.execute(_sql(session, GET))
        session.connection.execute(_sql(session, PUT))
        after = session.connection.execute(_sql(session, GET))
    session.expect(f"{before.fetchone()} {after.fetchone()}", "None ('a',)", "reads in the pipeline")
    session.step(GET + " --> a")


def pipeline_failure(session: Session) -> None:
    """A failure in a pipeline leaves the session usable."""
    try:
        with session.connection.pipeline():
            session.connection.execute(_sql(session, PUT))
            session.connection.execute(_sql(session, PUT))
    except psycopg.errors.UniqueViolation:
        pass
    session.step(PUT)
    session.step(GET + " --> a")


def pipeline_failed_read(session: Session) -> None:
    """A read that fails in a pipeline leaves the session usable."""
    try:
        with session.connection.pipeline():
            session.connection.execute("SELECT 1/0")
            session.connection.execute("SELECT 1")
    except psycopg.errors.DivisionByZero:
        pass
    session.step(PUT)
    session.step(GET + " --> a")


def prepared_by_the_driver(session: Session) -> None:
    """A parameterised statement that the driver prepares, used before and after a write."""
    query = "SELECT v FROM hammer.t WHERE id = %s"
    for _ in range(2):
        session.expect(str(session.connection.execute(query, (session.key,), prepare=True).fetchone()), "None", query)
    session.step(PUT)
    session.expect(str(session.connection.execute(query, (session.key,), prepare=True).fetchone()), "('a',)", query)


def binary_parameters(session: Session) -> None:
    """Parameters and results in binary."""
    insert = "INSERT INTO hammer.t VALUES (%b, %b) RETURNING id"
    session.connection.execute(insert, (session.key, "a"), binary=True)
    row = session.connection.execute("SELECT id FROM hammer.t WHERE id = %b", (session.key,), binary=True).fetchone()
    session.expect(str(row), f"({session.key},)", "binary read")


def copy_in(session: Session) -> None:
    """COPY FROM STDIN, then a read."""
    with session.connection.cursor().copy("COPY hammer.t FROM STDIN") as copy:
        copy.write_row((session.key, "a"))
    session.step(GET + " --> a")


def copy_out(session: Session) -> None:
    """COPY TO STDOUT gives the session's own write."""
    session.step(PUT)
    session.expect(_copied(session, f"COPY ({GET}) TO STDOUT"), "a\n", "COPY")


def copy_out_of_a_write(session: Session) -> None:
    """COPY (INSERT … RETURNING) TO STDOUT is a write."""
    session.expect(_copied(session, f"COPY ({PUT} RETURNING v) TO STDOUT"), "a\n", "COPY")
    session.step(GET + " --> a")


def copy_out_of_a_function(session: Session) -> None:
    """COPY (SELECT of a writing function) TO STDOUT is a write."""
    session.expect(_copied(session, "COPY (SELECT hammer.put(:k)) TO STDOUT"), "a\n", "COPY")
    session.step(GET + " --> a")


def copy_out_of_a_cte(session: Session) -> None:
    """COPY (WITH w AS (INSERT …) SELECT …) TO STDOUT is a write."""
    session.expect(_copied(session, f"COPY (WITH w AS ({PUT} RETURNING v) SELECT v FROM w) TO STDOUT"), "a\n", "COPY")
    session.step(GET + " --> a")


def _copied(session: Session, query: str) -> str:
    with session.connection.cursor().copy(_sql(session, query)) as copy:
        return b"".join(bytes(block) for block in copy).decode()


def copy_out_extended(session: Session) -> None:
    """COPY TO STDOUT in the extended protocol, as some drivers send it."""
    session.step(PUT)
    raw = session.connection.pgconn
    result = raw.exec_params(_sql(session, f"COPY ({GET}) TO STDOUT").encode(), [])
    if result.status != pq.ExecStatus.COPY_OUT:
        raise psycopg.OperationalError(raw.get_error_message())
    while raw.get_copy_data(0)[0] > 0:
        pass
    while raw.get_result():
        pass
    session.step(GET + " --> a")


def server_cursor(session: Session) -> None:
    """The driver's named cursor, in a transaction that wrote."""
    with session.connection.transaction():
        session.step(PUT)
        with session.connection.cursor(name="c") as cursor:
            cursor.execute(_sql(session, GET))
            session.expect(str(cursor.fetchone()), "('a',)", "named cursor")
    session.step(GET + " --> a")


def server_cursor_with_hold(session: Session) -> None:
    """The driver's named cursor outside a transaction."""
    session.step(PUT)
    with session.connection.cursor(name="c", withhold=True) as cursor:
        cursor.execute(_sql(session, GET))
        session.expect(str(cursor.fetchone()), "('a',)", "named cursor with hold")


def notify_oneself(session: Session) -> None:
    """LISTEN and NOTIFY in one session."""
    session.step("LISTEN news:k")
    session.step("NOTIFY news:k, 'n:k'")
    got = [n.payload for n in session.connection.notifies(timeout=2, stop_after=1)]
    session.expect(str(got), f"['n{session.key}']", "notification")


def nested_transactions(session: Session) -> None:
    """The driver's nested transaction: a savepoint that a failed write rolls back."""
    with session.connection.transaction():
        session.step(GET + " --> nothing")
        try:
            with session.connection.transaction():
                session.step("INSERT INTO hammer.t VALUES (1, 'twice')")
        except psycopg.errors.UniqueViolation:
            session.step(PUT)
        session.step(GET + " --> a")
    session.step(GET + " --> a")


def nested_failed_read(session: Session) -> None:
    """The driver's nested transaction: a savepoint that a failed read rolls back."""
    with session.connection.transaction():
        try:
            with session.connection.transaction():
                session.step("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            session.step(PUT)
        session.step(GET + " --> a")
    session.step(GET + " --> a")


def repeatable_read_is_one_snapshot(session: Session) -> None:
    """Before and after its own write, a REPEATABLE READ transaction sees one and the same snapshot of other rows."""
    count = "SELECT count(*) FROM hammer.t WHERE id <> :k"
    session.step("BEGIN ISOLATION LEVEL REPEATABLE READ")
    before = session.run(count)
    info = session.connection.info
    with psycopg.connect(info.dsn, password=info.password, autocommit=True) as other:
        other.execute(_sql(session, "INSERT INTO hammer.t VALUES (:k::bigint + 2000000000, 'other')"))
    session.step(PUT)
    session.expect(session.run(count), before, "count of the same snapshot")
    session.step("ROLLBACK")


def state_left_behind(session: Session) -> None:
    """The next session of the pool has no state of an earlier one: SET, temporary table, prepared statement, lock."""
    info = session.connection.info
    for _ in range(6):
        with psycopg.connect(info.dsn, password=info.password, autocommit=True) as other:
            row = other.execute(
                "SELECT current_setting('search_path'), to_regclass('pg_temp.leftover') IS NULL, "
                "(SELECT count(*) FROM pg_prepared_statements), "
                "(SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')"
            ).fetchone()
            if row != ('"$user", public', True, 0, 0):
                raise WrongAnswer(f"a new session found {row}")
            other.execute("SET search_path = hammer")
            other.execute("CREATE TEMP TABLE leftover (v int)")
            other.execute("PREPARE leftover AS SELECT 1")
            other.execute("SELECT pg_advisory_lock(99)")


CLIENTS = {
    f"client: {construct.__name__.replace('_', ' ')}": construct
    for construct in (
        pipeline_write_read, pipeline_prepared_read, pipeline_transaction, pipeline_failure, pipeline_failed_read,
        prepared_by_the_driver, binary_parameters, copy_in, copy_out, copy_out_of_a_write, copy_out_of_a_function,
        copy_out_of_a_cte, copy_out_extended, server_cursor, server_cursor_with_hold, notify_oneself,
        nested_transactions, nested_failed_read, repeatable_read_is_one_snapshot, state_left_behind,
    )
}  # fmt: skip
