"""What a driver of the storm is told and what it tells: values, their text, and the figures of them. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.drill.goals import percentile

# Transactions, statement by statement; {aid} is an account, {delta} an amount.
READ = ("SELECT abalance FROM pgbench_accounts WHERE aid = {aid}",)
WRITE = (
    "BEGIN",
    "UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid}",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, {aid}, {delta}, CURRENT_TIMESTAMP)",
    "COMMIT",
)
LATE = 0.1  # seconds after the common start at which a driver must be ready: else it was no storm
_PLACE = re.compile(r"^.*?port \d+ failed: ")
_GUESS = re.compile(r" This probably means the server terminated abnormally.*$")
MESSAGE = 200  # characters of an error that are kept


@dataclass(frozen=True)
class StormJob:
    """`clients` transactions that begin at `at` (monotonic seconds of this machine), in one of two ways.

    `sessions` 0: each has a connection of its own, all made at once; else they are shared by so many sessions, which
    are opened before. `patience`: seconds that a connection may take.
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
        """For the driver's standard input: it holds the password."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> StormJob:
        """What `text` wrote."""
        document = json.loads(text)
        return StormJob(**{**document, "statements": tuple(document["statements"])})


def job(
    dsn: Dsn, statements: tuple[str, ...], clients: int, sessions: int, accounts: int, seed: int, patience: float
) -> StormJob:
    """A job for an endpoint."""
    return StormJob(dsn.host, dsn.port, dsn.user, dsn.dbname, dsn.password, clients, sessions, statements, accounts, seed,
               patience)  # fmt: skip


def shares(whole: StormJob, drivers: int) -> list[StormJob]:
    """The job in as many parts as there are drivers, or fewer where there is too little for all."""
    count = max(1, min(drivers, whole.clients, whole.sessions or whole.clients))

    def share(of: int, i: int) -> int:
        return of // count + (i < of % count)

    return [
        replace(whole, clients=share(whole.clients, i), sessions=share(whole.sessions, i), seed=whole.seed + i)
        for i in range(count)
    ]


@dataclass(frozen=True)
class StormAttempt:
    """One transaction, in seconds after the common start: when it had its connection, when it was done; or why not."""

    connected: float | None
    done: float | None
    error: str = ""


@dataclass(frozen=True)
class StormReport:
    """What came of a job. `late`: how long after the start the driver was ready."""

    attempts: tuple[StormAttempt, ...]
    late: float = 0.0

    def text(self) -> str:
        """For standard output."""
        return json.dumps({"late": self.late, "attempts": [[a.connected, a.done, a.error] for a in self.attempts]})

    @staticmethod
    def read(text: str) -> StormReport:
        """What `text` wrote. Raises EngineFailed where it is not whole."""
        try:
            document = json.loads(text)
            return StormReport(
                tuple(StormAttempt(*attempt) for attempt in document["attempts"]), float(document["late"])
            )
        except (ValueError, KeyError, TypeError) as e:
            raise errors.EngineFailed("a driver of the storm did not tell what it saw", detail=text[-2000:]) from e


def together(told: Sequence[StormReport]) -> StormReport:
    """All drivers as one. Raises EngineFailed where one was late."""
    late = max((one.late for one in told), default=0.0)
    if late > LATE:
        raise errors.EngineFailed(f"a driver of the storm was ready only {late:.2f} s after the start")
    return StormReport(tuple(attempt for one in told for attempt in one.attempts), late)


@dataclass(frozen=True)
class Figures:
    """Of all attempts; times in seconds after the common start, of those that were done. None: nothing was."""

    count: int
    refused: int
    last: float | None
    p50: float | None
    p99: float | None
    messages: tuple[tuple[str, int], ...]  # of what was refused, the most frequent first


def figures(told: StormReport) -> Figures:
    """The figures."""
    done = [attempt.done for attempt in told.attempts if attempt.done is not None]
    messages = Counter(attempt.error or "no answer" for attempt in told.attempts if attempt.done is None)
    return Figures(
        len(told.attempts), len(told.attempts) - len(done), max(done, default=None), percentile(done, 50),
        percentile(done, 99), tuple(messages.most_common()),
    )  # fmt: skip


def waits(told: StormReport, soon: float) -> tuple[int, int, float | None]:
    """Of those that got a connection: how many within `soon` seconds, how many later, and the longest wait."""
    connected = [attempt.connected for attempt in told.attempts if attempt.connected is not None]
    at_once = sum(seconds <= soon for seconds in connected)
    return at_once, len(connected) - at_once, max(connected, default=None)


def word(text: str) -> str:
    """An error of libpq as a report shows it: one line, without the address, which differs, and without its guess."""
    line = _GUESS.sub("", _PLACE.sub("", " ".join(text.split())))
    return line[:MESSAGE]


def said(messages: Sequence[tuple[str, int]]) -> str:
    """As "“FATAL: sorry” × 3"."""
    return ", ".join(f"“{message}” × {count}" for message, count in messages)
