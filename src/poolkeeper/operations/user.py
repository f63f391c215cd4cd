"""Database users: the role in PostgreSQL, its entry in Pgpool's `pool_passwd`, and the reload, as one thing.

Invariant: when a call returns, all of it is done and proved by logins through all three endpoints; when it raises, what was
done is taken back, and the error says what became of each step. Sessions that are open go on, but for those of a user
that is dropped. Not promised: that no client is refused while a password changes; two sides can't change at once.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Coroutine
from typing import Any

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster, write_pgpass
from poolkeeper.core import errors
from poolkeeper.core.interrupts import run
from poolkeeper.core.progress import Progress
from poolkeeper.core.rollback import Rollback, all_or_nothing
from poolkeeper.decide import user_checks as decide
from poolkeeper.model.database_users import DatabaseRole
from poolkeeper.model.pool_passwd import PoolPasswd
from poolkeeper.operations import user_access
from poolkeeper.system import database_roles, state
from poolkeeper.system.postgres import Session

_LIST = "`poolkeeper user list` shows every user."


def generate_password() -> str:
    """24 letters and digits, 142 random bits, that need no quotes anywhere."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(24))


def check_password(password: str) -> None:
    """Raises DatabaseUserError for a password that can't be used; the message does not hold it."""
    if mistake := decide.password_mistake(password):
        raise errors.DatabaseUserError(mistake, hint="Choose another one, or let --generate make it.")


def check_name(cluster: Cluster, name: str, *, app_too: bool = False) -> None:
    """Raises DatabaseUserError for a name that can't be, and for the cluster's own roles (`app_too`: but for the app's)."""
    if mistake := decide.name_mistake(name):
        raise errors.DatabaseUserError(mistake)
    purpose = decide.own(cluster.spec.roles).get(name)
    if purpose and not (app_too and name == cluster.spec.roles.app):
        raise errors.DatabaseUserError(
            f"{name} is {purpose}, which the cluster itself needs; it is not changed here",
            hint=f"Of the cluster's own roles, only {cluster.spec.roles.app} can be given another password.",
        )


def add(cluster: Cluster, name: str, password: str, database: str | None, progress: Progress) -> None:
    """A new user, and a database that it owns. Raises any PoolkeeperError, then nothing is left of it."""
    check_name(cluster, name)
    check_password(password)
    if database and (mistake := decide.name_mistake(database, "database")):
        raise errors.DatabaseUserError(mistake)
    _changing(cluster, progress, lambda cluster, undo: _add(cluster, undo, name, password, database))


def change_password(cluster: Cluster, name: str, password: str, progress: Progress) -> None:
    """Another password; it also gives a user that only PostgreSQL has its entry in pool_passwd."""
    check_name(cluster, name, app_too=True)
    check_password(password)
    _changing(cluster, progress, lambda cluster, undo: _change_password(cluster, undo, name, password))


def drop(cluster: Cluster, name: str, database: str | None, progress: Progress) -> None:
    """No such user any more: not in PostgreSQL, not in pool_passwd, and no session of it.

    `database`, which it must own, is dropped with everything in it: the one thing here that can't be taken back.
    """
    check_name(cluster, name)
    _changing(cluster, progress, lambda cluster, undo: _drop(cluster, undo, name, database))


def _changing(
    cluster: Cluster, progress: Progress, work: Callable[[Cluster, Rollback], Coroutine[Any, Any, None]]
) -> None:
    """One change at a time, whole or not at all."""

    async def whole() -> None:
        opened = cluster.with_passwords()
        with progress.step("looking at the three Pgpools"):
            await user_access.require_endpoints(opened)
        async with all_or_nothing(progress) as undo:
            await work(opened, undo)

    with state.lock(cluster.folder):
        run(whole())


async def _add(cluster: Cluster, undo: Rollback, name: str, password: str, database: str | None) -> None:
    users = user_access.read_pool_passwd(cluster)
    async with user_access.on_primary(cluster) as session:
        await _check_new(session, users, name, database)
        entry = await user_access.encrypt(cluster, name, password)
        with undo.step(f"creating the role {name}", lambda: _remove_role(cluster, name)):
            await database_roles.create_role(session, name, password)
        if database:
            with undo.step(f"creating the database {database}", lambda: _remove_database(cluster, database)):
                await database_roles.create_database(session, database, name)
    await _publish(cluster, undo, users, users.with_entry(name, entry))
    with undo.progress.step("logging in through every endpoint"):
        await user_access.wait_accepted(cluster, name, password, "postgres")
        if database:
            await user_access.wait_accepted(cluster, name, password, database, times=1)


async def _check_new(session: Session, users: PoolPasswd, name: str, database: str | None) -> None:
    if name in await database_roles.read_roles(session):
        raise errors.DatabaseUserError(
            f"PostgreSQL has a role {name} already", hint=f"`poolkeeper user passwd {name}`?"
        )
    if name in users.entries:
        hint = f"`poolkeeper user drop {name}` takes it away."
        raise errors.DatabaseUserError(
            f"pool_passwd has an entry of {name} already, and PostgreSQL no such role", hint=hint
        )
    for word in filter(None, (name, database)):
        if await database_roles.is_keyword(session, word):
            raise errors.DatabaseUserError(
                f"{word} is a word of SQL and would need quotes in each statement; choose another"
            )
    if database and (owner := await database_roles.owner_of(session, database)):
        raise errors.DatabaseUserError(f"there is a database {database} already; {owner} owns it")


async def _change_password(cluster: Cluster, undo: Rollback, name: str, password: str) -> None:
    users = user_access.read_pool_passwd(cluster)
    async with user_access.on_primary(cluster) as session:
        before = _existing(await database_roles.read_roles(session), users, name)
        former = (await _passwords(cluster, users)).get(name)
        entry = await user_access.encrypt(cluster, name, password)
        with undo.step(f"changing the password of {name} in PostgreSQL", lambda: _restore_verifier(cluster, before)):
            await database_roles.set_password(session, name, password)
    await _publish(cluster, undo, users, users.with_entry(name, entry))
    if name == cluster.spec.roles.app:
        kept = cluster.passwords["app"]
        with undo.step("writing it to secrets/app and pgpass", lambda: _keep_app_password(cluster, kept)):
            await _keep_app_password(cluster, password)
    with undo.progress.step("logging in through every endpoint"):
        await user_access.wait_accepted(cluster, name, password, "postgres")
    if former and former != password:
        with undo.progress.step("making sure that the former password is refused"):
            await user_access.wait_refused(cluster, name, former)


def _existing(known: dict[str, DatabaseRole], users: PoolPasswd, name: str) -> DatabaseRole:
    if name not in known:
        if name in users.entries:
            hint = f"`poolkeeper user drop {name}` takes it away; then add it anew."
            raise errors.DatabaseUserError(f"{name} is in pool_passwd only: PostgreSQL has no such role", hint=hint)
        raise errors.DatabaseUserError(f"there is no user {name}", hint=_LIST)
    if not known[name].can_login:
        raise errors.DatabaseUserError(
            f"PostgreSQL does not let {name} log in", hint=f"By SQL: ALTER ROLE {name} LOGIN"
        )
    return known[name]


async def _drop(cluster: Cluster, undo: Rollback, name: str, database: str | None) -> None:
    users = user_access.read_pool_passwd(cluster)
    former = (await _passwords(cluster, users)).get(name, generate_password())
    async with user_access.on_primary(cluster) as session:
        role = (await database_roles.read_roles(session)).get(name)
        await _check_droppable(session, role, users, name, database)
        if name in users.entries:
            await _publish(cluster, undo, users, users.without(name))
            with undo.progress.step("making sure that no endpoint lets it in"):
                await user_access.wait_refused(cluster, name, former)
        if role is None:
            return
        with undo.step(f"letting {name} log in no more", lambda: _restore_login(cluster, role)):
            await database_roles.let_login(session, name, False)
        with undo.progress.step("ending its sessions on every node"):
            await user_access.end_sessions(cluster, role.oid)
        if database:
            with undo.step(f"dropping the database {database}", _no_way_back):
                await database_roles.drop_database(session, database)
        with undo.step(f"dropping the role {name}", _no_way_back):
            await database_roles.drop_role(session, name)
        # A login on a standby that had not heard of it yet.
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
            f"{name} can't be dropped: PostgreSQL has what depends on it",
            detail="\n".join(f"  {line}" for line in kept_by),
            hint=f"--database DB drops a database that it owns. The rest, in each database, by SQL: "
            f"REASSIGN OWNED BY {name} TO …; DROP OWNED BY {name}",
        )


async def _publish(cluster: Cluster, undo: Rollback, before: PoolPasswd, after: PoolPasswd) -> None:
    with undo.step(
        "pool_passwd and the reload of the three Pgpools", lambda: user_access.publish_back(cluster, before)
    ):
        await user_access.publish(cluster, after)


async def _passwords(cluster: Cluster, users: PoolPasswd) -> dict[str, str]:
    """The passwords as they are, where they can be read: only to prove later that they are refused."""
    return dict((await snapshot.observe(user_access.decrypt(cluster, users))).value or {})


async def _remove_role(cluster: Cluster, name: str) -> None:
    async with user_access.back_on_primary(cluster) as session:
        role = (await database_roles.read_roles(session)).get(name)
        if role:
            await user_access.end_sessions(cluster, role.oid)
            await database_roles.drop_role(session, name)


async def _remove_database(cluster: Cluster, name: str) -> None:
    async with user_access.back_on_primary(cluster) as session:
        await database_roles.drop_database(session, name)


async def _restore_verifier(cluster: Cluster, before: DatabaseRole) -> None:
    async with user_access.back_on_primary(cluster) as session:
        await database_roles.set_verifier(session, before.name, before.verifier)


async def _restore_login(cluster: Cluster, before: DatabaseRole) -> None:
    async with user_access.back_on_primary(cluster) as session:
        await database_roles.let_login(session, before.name, before.can_login)


async def _no_way_back() -> None:
    raise errors.DatabaseUserError("what is dropped can't be brought back, if it was dropped")


async def _keep_app_password(cluster: Cluster, password: str) -> None:
    state.write(cluster.folder.secrets / "app", password)
    write_pgpass(cluster)
