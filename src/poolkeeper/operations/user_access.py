"""The user commands' access to a running cluster: its primary, Pgpool-II's user list, and logins as a proof.

Invariant: a password leaves this process by standard input or inside a SCRAM exchange only.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.interrupts import in_thread
from poolkeeper.core.wait import NotYet, wait_for
from poolkeeper.decide import drift
from poolkeeper.model import endpoint_keys, pool_passwd
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import Seen, Snapshot
from poolkeeper.model.pool_passwd import PoolPasswd
from poolkeeper.operations import operation
from poolkeeper.system import compose, database_roles, postgres, state

STATEMENT_SECONDS = 30  # CREATE DATABASE copies files and waits for its quorum
FAILOVER_SECONDS = 30  # the primary may be changing while a step is rolled back
LOGIN_SECONDS = 20  # from Pgpool-II's reload until every login has its new result; a standby may be behind
LOGINS = 3  # in a row through an endpoint: any of its processes serves one, and each process reloads on its own


async def require_endpoints(cluster: Cluster) -> None:
    """Check that every Pgpool-II runs and answers; otherwise a user would be changed in some of them only.

    Raises:
        ClusterNotUp: the container of a Pgpool-II does not run.
        Unreachable: an endpoint does not answer.
    """
    spec, containers = cluster.spec, await snapshot.observe_containers(cluster.spec)
    for service, name in cluster.endpoint_containers.items():
        if service not in containers or not containers[service].is_running:
            condition = containers[service].state if service in containers else "missing"
            raise errors.ClusterNotUp(
                f"{name} is {condition}, and a user is changed in all three Pgpool-II services or in none; "
                "nothing was changed",
                hint="`poolkeeper up` brings it back.",
            )
    for key, endpoint in (await snapshot.observe_endpoints(cluster, cluster.query_limit)).items():
        if not endpoint.is_known:
            raise errors.Unreachable(
                f"the endpoint {key} ({getattr(spec.endpoints, key).port}) does not answer, so no login through it "
                f"can be tested; nothing was changed: {endpoint.error}",
                hint=operation.STATUS_HINT,
            )


async def find_primary(cluster: Cluster) -> str:
    """Return the node that is the primary by Patroni's lease and by PostgreSQL itself.

    Raises:
        Unreachable: there is no such node now.
    """
    views = await snapshot.observe_patroni(cluster.spec, cluster.query_limit)
    view = drift.patroni_view(Snapshot(at="", patroni=views))
    if not view or not view.leader:
        raise errors.Unreachable("there is no primary now", hint=operation.STATUS_HINT)
    dsn = cluster.node(view.leader)
    if (await postgres.query(dsn, "SELECT pg_is_in_recovery()", cluster.query_limit))[0][0]:
        raise errors.Unreachable(f"{view.leader} is just being promoted", hint="Try again.")
    return view.leader


@asynccontextmanager
async def on_primary(cluster: Cluster) -> AsyncIterator[postgres.Session]:
    """Open a superuser's session on the primary.

    Raises:
        Unreachable: there is no primary now.
    """
    dsn = cluster.node(await find_primary(cluster), "superuser")
    async with database_roles.administer(dsn, STATEMENT_SECONDS) as session:
        yield session


@asynccontextmanager
async def rollback_on_primary(cluster: Cluster) -> AsyncIterator[postgres.Session]:
    """Open the same session for a rollback: it waits for a primary, and its commits do not wait for the quorum.

    Raises:
        DeadlinePassed: there was no primary for FAILOVER_SECONDS.
    """

    async def check() -> str:
        seen = await snapshot.observe(find_primary(cluster))
        if not seen.value:
            raise NotYet(seen.error)
        return seen.value

    primary = await wait_for("a primary's return", check, seconds=FAILOVER_SECONDS)
    dsn = cluster.node(primary, "superuser")
    async with database_roles.administer(dsn, STATEMENT_SECONDS, wait_for_standbys=False) as session:
        yield session


async def end_sessions(cluster: Cluster, role_oid: int) -> None:
    """End a role's sessions, Pgpool-II's cached ones included, on every node that answers; others have none left."""
    for node in cluster.spec.nodes:
        with contextlib.suppress(errors.Unreachable):
            async with database_roles.administer(cluster.node(node.name, "superuser"), cluster.query_limit) as session:
                await database_roles.end_sessions(session, role_oid)


def read_pool_passwd(cluster: Cluster) -> PoolPasswd:
    """Return the contents of pool_passwd.

    Raises:
        ClusterNotUp: there is no such file.
        PermissionRefused: it cannot be read.
    """
    try:
        return pool_passwd.parse(cluster.folder.pool_passwd.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise errors.ClusterNotUp("the cluster has no pool_passwd", hint="`poolkeeper up` writes it.") from e
    except (OSError, UnicodeDecodeError) as e:
        raise errors.PermissionRefused(f"cannot read {cluster.folder.pool_passwd}: {e}") from e


async def publish(cluster: Cluster, users: PoolPasswd) -> None:
    """Write pool_passwd and make every Pgpool-II reload it; the reload may still be under way when this returns.

    Raises:
        EngineFailed: a reload failed.
    """
    state.write(cluster.folder.pool_passwd, users.text)
    # All at once: until the last one has reloaded, some refuse a changed password. All have ended before a failure is
    # raised, so that no late reload meets the rollback.
    reloads = (
        in_thread(compose.execute, container, ["reload.sh"]) for container in cluster.endpoint_containers.values()
    )
    for outcome in await asyncio.gather(*reloads, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def publish_back(cluster: Cluster, users: PoolPasswd) -> None:
    """Write an older pool_passwd again and make every Pgpool-II reload it; a stopped one reads it at its start.

    Raises:
        DatabaseUserError: a reload failed. It lists the containers that may still use the list that was rolled back.
    """
    state.write(cluster.folder.pool_passwd, users.text)
    containers = await snapshot.observe_containers(cluster.spec)
    not_reloaded = []
    for service, name in cluster.endpoint_containers.items():
        try:
            if service in containers and containers[service].state != "exited":
                await in_thread(compose.execute, name, ["reload.sh"])
        except errors.PoolkeeperError:
            not_reloaded.append(f"{name} ({containers[service].state})")
    if not_reloaded:
        raise errors.DatabaseUserError(
            f"the file is as it was, but {', '.join(not_reloaded)} did not reload it; "
            "once it runs, `docker exec CONTAINER reload.sh` reloads it"
        )


async def encrypt(cluster: Cluster, name: str, password: str) -> str:
    """Return a user's entry of pool_passwd, encrypted by Pgpool-II's own tool.

    Raises:
        EngineFailed: the tool failed, or its entry is not usable.
    """
    output = await in_thread(_execute, cluster.pool_container, "encrypt_password.sh", f"{name}:{password}\n")
    entry = pool_passwd.parse(output).entries.get(name, "")
    mistake = pool_passwd.entry_mistake(entry)
    if mistake:
        raise errors.EngineFailed(f"pg_enc in {cluster.pool_container} made no usable entry for {name}: {mistake}")
    return entry


async def decrypt(cluster: Cluster, users: PoolPasswd) -> Mapping[str, str]:
    """Return the password of each user whose entry the cluster's key decrypts, by user.

    Raises:
        EngineFailed: the tool in the container failed.
    """
    output = await in_thread(_execute, cluster.pool_container, "decrypt_passwords.sh", users.text)
    pairs = (line.split(":", 1) for line in output.splitlines())
    return {name: base64.b64decode(password).decode(errors="replace") for name, password in pairs}


async def read_copy(container: str) -> Mapping[str, str]:
    """Return the entries that a Pgpool-II read at its last reload.

    Raises:
        EngineFailed: the container does not run.
    """
    return pool_passwd.parse(await in_thread(compose.execute, container, ["cat", "/run/pgpool/pool_passwd"])).entries


def _execute(container: str, program: str, stdin: str) -> str:
    return compose.execute(container, [program], stdin=stdin)


async def wait_accepted(cluster: Cluster, name: str, password: str, database: str, times: int = LOGINS) -> None:
    """Wait until every endpoint logs the user in, `times` times in a row.

    Raises:
        DeadlinePassed: an endpoint still refuses the login; the message ends with its last refusal.
    """
    for endpoint in endpoint_keys.POOLED:
        dsn = cluster.endpoint_as(endpoint, name, password, database)

        async def check(dsn: Dsn = dsn) -> None:
            for _ in range(times):
                answer = await _log_in(dsn, cluster.query_limit)
                if not answer.is_known:
                    raise NotYet(answer.error)

        await wait_for(f"a login as {name} through {dsn.port}", check, seconds=LOGIN_SECONDS)


async def wait_refused(cluster: Cluster, name: str, password: str) -> None:
    """Wait until every endpoint refuses the password, LOGINS times in a row.

    Raises:
        DeadlinePassed: an endpoint still accepts it, or fails in another way.
    """
    for endpoint in endpoint_keys.POOLED:
        dsn = cluster.endpoint_as(endpoint, name, password, "postgres")

        async def check(dsn: Dsn = dsn) -> None:
            for _ in range(LOGINS):
                answer = await _log_in(dsn, cluster.query_limit)
                if answer.is_known:
                    raise NotYet("the login succeeded")
                if "authentication failed" not in answer.error:
                    raise NotYet(answer.error)

        await wait_for(f"the refusal of {name}'s former password through {dsn.port}", check, seconds=LOGIN_SECONDS)


async def _log_in(dsn: Dsn, limit: float) -> Seen[list[postgres.Row]]:
    return await snapshot.observe(postgres.query(dsn, "SELECT 1", limit))
