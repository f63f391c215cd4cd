"""The bench's own database: Pgpool-II never pools `postgres`, and the application's database belongs to the user.

Invariant: the bench drops only a database that has its comment; it refuses to use one of the same name without it. The
next run drops the database that a killed run left. All statements go to the primary's own port.
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
from poolkeeper_lab.bench.load import bench_endpoints, pgbench, pgbench_client

NAME = "poolkeeper_bench"
COMMENT = "made by poolkeeper bench"
SECONDS = 60.0  # for one statement: a drop waits for a checkpoint
LOAD_SECONDS = 600  # the most time for filling the tables
SPREAD_SECONDS = 120.0  # until every standby has the loaded data
_OURS = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{NAME}'"
_BEHIND = """
SELECT application_name FROM pg_stat_replication
 WHERE application_name = ANY(%s) AND (replay_lsn < %s::pg_lsn) IS NOT FALSE
"""


@contextmanager
def made(cluster: Cluster, primary: str, progress: Progress) -> Iterator[None]:
    """Provide the database for the length of the block.

    Signals are blocked while it is created: between its creation and its comment, no run would recognise it.

    Raises:
        OperationRefused: if a database with this name exists that the bench did not create.
    """
    try:
        with interrupts.signals_blocked():
            asyncio.run(create(cluster, primary))
        yield
    finally:
        with interrupts.signals_blocked():
            _drop_or_note(cluster, primary, progress)


@contextmanager
def loaded(cluster: Cluster, primary: str, scale: int, progress: Progress) -> Iterator[pgbench_client.PgbenchClient]:
    """Provide pgbench's tables of this scale on every node and on disk, with the client's container, for the block.

    Raises:
        PoolkeeperError: if the container or the database cannot be provided.
    """
    direct = bench_endpoints.own(cluster.spec, primary)[0]
    where = pgbench.Where(direct.host, direct.port, cluster.spec.roles.app, NAME)
    with pgbench_client.running(cluster, primary) as using, made(cluster, primary, progress):
        with progress.step(f"loading pgbench's tables, scale {scale}"):
            using.run(pgbench.initialize(where, scale), LOAD_SECONDS)
            interrupts.run(settle(cluster, primary))
            interrupts.run(spread(cluster, primary))
        yield using


def _drop_or_note(cluster: Cluster, primary: str, progress: Progress) -> None:
    try:
        asyncio.run(drop(cluster, primary))
    except errors.PoolkeeperError as e:
        progress.note(f"the database {NAME} was not dropped: {e.message}")


async def create(cluster: Cluster, primary: str) -> None:
    """Drop and re-create it: empty, owned by the application's role."""
    owner = cluster.spec.roles.app
    await drop(cluster, primary)
    async with postgres.session(_root(cluster, primary), SECONDS) as opened:
        await opened.rows(f'CREATE DATABASE {NAME} OWNER "{owner}"')
        await opened.rows(f"COMMENT ON DATABASE {NAME} IS '{COMMENT}'")


async def drop(cluster: Cluster, primary: str) -> None:
    """Drop it with the sessions that use it.

    Raises:
        OperationRefused: if the bench did not create it.
    """
    async with postgres.session(_root(cluster, primary), SECONDS) as opened:
        found = await opened.rows(_OURS)
        if not found:
            return
        if found[0][0] != COMMENT:
            raise errors.OperationRefused(
                f"there is a database {NAME} that the bench did not create",
                hint="Rename it, or drop it if it is not needed.",
            )
        await opened.rows(f"DROP DATABASE {NAME} WITH (FORCE)")


async def spread(cluster: Cluster, primary: str) -> None:
    """Wait until every streaming standby has replayed all that was written so far.

    Raises:
        DeadlinePassed: if a standby does not catch up in time.
    """
    others = [node.name for node in cluster.spec.nodes if node.name != primary]
    async with postgres.session(_root(cluster, primary), SECONDS) as opened:
        ((position,),) = await opened.rows("SELECT pg_current_wal_flush_lsn()::text")

        async def check() -> None:
            if behind := await opened.rows(_BEHIND, [others, position]):
                raise wait.NotYet(f"{', '.join(str(row[0]) for row in behind)} behind {position}")

        await wait.wait_for("the same data on every standby", check, seconds=SPREAD_SECONDS, pause=0.5)


async def settle(cluster: Cluster, primary: str) -> None:
    """Run a checkpoint, so that no loaded page is written during a measurement."""
    await postgres.query(_root(cluster, primary), "CHECKPOINT", SECONDS)


async def tidy(cluster: Cluster, primary: str) -> None:
    """Vacuum the small tables of pgbench, as pgbench itself does before a run: otherwise dead row versions pile up."""
    dsn = cluster.node(primary, "app", NAME)
    await postgres.query(dsn, "VACUUM pgbench_branches, pgbench_tellers", SECONDS)


def _root(cluster: Cluster, primary: str) -> Dsn:
    return cluster.node(primary, "superuser")
