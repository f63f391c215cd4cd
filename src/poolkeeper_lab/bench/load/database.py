"""The bench's own database: `postgres` is never pooled by Pgpool-II, and the application's is not ours.

Invariant: only a database that bears our comment is ever dropped; one of the same name without it is somebody's, and
the bench refuses. What a killed run left is dropped by the next run. All of it goes to the primary's own port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, interrupts, wait
from poolkeeper.core.progress import Progress
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres

NAME = "poolkeeper_bench"
COMMENT = "made by poolkeeper bench"
SECONDS = 60.0  # of one statement here: a drop waits for a checkpoint
SPREAD_SECONDS = 120.0  # until every standby shows what was loaded
_OURS = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{NAME}'"
_BEHIND = """
SELECT application_name FROM pg_stat_replication
 WHERE application_name = ANY(%s) AND (replay_lsn < %s::pg_lsn) IS NOT FALSE
"""


@contextmanager
def made(cluster: Cluster, primary: str, progress: Progress) -> Iterator[None]:
    """The database for the length of the block. Raises OperationRefused or as a server does.

    Ctrl-C is not heard while it is made: between its creation and its comment it would be nobody's.
    """
    try:
        with interrupts.signals_blocked():
            asyncio.run(create(cluster, primary))
        yield
    finally:
        with interrupts.signals_blocked():
            _drop_or_tell(cluster, primary, progress)


def _drop_or_tell(cluster: Cluster, primary: str, progress: Progress) -> None:
    try:
        asyncio.run(drop(cluster, primary))
    except errors.PoolkeeperError as e:
        progress.note(f"the database {NAME} was not dropped: {e.message}")


async def create(cluster: Cluster, primary: str) -> None:
    """Make it anew, empty, owned by the application's role."""
    owner = cluster.spec.roles.app
    await drop(cluster, primary)
    async with postgres.session(_root(cluster, primary), SECONDS) as opened:
        await opened.rows(f'CREATE DATABASE {NAME} OWNER "{owner}"')
        await opened.rows(f"COMMENT ON DATABASE {NAME} IS '{COMMENT}'")


async def drop(cluster: Cluster, primary: str) -> None:
    """Drop it if it is ours, with the sessions that are in it. Raises OperationRefused if it is somebody's."""
    async with postgres.session(_root(cluster, primary), SECONDS) as opened:
        found = await opened.rows(_OURS)
        if not found:
            return
        if found[0][0] != COMMENT:
            raise errors.OperationRefused(
                f"there is a database {NAME} that the bench did not make",
                hint="Rename it, or drop it if nobody needs it.",
            )
        await opened.rows(f"DROP DATABASE {NAME} WITH (FORCE)")


async def spread(cluster: Cluster, primary: str) -> None:
    """Wait until every standby that streams shows all that was written until now. Raises DeadlinePassed."""
    others = [node.name for node in cluster.spec.nodes if node.name != primary]
    async with postgres.session(_root(cluster, primary), SECONDS) as opened:
        ((position,),) = await opened.rows("SELECT pg_current_wal_flush_lsn()::text")

        async def look() -> str | None:
            behind = await opened.rows(_BEHIND, [others, position])
            return f"{', '.join(str(row[0]) for row in behind)} behind {position}" if behind else None

        await wait.wait_until("the same data on every standby", look, seconds=SPREAD_SECONDS, pause=0.5)


async def settle(cluster: Cluster, primary: str) -> None:
    """A checkpoint, so that none of what was loaded is written while something is measured."""
    await postgres.query(_root(cluster, primary), "CHECKPOINT", SECONDS)


async def tidy(cluster: Cluster, primary: str) -> None:
    """Vacuum the small tables of pgbench, as pgbench itself does before a run: else the versions of a row pile up."""
    dsn = cluster.node(primary, "app", NAME)
    await postgres.query(dsn, "VACUUM pgbench_branches, pgbench_tellers", SECONDS)


def _root(cluster: Cluster, primary: str) -> Dsn:
    return cluster.node(primary, "superuser")
