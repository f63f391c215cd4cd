"""Every database user by every witness: PostgreSQL, `pool_passwd`, and each Pgpool's own copy. It changes nothing.

Passwords are decrypted to be compared with PostgreSQL's verifiers; they stay in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.decide import user_checks as decide
from poolkeeper.model.database_users import DatabaseRole, UserRow
from poolkeeper.model.observed import Seen
from poolkeeper.model.pool_passwd import PoolPasswd
from poolkeeper.operations import user_access
from poolkeeper.system import database_roles


def survey(cluster: Cluster) -> list[UserRow]:
    """Every user, by name. Raises ClusterNotUp where the cluster was never started."""
    return asyncio.run(_survey(cluster.with_passwords()))


async def _survey(cluster: Cluster) -> list[UserRow]:
    users = await snapshot.observe(_read_file(cluster))
    known, passwords, copies = await asyncio.gather(
        snapshot.observe(_read_roles(cluster)),
        snapshot.observe(user_access.decrypt(cluster, users.value or PoolPasswd())),
        asyncio.gather(
            *(snapshot.observe(user_access.read_copy(name)) for name in cluster.endpoint_containers.values())
        ),
    )
    seen = decide.UserSources(
        roles=known,
        entries=Seen(users.value.entries) if users.value else Seen(error=users.error),
        passwords=passwords,
        endpoints=dict(zip(cluster.endpoint_containers, copies, strict=True)),
    )
    return decide.rows(cluster.spec.roles, seen)


async def _read_file(cluster: Cluster) -> PoolPasswd:
    return user_access.read_pool_passwd(cluster)


async def _read_roles(cluster: Cluster) -> Mapping[str, DatabaseRole]:
    """From the primary; where there is none now, a standby knows them too."""
    primary = await snapshot.observe(user_access.find_primary(cluster))
    error = primary.error
    for node in [primary.value] if primary.value else [node.name for node in cluster.spec.nodes]:
        found = await snapshot.observe(_read_roles_on(cluster, node))
        if found.value is not None:
            return found.value
        error = found.error
    raise errors.Unreachable(error)


async def _read_roles_on(cluster: Cluster, node: str) -> Mapping[str, DatabaseRole]:
    async with database_roles.administer(cluster.node(node, "superuser"), cluster.query_limit) as session:
        return await database_roles.read_roles(session)
