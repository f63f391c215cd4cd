"""The command lines of pgbench, and the parser of its output. Pure.

Facts of pgbench 17: with -C, a connection is made before the transaction's time begins, so a logged time excludes it,
while `tps` includes it; a line of the log is "client number time(µs) script second µs", where `time` may be a word
("skipped", "failed"); an aborted client ends the run with a non-zero code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from poolkeeper.core import errors
from poolkeeper_lab.drill.goals import percentile

FOLDER = "/tmp/bench"  # in the client's container
LOG = f"{FOLDER}/log"
SCRIPTS = ("read-mostly-read.sql", "read-mostly-write.sql")
SAMPLING = 0.2  # share of the transactions on kept connections that are logged
READ_ONLY, TPC_B, READ_MOSTLY = "read-only", "TPC-B-like", "read-mostly"
WORKLOADS: dict[str, tuple[str, ...]] = {
    READ_ONLY: ("--builtin=select-only",),
    TPC_B: ("--builtin=tpcb-like",),
    READ_MOSTLY: (f"--file={FOLDER}/{SCRIPTS[0]}@9", f"--file={FOLDER}/{SCRIPTS[1]}@1"),
}
SIMPLE, EXTENDED, PREPARED = "simple", "extended", "prepared"
PROTOCOLS = (SIMPLE, EXTENDED, PREPARED)
_TRANSACTIONS = re.compile(r"^number of transactions actually processed: (\d+)", re.M)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.M)
_TPS = re.compile(r"^tps = ([\d.]+)", re.M)
_CONNECTION = re.compile(r"^average connection time = ([\d.]+) ms", re.M)
_NOISE = ("pgbench: warning", "pgbench (")


@dataclass(frozen=True)
class PgbenchLoad:
    """A workload, its protocol and its number of clients; `is_fresh`: a connection for each transaction."""

    workload: str
    protocol: str
    clients: int
    is_fresh: bool = False

    @property
    def writes(self) -> bool:
        """Whether it changes any data."""
        return self.workload != READ_ONLY

    @property
    def about(self) -> dict[str, str]:
        """The conditions as a report shows them."""
        connection = "one a transaction" if self.is_fresh else "kept"
        return {
            "workload": self.workload,
            "protocol": self.protocol,
            "clients": str(self.clients),
            "connection": connection,
        }

    @property
    def title(self) -> str:
        """A title such as "read-only, simple, 16 clients"."""
        fresh = ", a connection for each transaction" if self.is_fresh else ""
        return f"{self.workload}, {self.protocol}, {self.clients} client{'s' * (self.clients != 1)}{fresh}"


@dataclass(frozen=True)
class Where:
    """A port, a user and a database; the password is in the container's password file."""

    host: str
    port: int
    user: str
    dbname: str


def run(load: PgbenchLoad, where: Where, seconds: int, scale: int, cores: int, seed: int) -> list[str]:
    """Return the command line of a measurement.

    A thread opens one connection at a time, so each client with fresh connections has a thread of its own.
    """
    threads = load.clients if load.is_fresh else min(load.clients, cores)
    sampling = 1.0 if load.is_fresh else SAMPLING
    return [
        "pgbench",
        "--no-vacuum",
        *WORKLOADS[load.workload],
        f"--protocol={load.protocol}",
        f"--client={load.clients}",
        f"--jobs={threads}",
        f"--time={seconds}",
        f"--define=scale={scale}",
        f"--random-seed={seed}",
        "--log",
        f"--log-prefix={LOG}",
        f"--sampling-rate={sampling:g}",
        *(["--connect"] if load.is_fresh else []),
        *_connection(where),
    ]


def initialize(where: Where, scale: int) -> list[str]:
    """Return the command line that creates the tables and fills them on the server."""
    return ["pgbench", "--initialize", "--init-steps=dtGvp", "--quiet", f"--scale={scale}", *_connection(where)]


def _connection(where: Where) -> list[str]:
    return [f"--host={where.host}", f"--port={where.port}", f"--username={where.user}", where.dbname]


def password_file(password: str) -> str:
    """Return a libpq password file for every port: that container uses only one role."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


@dataclass(frozen=True)
class PgbenchResult:
    """The output and the log of a measurement. Times are milliseconds, or None if nothing was logged."""

    tps: float
    transactions: int
    p50: float | None
    p99: float | None
    connection: float | None  # average time of a connection, where each transaction has its own


def parse(printed: str, log: str) -> PgbenchResult:
    """Parse the output and the log of a measurement.

    Raises:
        EngineFailed: if the output is incomplete, or a transaction failed.
    """
    tps, transactions = _TPS.search(printed), _TRANSACTIONS.search(printed)
    if not tps or not transactions or not int(transactions[1]):
        raise errors.EngineFailed("pgbench measured nothing", detail=printed)
    failed = _FAILED.search(printed)
    if failed and int(failed[1]):
        raise errors.EngineFailed(f"{failed[1]} of pgbench's transactions failed", detail=printed)
    times = latencies(log.splitlines())
    connection = _CONNECTION.search(printed)
    return PgbenchResult(
        float(tps[1]), int(transactions[1]), percentile(times, 50), percentile(times, 99),
        float(connection[1]) if connection else None,
    )  # fmt: skip


def latencies(lines: Iterable[str]) -> list[float]:
    """Return the times of a log in milliseconds; an incomplete line is left out."""
    words = (line.split() for line in lines)
    return [int(word[2]) / 1000 for word in words if len(word) >= 6 and word[2].isdigit()]


def complaint(printed: str) -> str:
    """Return pgbench's first error message: it names the cause; the later ones come from the other clients."""
    lines = [line.strip() for line in printed.splitlines() if line.strip() and not line.startswith(_NOISE)]
    errors_ = [line for line in lines if line.startswith("pgbench: error:")]
    chosen: Sequence[str] = errors_ or lines or ["pgbench printed nothing"]
    return chosen[0].removeprefix("pgbench: error: ")
