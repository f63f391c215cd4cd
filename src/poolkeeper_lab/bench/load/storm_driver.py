"""One driver of the storm, a process of its own: it connects, runs its transactions, and reports when each was done.

The program reads a job from standard input and prints its report. One asyncio loop makes all connections of a driver at
once. Several drivers begin at the same moment of the machine's monotonic clock.
Invariant: every client ends within its patience for a connection and for its transaction, whatever the server does.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import time
from collections.abc import Callable

import psycopg

from poolkeeper_lab.bench.load import storm_job
from poolkeeper_lab.bench.load.storm_job import StormAttempt, StormJob, StormReport

_SPARE_FILES = 100

Connection = psycopg.AsyncConnection[tuple[object, ...]]


async def run(job: StormJob) -> StormReport:
    """Run the job, and return its report."""
    chance = random.Random(job.seed)
    if job.sessions:
        return await _kept(job, chance)
    late = await _until(job.at)
    statements = [_statements(job, chance) for _ in range(job.clients)]
    return StormReport(tuple(await asyncio.gather(*(_fresh(job, one) for one in statements))), late)


async def _until(moment: float) -> float:
    """Wait for the common start, and return how many seconds late this driver is."""
    left = moment - time.monotonic()
    if left > 0:
        await asyncio.sleep(left)  # the start that all drivers agreed on
    return max(0.0, -left)


def _statements(job: StormJob, chance: random.Random) -> list[bytes]:
    values = {"aid": chance.randint(1, job.accounts), "delta": chance.randint(-5000, 5000)}
    return [statement.format(**values).encode() for statement in job.statements]


async def _fresh(job: StormJob, statements: list[bytes]) -> StormAttempt:
    """Connect, run one transaction, and close the connection."""
    connected = None
    try:
        async with asyncio.timeout(job.patience):
            connection = await _connect(job)
        connected = time.monotonic() - job.at
        try:
            return await _transaction(job, connection, statements, connected)
        finally:
            await connection.close()
    except (psycopg.Error, OSError, TimeoutError) as e:
        return StormAttempt(connected, None, _error_text(e))


async def _transaction(
    job: StormJob, connection: Connection, statements: list[bytes], connected: float | None
) -> StormAttempt:
    async with asyncio.timeout(job.patience):
        for statement in statements:
            await connection.execute(statement)
    return StormAttempt(connected, time.monotonic() - job.at)


async def _connect(job: StormJob) -> Connection:
    return await psycopg.AsyncConnection.connect(
        host=job.host,
        port=job.port,
        user=job.user,
        dbname=job.dbname,
        password=job.password,
        connect_timeout=max(2, int(job.patience)),
        application_name="poolkeeper bench",
        sslmode="disable",
        gssencmode="disable",
        autocommit=True,
        prepare_threshold=None,
    )


async def _kept(job: StormJob, chance: random.Random) -> StormReport:
    """Run the transactions on sessions that are already open."""
    connections = list(await asyncio.gather(*(_connect(job) for _ in range(job.sessions))))
    waiting = [_statements(job, chance) for _ in range(job.clients)]
    attempts: list[StormAttempt] = []
    try:
        late = await _until(job.at)
        await asyncio.gather(*(_share(job, connection, waiting, attempts.append) for connection in connections))
    finally:
        for connection in connections:
            await connection.close()
    return StormReport(tuple([*attempts, *(StormAttempt(None, None, "its session had ended") for _ in waiting)]), late)


async def _share(
    job: StormJob, connection: Connection, waiting: list[list[bytes]], note: Callable[[StormAttempt], None]
) -> None:
    """Run transactions on one session until none is left; the session ends with its first error."""
    while waiting:
        statements = waiting.pop()
        try:
            note(await _transaction(job, connection, statements, 0.0))
        except (psycopg.Error, OSError, TimeoutError) as e:
            note(StormAttempt(0.0, None, _error_text(e)))
            return


def _error_text(e: BaseException) -> str:
    """Return an error as a report shows it."""
    return "no answer in time" if isinstance(e, TimeoutError) else storm_job.shorten(str(e) or type(e).__name__)


def allow_files(wanted: int) -> None:
    """Raise this process's limit of open files as far as the hard limit permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)
        )


def main() -> None:
    """Run the program."""
    job = StormJob.read(sys.stdin.read())
    allow_files(job.clients + _SPARE_FILES)
    sys.stdout.write(asyncio.run(run(job)).text() + "\n")


if __name__ == "__main__":
    main()
