"""What the user commands need of a running cluster: its primary, its Pgpools' user list, and proof by logging in.

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
from poolkeeper.core.wait import wait_until
from poolkeeper.decide import drift
from poolkeeper.model import pool_passwd
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import Seen, Snapshot
from poolkeeper.model.pool_passwd import PoolPasswd
from poolkeeper.system import compose, database_roles, postgres, state

STATEMENT_SECONDS = 30  # CREATE DATABASE copies files and waits for its quorum
FAILOVER_SECONDS = 30  # a primary may be just changing while something is taken back
LOGIN_SECONDS = 20  # from Pgpool's reload until every login is as it must be; a standby may be behind
LOGINS = 3  # in a row through an endpoint: each is served by any of its processes, and each process reloads by itself
ENDPOINTS = ("rw", "ro", "balanced")


async def require_endpoints(cluster: Cluster) -> None:
    """Every Pgpool must run and answer, or a user would be changed in some only. Raises ClusterNotUp, Unreachable."""
    spec, containers = cluster.spec, await snapshot.observe_containers(cluster.spec)
    for service, name in cluster.endpoint_containers.items():
        if service not in containers or not containers[service].is_running:
            condition = containers[service].state if service in containers else "missing"
            raise errors.ClusterNotUp(
                f"{name} is {condition}, and a user is changed in all three Pgpools or in none; nothing was changed",
                hint="`poolkeeper up` brings it back.",
            )
    for key, endpoint in (await snapshot.observe_endpoints(cluster, cluster.query_limit)).items():
        if not endpoint.is_known:
            raise errors.Unreachable(
                f"the endpoint {key} ({getattr(spec.endpoints, key).port}) does not answer, so that a login through it can't "
                f"be proved; nothing was changed: {endpoint.error}",
                hint="`poolkeeper status` shows every witness.",
            )


async def find_primary(cluster: Cluster) -> str:
    """The node that both Patroni's lease and PostgreSQL itself call the primary. Raises Unreachable."""
    views = await snapshot.observe_patroni(cluster.spec, cluster.query_limit)
    view = drift.patroni_view(Snapshot(at="", patroni=views))
    if not view or not view.leader:
        raise errors.Unreachable("there is no primary now", hint="`poolkeeper status` shows every witness.")
    dsn = cluster.node(view.leader)
    if (await postgres.query(dsn, "SELECT pg_is_in_recovery()", cluster.query_limit))[0][0]:
        raise errors.Unreachable(f"{view.leader} is just being promoted", hint="Try again.")
    return view.leader


@asynccontextmanager
async def on_primary(cluster: Cluster) -> AsyncIterator[postgres.Session]:
    """A superuser's session on the primary."""
    dsn = cluster.node(await find_primary(cluster), "superuser")
    async with database_roles.administer(dsn, STATEMENT_SECONDS) as session:
        yield session


@asynccontextmanager
async def back_on_primary(cluster: Cluster) -> AsyncIterator[postgres.Session]:
    """The same for taking something back: waits for a primary, and does not wait for a quorum."""
    found: list[str] = []

    async def look() -> str | None:
        seen = await snapshot.observe(find_primary(cluster))
        found[:] = [seen.value] if seen.value else []
        return None if seen.value else seen.error

    await wait_until("a primary's return", look, seconds=FAILOVER_SECONDS)
    dsn = cluster.node(found[0], "superuser")
    async with database_roles.administer(dsn, STATEMENT_SECONDS, wait_for_standbys=False) as session:
        yield session


async def end_sessions(cluster: Cluster, role_oid: int) -> None:
    """End a role's sessions on every node that answers (another has none left); Pgpool's cached ones are among them."""
    for node in cluster.spec.nodes:
        with contextlib.suppress(errors.Unreachable):
            async with database_roles.administer(cluster.node(node.name, "superuser"), cluster.query_limit) as session:
                await database_roles.end_sessions(session, role_oid)


def read_pool_passwd(cluster: Cluster) -> PoolPasswd:
    """The file. Raises ClusterNotUp if there is none."""
    try:
        return pool_passwd.parse(cluster.folder.pool_passwd.read_text())
    except FileNotFoundError as e:
        raise errors.ClusterNotUp("the cluster has no pool_passwd", hint="`poolkeeper up` makes it.") from e
    except (OSError, UnicodeDecodeError) as e:
        raise errors.PermissionRefused(f"cannot read {cluster.folder.pool_passwd}: {e}") from e


async def publish(cluster: Cluster, users: PoolPasswd) -> None:
    """Write pool_passwd, and have every Pgpool read it. Raises EngineFailed; reading is not over when this returns."""
    state.write(cluster.folder.pool_passwd, users.text)
    # Together: until the last one has read it, a changed password is refused by some. All have ended before a failure
    # goes on, so that no late reload meets the way back.
    reloads = (
        in_thread(compose.execute, container, ["reload.sh"]) for container in cluster.endpoint_containers.values()
    )
    for outcome in await asyncio.gather(*reloads, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def publish_back(cluster: Cluster, users: PoolPasswd) -> None:
    """Write an older pool_passwd again and tell every Pgpool; one that is stopped reads it at its start.

    Raises DatabaseUserError with those that could not be told: they may go on with the list that was taken back.
    """
    state.write(cluster.folder.pool_passwd, users.text)
    containers = await snapshot.observe_containers(cluster.spec)
    untold = []
    for service, name in cluster.endpoint_containers.items():
        try:
            if service in containers and containers[service].state != "exited":
                await in_thread(compose.execute, name, ["reload.sh"])
        except errors.PoolkeeperError:
            untold.append(f"{name} ({containers[service].state})")
    if untold:
        raise errors.DatabaseUserError(
            f"the file is as it was, but {', '.join(untold)} could not be told to read it again; "
            "once it runs, `docker exec CONTAINER reload.sh` tells it"
        )


async def encrypt(cluster: Cluster, name: str, password: str) -> str:
    """A user's entry, made by Pgpool's own tool. Raises EngineFailed."""
    said = await in_thread(_execute, cluster.pool_container, "encrypt_password.sh", f"{name}:{password}\n")
    entry = pool_passwd.parse(said).entries.get(name, "")
    mistake = pool_passwd.entry_mistake(entry)
    if mistake:
        raise errors.EngineFailed(f"pg_enc in {cluster.pool_container} made no usable entry for {name}: {mistake}")
    return entry


async def decrypt(cluster: Cluster, users: PoolPasswd) -> Mapping[str, str]:
    """User → password, for each entry that the cluster's key opens. Raises EngineFailed."""
    said = await in_thread(_execute, cluster.pool_container, "decrypt_passwords.sh", users.text)
    pairs = (line.split(":", 1) for line in said.splitlines())
    return {name: base64.b64decode(password).decode(errors="replace") for name, password in pairs}


async def read_copy(container: str) -> Mapping[str, str]:
    """The entries that a Pgpool took at its last reload. Raises EngineFailed."""
    return pool_passwd.parse(await in_thread(compose.execute, container, ["cat", "/run/pgpool/pool_passwd"])).entries


def _execute(container: str, program: str, stdin: str) -> str:
    return compose.execute(container, [program], stdin=stdin)


async def wait_accepted(cluster: Cluster, name: str, password: str, database: str, times: int = LOGINS) -> None:
    """Until every endpoint logs the user in, so many times in a row. Raises DeadlinePassed with the last refusal."""
    for endpoint in ENDPOINTS:
        dsn = cluster.endpoint_as(endpoint, name, password, database)

        async def look(dsn: Dsn = dsn) -> str | None:
            for _ in range(times):
                answer = await _log_in(dsn, cluster.query_limit)
                if not answer.is_known:
                    return answer.error
            return None

        await wait_until(f"a login as {name} through {dsn.port}", look, seconds=LOGIN_SECONDS)


async def wait_refused(cluster: Cluster, name: str, password: str) -> None:
    """Until every endpoint refuses the password, so many times in a row. Raises DeadlinePassed."""
    for endpoint in ENDPOINTS:
        dsn = cluster.endpoint_as(endpoint, name, password, "postgres")

        async def look(dsn: Dsn = dsn) -> str | None:
            for _ in range(LOGINS):
                answer = await _log_in(dsn, cluster.query_limit)
                if answer.is_known:
                    return "it was let in"
                if "authentication failed" not in answer.error:
                    return answer.error
            return None

        await wait_until(f"the refusal of {name}'s former password through {dsn.port}", look, seconds=LOGIN_SECONDS)


async def _log_in(dsn: Dsn, limit: float) -> Seen[list[postgres.Row]]:
    return await snapshot.observe(postgres.query(dsn, "SELECT 1", limit))
