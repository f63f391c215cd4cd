"""The tables of a run: made anew before it, dropped after it, and waited for until every node has replayed.

Invariant: everything is in one schema of our own in the application's database, owned by the application's role.
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
STILL = f"{SCHEMA}.still"  # some pages that nobody changes: a fault may damage one on a standby
GROWTH = f"{SCHEMA}.growth"  # what a fault makes where a disk has to be short of space
_STILL = (
    f"CREATE TABLE {STILL} AS SELECT i, repeat('still ', 80) AS filler FROM generate_series(1, 200) AS i",
    f"VACUUM (FREEZE) {STILL}",  # so that no reader has to note in the page what it found out
)
_POSITION = "SELECT pg_current_wal_flush_lsn()::text"


def straight(cluster: Cluster, node: str, role: str = "app") -> Dsn:
    """A node's own port, in the application's database."""
    return cluster.node(node, role, cluster.spec.roles.app_database)


async def prepare(cluster: Cluster, primary: str, jobs: Iterable[WorkloadJob]) -> None:
    """Make every table, with what is in it at first, on every node. Raises as `postgres.query` and `replayed` do."""
    async with postgres.session(straight(cluster, primary), cluster.spec.timeouts.query) as opened:
        await opened.rows(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await opened.rows(f"CREATE SCHEMA {SCHEMA}")
        for statement in (*_STILL, *(statement for job in jobs for statement in job.tables)):
            await opened.rows(statement)
    await replayed(cluster, primary)


async def identity(cluster: Cluster, primary: str) -> str:
    """PostgreSQL's own number of this cluster, which no failover changes and a new cluster does not share."""
    statement = "SELECT system_identifier::text FROM pg_control_system()"
    ((found,),) = await postgres.query(straight(cluster, primary), statement, cluster.spec.timeouts.query)
    return str(found)


async def require_identity(cluster: Cluster, primary: str, wanted: str) -> None:
    """Raises ClusterNotUp where the cluster is another one by now: nothing of it may be broken, nor judged."""
    if await identity(cluster, primary) != wanted:
        raise errors.ClusterNotUp(
            "somebody made the cluster anew during the run, so it cannot be judged",
            hint="`down` and `up` have to wait until a run has ended.",
        )


async def clear(cluster: Cluster, primary: str) -> None:
    """Drop all of it."""
    statement = f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"
    await postgres.query(straight(cluster, primary), statement, cluster.spec.timeouts.query)


async def replayed(cluster: Cluster, primary: str, seconds: float = REPLAY_SECONDS) -> None:
    """Wait until every standby has replayed what the primary has written by now. Raises DeadlinePassed."""
    limit = cluster.spec.timeouts.query
    ((position,),) = await postgres.query(straight(cluster, primary), _POSITION, limit)
    statement = f"SELECT coalesce(pg_last_wal_replay_lsn() >= '{position}'::pg_lsn, NOT pg_is_in_recovery())"
    nodes = [node.name for node in cluster.spec.nodes if node.name != primary]

    async def lacks(node: str) -> str | None:
        try:
            ((is_there,),) = await postgres.query(straight(cluster, node), statement, limit)
        except errors.PoolkeeperError as e:
            return e.message
        return None if is_there else f"{node} has not replayed {position}"

    async def look() -> str | None:
        missing = [found for found in await asyncio.gather(*map(lacks, nodes)) if found]
        return "; ".join(missing) or None

    await wait.wait_until("replay on every standby", look, seconds=seconds)
