"""The writer at the read-write endpoint, its table, and what is in that table in the end.

Invariant: every statement writes an id of its own into a table without any constraint, so that a statement that was
executed twice is seen as a duplicate instead of being refused. The id tells the round; nothing is ever written again.
"""

from __future__ import annotations

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres
from poolkeeper_lab.drill import drill_client

TABLE = "poolkeeper_drill"


def endpoint(cluster: Cluster) -> drill_client.ClientEndpoint:
    """The read-write endpoint as the application's role."""
    return drill_client.ClientEndpoint("rw", cluster.endpoint("rw", "app", cluster.spec.roles.app_database), _insert)


def _insert(number: int) -> str:
    return f"INSERT INTO {TABLE} (id) VALUES ({number:d}) RETURNING {postgres.SERVED_BY}"


def _straight(cluster: Cluster, node: str) -> Dsn:
    return cluster.node(node, "app", cluster.spec.roles.app_database)


async def prepare(cluster: Cluster, primary: str) -> None:
    """Make the table, empty. Raises as `postgres.query` does."""
    async with postgres.session(_straight(cluster, primary), cluster.spec.timeouts.query) as opened:
        await opened.rows(f"DROP TABLE IF EXISTS {TABLE}")
        await opened.rows(
            f"CREATE TABLE {TABLE} (id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )


async def clear(cluster: Cluster, primary: str) -> None:
    """Drop the table."""
    await postgres.query(_straight(cluster, primary), f"DROP TABLE IF EXISTS {TABLE}", cluster.spec.timeouts.query)


async def stored(cluster: Cluster, primary: str, first: int, beyond: int) -> dict[int, int]:
    """Id → how often the primary has it, of the ids from `first` to before `beyond`."""
    query = f"SELECT id, count(*) FROM {TABLE} WHERE id >= {first:d} AND id < {beyond:d} GROUP BY id"
    rows = await postgres.query(_straight(cluster, primary), query, 60)
    return {int(number): int(times) for number, times in rows}
