"""The drill's writer at the read-write endpoint, its table, and the final contents of that table.

Invariant: every statement writes a unique id into a table without any constraint. A statement that ran twice therefore
shows as a duplicate instead of being refused. The id identifies the round; no id is ever written again.
"""

from __future__ import annotations

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.system import postgres
from poolkeeper_lab.drill import drill_client

TABLE = "poolkeeper_drill"


def endpoint(cluster: Cluster) -> drill_client.ClientEndpoint:
    """Return the read-write endpoint as the application's role."""
    return drill_client.ClientEndpoint(RW, cluster.endpoint(RW, "app", cluster.spec.roles.app_database), _insert)


def _insert(number: int) -> str:
    return f"INSERT INTO {TABLE} (id) VALUES ({number:d}) RETURNING {postgres.SERVED_BY}"


def _straight(cluster: Cluster, node: str) -> Dsn:
    return cluster.node(node, "app", cluster.spec.roles.app_database)


async def prepare(cluster: Cluster, primary: str) -> None:
    """Create the empty table.

    Raises:
        ServerRefused: if the primary refuses a statement.
        Unreachable: if the primary does not answer.
    """
    async with postgres.session(_straight(cluster, primary), cluster.spec.timeouts.query) as opened:
        await opened.rows(f"DROP TABLE IF EXISTS {TABLE}")
        await opened.rows(
            f"CREATE TABLE {TABLE} (id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )


async def clear(cluster: Cluster, primary: str) -> None:
    """Drop the table; raises the same errors as `prepare`."""
    await postgres.query(_straight(cluster, primary), f"DROP TABLE IF EXISTS {TABLE}", cluster.spec.timeouts.query)


async def stored(cluster: Cluster, primary: str, first: int, beyond: int) -> dict[int, int]:
    """Return how often the primary has each id, of the ids from `first` to before `beyond`."""
    query = f"SELECT id, count(*) FROM {TABLE} WHERE id >= {first:d} AND id < {beyond:d} GROUP BY id"
    rows = await postgres.query(_straight(cluster, primary), query, 60)
    return {int(number): int(times) for number, times in rows}
