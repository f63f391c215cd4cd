"""The tables of a run: re-created before it, dropped after it; every node has replayed them before the run.

Invariant: everything is in one schema of the run in the application's database, owned by the application's role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, wait
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres
from poolkeeper_lab.chaos.workloads.job import SCHEMA, WorkloadJob

REPLAY_SECONDS = 30.0
STILL = f"{SCHEMA}.still"  # some pages that never change: a fault may damage one on a standby
GROWTH = f"{SCHEMA}.growth"  # a table that a fault creates to fill a disk
_STILL = (
    f"CREATE TABLE {STILL} AS SELECT i, repeat('still ', 80) AS filler FROM generate_series(1, 200) AS i",
    f"VACUUM (FREEZE) {STILL}",  # so that no reader has to write hint bits to the page
)
_POSITION = "SELECT pg_current_wal_flush_lsn()::text"


def straight(cluster: Cluster, node: str, role: str = "app") -> Dsn:
    """Return the DSN of a node's own port, in the application's database."""
    return cluster.node(node, role, cluster.spec.roles.app_database)


async def prepare(cluster: Cluster, primary: str, jobs: Iterable[WorkloadJob]) -> None:
    """Create every table with its initial rows, and wait until every node has replayed them.

    Raises:
        DeadlinePassed: if a standby has not replayed them in time.
    """
    async with postgres.session(straight(cluster, primary), cluster.spec.timeouts.query) as opened:
        await opened.rows(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await opened.rows(f"CREATE SCHEMA {SCHEMA}")
        for statement in (*_STILL, *(statement for job in jobs for statement in job.tables)):
            await opened.rows(statement)
    await replayed(cluster, primary)


async def identity(cluster: Cluster, primary: str) -> str:
    """Return PostgreSQL's system identifier: no failover changes it, and a new cluster has another one."""
    statement = "SELECT system_identifier::text FROM pg_control_system()"
    ((found,),) = await postgres.query(straight(cluster, primary), statement, cluster.spec.timeouts.query)
    return str(found)


async def require_identity(cluster: Cluster, primary: str, wanted: str) -> None:
    """Require the same cluster as before: another one must neither be broken nor checked.

    Raises:
        ClusterNotUp: if the cluster was re-created.
    """
    if await identity(cluster, primary) != wanted:
        raise errors.ClusterNotUp(
            "the cluster was re-created during the run, so the run cannot be checked",
            hint="`down` and `up` have to wait until a run has ended.",
        )


async def clear(cluster: Cluster, primary: str) -> None:
    """Drop the schema."""
    statement = f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
    await postgres.query(straight(cluster, primary), statement, cluster.spec.timeouts.query)


async def replayed(cluster: Cluster, primary: str, seconds: float = REPLAY_SECONDS) -> None:
    """Wait until every standby has replayed all that the primary has flushed by now.

    Raises:
        DeadlinePassed: if a standby has not replayed it in time.
    """
    limit = cluster.spec.timeouts.query
    ((position,),) = await postgres.query(straight(cluster, primary), _POSITION, limit)
    statement = f"SELECT coalesce(pg_last_wal_replay_lsn() >= '{position}'::pg_lsn, NOT pg_is_in_recovery())"
    nodes = [node.name for node in cluster.spec.nodes if node.name != primary]

    async def lacks(node: str) -> str | None:
        try:
            ((has_replayed,),) = await postgres.query(straight(cluster, node), statement, limit)
        except errors.PoolkeeperError as e:
            return e.message
        return None if has_replayed else f"{node} has not replayed {position}"

    async def complete() -> None:
        missing = [found for found in await asyncio.gather(*map(lacks, nodes)) if found]
        wait.require("; ".join(missing) or None)

    await wait.wait_for("replay on every standby", complete, seconds=seconds)
