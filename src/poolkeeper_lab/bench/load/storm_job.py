"""The job and the report of a storm driver: values, their text, and the figures computed from them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.drill.goals import percentile

# Transactions, statement by statement; {aid} is the key of a row, {delta} an amount.
READ = ("SELECT abalance FROM pgbench_accounts WHERE aid = {aid}",)
WRITE = (
    "BEGIN",
    "UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid}",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, {aid}, {delta}, CURRENT_TIMESTAMP)",
    "COMMIT",
)
LATE = 0.1  # seconds after the common start by which every driver must be ready, else the result is void
_PLACE = re.compile(r"^.*?port \d+ failed: ")
_GUESS = re.compile(r" This probably means the server terminated abnormally.*$")
MESSAGE = 200  # characters of an error that are kept


@dataclass(frozen=True)
class StormJob:
    """`clients` transactions that begin at `at` (monotonic seconds of this machine).

    With `sessions` 0, each transaction has a connection of its own, and all connections are made at once. Otherwise
    that many sessions, opened before, share the transactions. `patience`: the most seconds for a connection.
    """

    host: str
    port: int
    user: str
    dbname: str
    password: str
    clients: int
    sessions: int
    statements: tuple[str, ...]
    accounts: int
    seed: int
    patience: float
    at: float = 0.0

    def text(self) -> str:
        """Return the text for the driver's standard input; it contains the password."""
        return TypeAdapter(StormJob).dump_json(self).decode()

    @staticmethod
    def read(text: str) -> StormJob:
        """Parse the result of `text`."""
        return TypeAdapter(StormJob).validate_json(text)


def job(
    dsn: Dsn, statements: tuple[str, ...], clients: int, sessions: int, accounts: int, seed: int, patience: float
) -> StormJob:
    """Return a job for an endpoint."""
    return StormJob(
        host=dsn.host,
        port=dsn.port,
        user=dsn.user,
        dbname=dsn.dbname,
        password=dsn.password,
        clients=clients,
        sessions=sessions,
        statements=statements,
        accounts=accounts,
        seed=seed,
        patience=patience,
    )


def shares(total: StormJob, drivers: int) -> list[StormJob]:
    """Split a job among the drivers; fewer shares result if there is too little work for all of them."""
    count = max(1, min(drivers, total.clients, total.sessions or total.clients))

    def share(of: int, i: int) -> int:
        return of // count + (i < of % count)

    return [
        replace(total, clients=share(total.clients, i), sessions=share(total.sessions, i), seed=total.seed + i)
        for i in range(count)
    ]


@dataclass(frozen=True)
class StormAttempt:
    """One transaction: when it was connected and done, in seconds after the common start, or its error."""

    connected: float | None
    done: float | None
    error: str = ""


@dataclass(frozen=True)
class StormReport:
    """The result of a job. `late`: how many seconds after the start the driver was ready."""

    attempts: tuple[StormAttempt, ...]
    late: float = 0.0

    def text(self) -> str:
        """Return the text for standard output."""
        return TypeAdapter(StormReport).dump_json(self).decode()

    @staticmethod
    def read(text: str) -> StormReport:
        """Parse the result of `text`.

        Raises:
            EngineFailed: if the text is incomplete.
        """
        try:
            return TypeAdapter(StormReport).validate_json(text)
        except ValidationError as e:
            raise errors.EngineFailed("a driver of the storm printed no valid report", detail=text[-2000:]) from e


def combine(reports: Sequence[StormReport]) -> StormReport:
    """Combine the reports of all drivers.

    Raises:
        EngineFailed: if a driver was late.
    """
    late = max((one.late for one in reports), default=0.0)
    if late > LATE:
        raise errors.EngineFailed(f"a driver of the storm was ready only {late:.2f} s after the start")
    return StormReport(tuple(attempt for one in reports for attempt in one.attempts), late)


@dataclass(frozen=True)
class Figures:
    """The figures of all attempts; times are seconds after the common start of the done ones, or None without any."""

    count: int
    refused: int
    last: float | None
    p50: float | None
    p99: float | None
    messages: tuple[tuple[str, int], ...]  # of the refused ones, the most frequent first


def figures(report: StormReport) -> Figures:
    """Compute the figures of a report."""
    done = [attempt.done for attempt in report.attempts if attempt.done is not None]
    messages = Counter(attempt.error or "no answer" for attempt in report.attempts if attempt.done is None)
    return Figures(
        len(report.attempts), len(report.attempts) - len(done), max(done, default=None), percentile(done, 50),
        percentile(done, 99), tuple(messages.most_common()),
    )  # fmt: skip


def waits(report: StormReport, soon: float) -> tuple[int, int, float | None]:
    """Count the connections made within `soon` seconds and later, and return both with the longest wait in seconds."""
    connected = [attempt.connected for attempt in report.attempts if attempt.connected is not None]
    at_once = sum(seconds <= soon for seconds in connected)
    return at_once, len(connected) - at_once, max(connected, default=None)


def shorten(text: str) -> str:
    """Return an error of libpq in one line, without the address (it differs) and without libpq's guess."""
    line = _GUESS.sub("", _PLACE.sub("", " ".join(text.split())))
    return line[:MESSAGE]


def message_counts(messages: Sequence[tuple[str, int]]) -> str:
    """Return a text such as "“FATAL: sorry” × 3"."""
    return ", ".join(f"“{message}” × {count}" for message, count in messages)
