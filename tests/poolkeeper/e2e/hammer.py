"""Hammer an endpoint with write-then-read, and report the result of each construct.

A construct is a few statements with what each must give (`constructs.py`), run in its own session, once a protocol.
`ReplayPaused` is the injected fault: the standbys receive WAL and replay none of it, so that a read of one's own write
on a standby is wrong every time, not one time in a thousand.

Not promised: anything about load; see `poolkeeper_lab.bench` for that.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import psycopg

SIMPLE, EXTENDED, PREPARED = "simple", "extended", "prepared"
PROTOCOLS = (SIMPLE, EXTENDED, PREPARED)
CONNECT_TRIES = 60
LAG_LIMIT = 400_000  # bytes; well below the endpoint's delay_threshold, above which Pgpool itself avoids the standby
HOLD_TRIES = 20
Connection = psycopg.Connection[Any]
_keys = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000 + 1_000)


class HasDsn(Protocol):
    """The part of the `cluster` fixture that the hammer uses."""

    def dsn(self, endpoint: str, role: str = "app", dbname: str | None = None) -> str:
        """A libpq connection string."""


class WrongAnswer(Exception):
    """A statement succeeded and gave something else than PostgreSQL gives: a stale or an impossible answer."""


@dataclass(frozen=True)
class Outcome:
    """The result of one construct: `ok`, `wrong` (an answer PostgreSQL never gives), a SQLSTATE, or `lost`."""

    name: str
    protocol: str
    verdict: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:6} {self.protocol:9} {self.name:52} {self.detail}"


class Session:
    """A connection, a key of its own to write under, and the protocol its statements go by."""

    def __init__(self, connection: Connection, protocol: str = SIMPLE) -> None:
        self.connection = connection
        self.protocol = protocol
        self.key = next(_keys)

    def run(self, sql: str) -> str:
        """Return the first column of the first row as text; `nothing` where there is no row."""
        query = sql.replace(":k", str(self.key))
        prepare = {SIMPLE: None, EXTENDED: False, PREPARED: True}[self.protocol]
        cursor = self.connection.execute(query, prepare=prepare, binary=self.protocol == EXTENDED)
        row = cursor.fetchone() if cursor.description else None
        return "nothing" if row is None else str(row[0])

    def step(self, line: str) -> None:
        """Run `sql`, `sql --> expected value` or `sql !!> expected SQLSTATE`."""
        sql, _, state = line.partition(" !!> ")
        sql, _, expected = sql.partition(" --> ")
        if not state:
            self.expect(self.run(sql), expected, sql)
            return
        try:
            got = self.run(sql)
        except psycopg.Error as error:
            if self.connection.closed or error.sqlstate != state:
                raise
        else:
            raise WrongAnswer(f"{sql}: gave {got}, must fail with {state}")

    def expect(self, got: str, expected: str, what: str) -> None:
        """Raise WrongAnswer where they differ; an empty `expected` is no expectation."""
        if expected and got != expected.replace(":k", str(self.key)):
            raise WrongAnswer(f"{what}: gave {got}, must give {expected}")


def pool_version(cluster: HasDsn) -> str:
    """Return the version of the Pgpool-II that runs, such as "4.7"."""
    with psycopg.connect(cluster.dsn("balanced"), autocommit=True) as connection:
        ((version,),) = connection.execute("SHOW pool_version").fetchall()
    return ".".join(str(version).split(".")[:2])


Construct = Callable[[Session], None]


def script(lines: Iterable[str]) -> Construct:
    """Return the construct that takes these steps."""

    def run(session: Session) -> None:
        for line in lines:
            session.step(line)

    return run


@contextmanager
def session(dsn: str, protocol: str = SIMPLE, on_standby: bool = False) -> Iterator[Session]:
    """Open a new session; `on_standby`: one whose reads Pgpool sends to a standby. The last one tried is the answer."""
    for _ in range(CONNECT_TRIES):
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
            if on_standby and not reads_from_standby(connection):
                continue
            yield Session(connection, protocol)
            return
    raise AssertionError(f"{CONNECT_TRIES} sessions and none reads from a standby: nothing is balanced")


def reads_from_standby(connection: Connection) -> bool:
    """Return whether this session's reads go to a standby now.

    pg_is_in_recovery() cannot show it: the function is volatile, which Pgpool-II treats as a write.
    """
    row = connection.execute("SELECT current_setting('in_hot_standby') = 'on'").fetchone()
    return row is not None and bool(row[0])


def attempt(dsn: str, name: str, construct: Construct, protocol: str = SIMPLE, on_standby: bool = False) -> Outcome:
    """Run one construct in its own session. Never raise for an error of the server."""
    with session(dsn, protocol, on_standby) as current:
        try:
            construct(current)
        except WrongAnswer as error:
            return Outcome(name, protocol, "wrong", str(error))
        except psycopg.Error as error:
            verdict = "lost" if current.connection.closed else str(error.sqlstate)
            return Outcome(name, protocol, verdict, str(error).partition("\n")[0])
    return Outcome(name, protocol, "ok")


def hammer(dsn: str, constructs: dict[str, Construct], seconds: float, sessions: int = 4) -> Counter[str]:
    """Run constructs at random-like interleaving in `sessions` threads for `seconds`; counts the verdicts."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    end = time.monotonic() + seconds
    jobs = itertools.cycle(itertools.product(constructs.items(), PROTOCOLS))

    def work() -> None:
        while time.monotonic() < end:
            with lock:
                (name, construct), protocol = next(jobs)
            outcome = attempt(dsn, name, construct, protocol)
            with lock:
                counts[outcome.verdict if outcome.verdict == "ok" else str(outcome)] += 1

    threads = [threading.Thread(target=work) for _ in range(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


class ReplayPaused:
    """Stop replay on every standby while the block runs, and lets it catch up when it grows too old."""

    def __init__(self, cluster: HasDsn) -> None:
        endpoints = [psycopg.connect(cluster.dsn(f"node{i}", "superuser"), autocommit=True) for i in (1, 2, 3)]
        self.standbys = [node for node in endpoints if reads_from_standby(node)]
        (self.primary,) = (node for node in endpoints if node not in self.standbys)

    def __enter__(self) -> ReplayPaused:
        self.catch_up()
        return self

    def __exit__(self, *_: object) -> None:
        self.primary.close()
        for node in self.standbys:
            node.execute("SELECT pg_wal_replay_resume()")
            node.close()

    def hold(self, attempt: Callable[[], Outcome]) -> Outcome:
        """Return the result of an attempt without any replay during it; Patroni resumes replay every `loop_wait`."""
        for _ in range(HOLD_TRIES):
            if self.lag() > LAG_LIMIT:
                self.catch_up()
            self.pause()
            outcome = attempt()
            if all(self.is_paused(node) for node in self.standbys):
                return outcome
        raise AssertionError(f"{HOLD_TRIES} attempts and replay was resumed in the midst of each")

    def is_paused(self, node: Connection) -> bool:
        """Return whether replay has stopped there."""
        return bool(one(node, "SELECT pg_get_wal_replay_pause_state()") == "paused")

    def pause(self) -> None:
        """Wait until replay has stopped everywhere; asks again each time, as Patroni may have resumed it meanwhile."""

        def stopped(node: Connection) -> bool:
            node.execute("SELECT pg_wal_replay_pause()")
            return self.is_paused(node)

        for node in self.standbys:
            wait_for(partial(stopped, node), "replay to stop")

    def lag(self) -> int:
        """Return the bytes of WAL that the standby furthest behind has not replayed."""
        now = one(self.primary, "SELECT pg_current_wal_lsn()")
        return max(int(one(node, f"SELECT '{now}'::pg_lsn - pg_last_wal_replay_lsn()")) for node in self.standbys)

    def catch_up(self) -> None:
        """Resume replay, and wait until every standby has what the primary has now."""
        target = one(self.primary, "SELECT pg_current_wal_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{target}'::pg_lsn"
        for node in self.standbys:
            node.execute("SELECT pg_wal_replay_resume()")
        for node in self.standbys:
            wait_for(partial(one, node, query), f"replay up to {target}")


def one(connection: Connection, sql: str) -> Any:
    """Return the only value of the only row."""
    row = connection.execute(sql).fetchone()
    assert row is not None, sql
    return row[0]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> None:
    """Wait until the condition is true; fail at the deadline with its name."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        pause.wait(0.005)
