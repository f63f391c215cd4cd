"""`user`: database users: the role in PostgreSQL and its entry in Pgpool-II's `pool_passwd`, changed as one.

Invariant: when a call returns, the change is complete, and logins through all three endpoints have proved it. When a
call raises, completed steps were rolled back, and the error lists the result of each. Open sessions continue, except
those of a user that is dropped. `list_users` changes nothing, and the passwords that it decrypts stay in this process.

Not promised: that no client is refused while a password changes; PostgreSQL and Pgpool-II cannot change at one moment.
"""

from __future__ import annotations

import asyncio
import secrets
import string
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster, write_pgpass
from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper.core.rollback import Rollback, all_or_nothing
from poolkeeper.decide import user_checks
from poolkeeper.model.database_users import DatabaseRole, UserRow
from poolkeeper.model.observed import Seen
from poolkeeper.model.pool_passwd import PoolPasswd
from poolkeeper.operations import user_access
from poolkeeper.system import database_roles, state
from poolkeeper.system.postgres import Session

_LIST = "`poolkeeper user list` shows every user."


def generate_password() -> str:
    """Return 24 letters and digits, 142 random bits; they need no quotes anywhere."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(24))


def check_password(password: str) -> None:
    """Check that PostgreSQL and Pgpool-II can use a password.

    Raises:
        DatabaseUserError: they cannot; the message does not contain the password.
    """
    if mistake := user_checks.password_mistake(password):
        raise errors.DatabaseUserError(mistake, hint="Choose another one, or use --generate.")


def check_name(cluster: Cluster, name: str, *, app_too: bool = False) -> None:
    """Check that a name can be a user's, and that it is none of the cluster's own roles.

    With `app_too`, the application's role passes.

    Raises:
        DatabaseUserError: the name is not allowed.
    """
    if mistake := user_checks.user_name_mistake(name):
        raise errors.DatabaseUserError(mistake)
    purpose = user_checks.own(cluster.spec.roles).get(name)
    if purpose and not (app_too and name == cluster.spec.roles.app):
        raise errors.DatabaseUserError(
            f"{name} is {purpose}, which the cluster itself needs; this command does not change it",
            hint=f"Of the cluster's own roles, only {cluster.spec.roles.app} can get another password.",
        )


def add(cluster: Cluster, name: str, password: str, database: str | None, progress: Progress) -> None:
    """Add a user, and with `database` a database that it owns.

    Raises:
        DatabaseUserError: the name, the password or the database is not allowed, or exists already.
        PoolkeeperError: any other one; nothing of the user is left then.
    """
    check_name(cluster, name)
    check_password(password)
    if database and (mistake := user_checks.database_name_mistake(database)):
        raise errors.DatabaseUserError(mistake)
    _changing(cluster, progress, lambda cluster, rollback: _add(cluster, rollback, name, password, database))


def change_password(cluster: Cluster, name: str, password: str, progress: Progress) -> None:
    """Change a user's password; a user that only PostgreSQL has gets its entry in pool_passwd.

    Raises:
        DatabaseUserError: there is no such user, or the password is not allowed.
        PoolkeeperError: any other one; the former password is in force then.
    """
    check_name(cluster, name, app_too=True)
    check_password(password)
    _changing(cluster, progress, lambda cluster, rollback: _change_password(cluster, rollback, name, password))


def drop(cluster: Cluster, name: str, database: str | None, progress: Progress) -> None:
    """Drop a user from PostgreSQL and from pool_passwd, and end its sessions.

    `database`, which the user must own, is dropped with everything in it: the one step that cannot be rolled back.

    Raises:
        DatabaseUserError: there is no such user, or something in PostgreSQL depends on it.
        PoolkeeperError: any other one; its detail lists the result of each step.
    """
    check_name(cluster, name)
    _changing(cluster, progress, lambda cluster, rollback: _drop(cluster, rollback, name, database))


def list_users(cluster: Cluster) -> list[UserRow]:
    """Return every database user by name, with the differences between PostgreSQL, pool_passwd and each Pgpool-II.

    A source that does not answer leaves its columns undecided.

    Raises:
        ClusterNotUp: the cluster was never started.
    """
    return asyncio.run(_list_users(cluster.with_passwords()))


def _changing(
    cluster: Cluster, progress: Progress, work: Callable[[Cluster, Rollback], Coroutine[Any, Any, None]]
) -> None:
    """Run one change under the cluster's lock; roll all of its steps back if one fails."""

    async def change() -> None:
        opened = cluster.with_passwords()
        with progress.step("checking the three Pgpool-II services"):
            await user_access.require_endpoints(opened)
        async with all_or_nothing(progress) as rollback:
            await work(opened, rollback)

    with state.lock(cluster.folder):
        interrupts.run(change())


async def _add(cluster: Cluster, rollback: Rollback, name: str, password: str, database: str | None) -> None:
    users = user_access.read_pool_passwd(cluster)
    async with user_access.on_primary(cluster) as session:
        await _check_new(session, users, name, database)
        entry = await user_access.encrypt(cluster, name, password)
        with rollback.step(f"creating the role {name}", lambda: _remove_role(cluster, name)):
            await database_roles.create_role(session, name, password)
        if database:
            with rollback.step(f"creating the database {database}", lambda: _remove_database(cluster, database)):
                await database_roles.create_database(session, database, name)
    await _publish(cluster, rollback, users, users.with_entry(name, entry))
    with rollback.progress.step("logging in through every endpoint"):
        await user_access.wait_accepted(cluster, name, password, "postgres")
        if database:
            await user_access.wait_accepted(cluster, name, password, database, times=1)


async def _check_new(session: Session, users: PoolPasswd, name: str, database: str | None) -> None:
    if name in await database_roles.read_roles(session):
        raise errors.DatabaseUserError(
            f"PostgreSQL has a role {name} already", hint=f"`poolkeeper user passwd {name}`?"
        )
    if name in users.entries:
        hint = f"`poolkeeper user drop {name}` removes it."
        raise errors.DatabaseUserError(
            f"pool_passwd has an entry of {name} already, and PostgreSQL no such role", hint=hint
        )
    if database and await database_roles.is_keyword(session, database):
        raise errors.DatabaseUserError(
            f"{database} is a word of SQL and would need quotes in each statement; choose another"
        )
    if database and (owner := await database_roles.owner_of(session, database)):
        raise errors.DatabaseUserError(f"there is a database {database} already; {owner} owns it")


async def _change_password(cluster: Cluster, rollback: Rollback, name: str, password: str) -> None:
    users = user_access.read_pool_passwd(cluster)
    async with user_access.on_primary(cluster) as session:
        before = _existing(await database_roles.read_roles(session), users, name)
        former = (await _passwords(cluster, users)).get(name)
        entry = await user_access.encrypt(cluster, name, password)
        with rollback.step(
            f"changing the password of {name} in PostgreSQL", lambda: _restore_verifier(cluster, before)
        ):
            await database_roles.set_password(session, name, password)
    await _publish(cluster, rollback, users, users.with_entry(name, entry))
    if name == cluster.spec.roles.app:
        kept = cluster.passwords["app"]
        with rollback.step("writing it to secrets/app and pgpass", lambda: _keep_app_password(cluster, kept)):
            await _keep_app_password(cluster, password)
    with rollback.progress.step("logging in through every endpoint"):
        await user_access.wait_accepted(cluster, name, password, "postgres")
    if former and former != password:
        with rollback.progress.step("checking that every endpoint refuses the former password"):
            await user_access.wait_refused(cluster, name, former)


def _existing(known: dict[str, DatabaseRole], users: PoolPasswd, name: str) -> DatabaseRole:
    if name not in known:
        if name in users.entries:
            hint = f"`poolkeeper user drop {name}` removes it; then add it again."
            raise errors.DatabaseUserError(f"{name} is in pool_passwd only: PostgreSQL has no such role", hint=hint)
        raise errors.DatabaseUserError(f"there is no user {name}", hint=_LIST)
    if not known[name].can_login:
        raise errors.DatabaseUserError(
            f"PostgreSQL does not let {name} log in", hint=f"By SQL: ALTER ROLE {name} LOGIN"
        )
    return known[name]


async def _drop(cluster: Cluster, rollback: Rollback, name: str, database: str | None) -> None:
    users = user_access.read_pool_passwd(cluster)
    former = (await _passwords(cluster, users)).get(name, generate_password())
    async with user_access.on_primary(cluster) as session:
        role = (await database_roles.read_roles(session)).get(name)
        await _check_droppable(session, role, users, name, database)
        if name in users.entries:
            await _publish(cluster, rollback, users, users.without(name))
            with rollback.progress.step("checking that no endpoint accepts it"):
                await user_access.wait_refused(cluster, name, former)
        if role is None:
            return
        with rollback.step(f"disabling logins of {name}", lambda: _restore_login(cluster, role)):
            await database_roles.let_login(session, name, False)
        with rollback.progress.step("ending its sessions on every node"):
            await user_access.end_sessions(cluster, role.oid)
        if database:
            with rollback.step(f"dropping the database {database}", _cannot_roll_back):
                await database_roles.drop_database(session, database)
        with rollback.step(f"dropping the role {name}", _cannot_roll_back):
            await database_roles.drop_role(session, name)
        # A standby that had not replayed the drop yet may have accepted a login.
        await user_access.end_sessions(cluster, role.oid)


async def _check_droppable(
    session: Session, role: DatabaseRole | None, users: PoolPasswd, name: str, database: str | None
) -> None:
    if role is None and name not in users.entries:
        raise errors.DatabaseUserError(f"there is no user {name}", hint=_LIST)
    if database and (owner := await database_roles.owner_of(session, database)) != name:
        raise errors.DatabaseUserError(
            f"{owner} owns the database {database}, not {name}" if owner else f"there is no database {database}"
        )
    kept_by = await database_roles.dependents(session, name, database)
    if kept_by:
        raise errors.DatabaseUserError(
            f"{name} cannot be dropped: something in PostgreSQL depends on it",
            detail="\n".join(f"  {line}" for line in kept_by),
            hint=f"--database DB drops a database that it owns. The rest, in each database, by SQL: "
            f"REASSIGN OWNED BY {name} TO …; DROP OWNED BY {name}",
        )


async def _publish(cluster: Cluster, rollback: Rollback, before: PoolPasswd, after: PoolPasswd) -> None:
    with rollback.step(
        "writing pool_passwd and reloading the three Pgpool-II services",
        lambda: user_access.publish_back(cluster, before),
    ):
        await user_access.publish(cluster, after)


async def _passwords(cluster: Cluster, users: PoolPasswd) -> dict[str, str]:
    """Return the passwords that can be decrypted: only to prove later that the endpoints refuse them."""
    return dict((await snapshot.observe(user_access.decrypt(cluster, users))).value or {})


async def _remove_role(cluster: Cluster, name: str) -> None:
    async with user_access.rollback_on_primary(cluster) as session:
        role = (await database_roles.read_roles(session)).get(name)
        if role:
            await user_access.end_sessions(cluster, role.oid)
            await database_roles.drop_role(session, name)


async def _remove_database(cluster: Cluster, name: str) -> None:
    async with user_access.rollback_on_primary(cluster) as session:
        await database_roles.drop_database(session, name)


async def _restore_verifier(cluster: Cluster, before: DatabaseRole) -> None:
    async with user_access.rollback_on_primary(cluster) as session:
        await database_roles.set_verifier(session, before.name, before.verifier)


async def _restore_login(cluster: Cluster, before: DatabaseRole) -> None:
    async with user_access.rollback_on_primary(cluster) as session:
        await database_roles.let_login(session, before.name, before.can_login)


async def _cannot_roll_back() -> None:
    raise errors.DatabaseUserError("a drop cannot be rolled back; it may have happened")


async def _keep_app_password(cluster: Cluster, password: str) -> None:
    state.write(cluster.folder.secrets / "app", password)
    write_pgpass(cluster)


async def _list_users(cluster: Cluster) -> list[UserRow]:
    users = await snapshot.observe(_read_file(cluster))
    known, passwords, copies = await asyncio.gather(
        snapshot.observe(_read_roles(cluster)),
        snapshot.observe(user_access.decrypt(cluster, users.value or PoolPasswd())),
        asyncio.gather(
            *(snapshot.observe(user_access.read_copy(name)) for name in cluster.endpoint_containers.values())
        ),
    )
    sources = user_checks.UserSources(
        roles=known,
        entries=Seen(users.value.entries) if users.value else Seen(error=users.error),
        passwords=passwords,
        endpoints=dict(zip(cluster.endpoint_containers, copies, strict=True)),
    )
    return user_checks.rows(cluster.spec.roles, sources)


async def _read_file(cluster: Cluster) -> PoolPasswd:
    return user_access.read_pool_passwd(cluster)


async def _read_roles(cluster: Cluster) -> Mapping[str, DatabaseRole]:
    """Read the roles on the primary, or on a standby while there is no primary."""
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
