"""Roles and databases of PostgreSQL, changed by a superuser directly on the primary.

Invariant: no password reaches the server; it gets a SCRAM verifier that is computed here. No statement of this module
reaches the server's log. psycopg quotes each name; none becomes text of a statement.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from psycopg import sql

from poolkeeper.model.database_users import DatabaseRole
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres
from poolkeeper.system.postgres import Session

_QUIET = "SET log_statement = 'none'; SET log_min_duration_statement = -1; SET log_min_error_statement = 'panic'"
_ROLES = """
SELECT r.rolname, r.oid::int8, r.rolcanlogin, r.rolsuper, r.rolpassword,
       ARRAY(SELECT d.datname::text FROM pg_database d
              WHERE d.datdba = r.oid AND NOT d.datistemplate AND d.datname <> 'postgres' ORDER BY 1)
  FROM pg_authid r WHERE r.rolname !~ '^pg_' ORDER BY 1
"""
# The objects that prevent the drop of a role, without those of one database: pg_shdepend lists them for all databases.
_DEPENDENTS = """
SELECT CASE deptype WHEN 'o' THEN 'owner of ' WHEN 'r' THEN 'target of ' ELSE 'privileges for ' END ||
       CASE WHEN dbid = 0 THEN pg_describe_object(class, object, 0)
            ELSE format('%%s object%%s in database %%s', total, CASE total WHEN 1 THEN '' ELSE 's' END,
                        (SELECT datname FROM pg_database b WHERE b.oid = dbid)) END
  FROM (SELECT s.deptype, s.dbid, CASE s.dbid WHEN 0 THEN s.classid END, CASE s.dbid WHEN 0 THEN s.objid END, count(*)
          FROM pg_shdepend s JOIN pg_authid r ON s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid
         WHERE r.rolname = %s
           AND NOT EXISTS (SELECT FROM pg_database b WHERE b.datname = %s
                            AND (s.dbid = b.oid OR s.classid = 'pg_database'::regclass AND s.objid = b.oid))
         GROUP BY 1, 2, 3, 4) d (deptype, dbid, class, object, total)
 ORDER BY 1
"""


@asynccontextmanager
async def administer(dsn: Dsn, timeout: float, *, wait_for_standbys: bool = True) -> AsyncIterator[Session]:
    """Open a superuser's session whose statements stay out of the log.

    Without `wait_for_standbys`, its commits do not wait for their quorum: a rollback must not hang.
    """
    async with postgres.session(dsn, timeout) as opened:
        await opened.rows(_QUIET)
        if not wait_for_standbys:
            await opened.rows("SET synchronous_commit = local")
        yield opened


async def read_roles(session: Session) -> dict[str, DatabaseRole]:
    """Return every role but PostgreSQL's own, by name."""
    found = [DatabaseRole(*row) for row in await session.rows(_ROLES)]
    return {role.name: replace(role, databases=tuple(role.databases)) for role in found}


async def is_keyword(session: Session, name: str) -> bool:
    """Return whether SQL needs quotes around this name."""
    return bool((await session.rows("SELECT quote_ident(%s) <> %s", [name, name]))[0][0])


async def owner_of(session: Session, database: str) -> str | None:
    """Return a database's owner; None if there is no such database."""
    found = await session.rows("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [database])
    return str(found[0][0]) if found else None


async def dependents(session: Session, role: str, without_database: str | None) -> list[str]:
    """Return the objects that prevent the drop of a role, in words, without those in `without_database`."""
    return [str(row[0]) for row in await session.rows(_DEPENDENTS, [role, without_database])]


async def create_role(session: Session, name: str, password: str) -> None:
    """Create a role that may log in."""
    await _run(session, "CREATE ROLE {} LOGIN PASSWORD {}", name, sql.Literal(session.scram_verifier(name, password)))


async def set_password(session: Session, name: str, password: str) -> None:
    """Give a role a password."""
    await set_verifier(session, name, session.scram_verifier(name, password))


async def set_verifier(session: Session, name: str, verifier: str | None) -> None:
    """Give a role a password's verifier, or none."""
    await _run(session, "ALTER ROLE {} PASSWORD {}", name, sql.Literal(verifier))


async def let_login(session: Session, name: str, allowed: bool) -> None:
    """Allow or forbid a role to log in."""
    await _run(session, f"ALTER ROLE {{}} {'LOGIN' if allowed else 'NOLOGIN'}", name)


async def drop_role(session: Session, name: str) -> None:
    """Drop a role if it exists."""
    await _run(session, "DROP ROLE IF EXISTS {}", name)


async def create_database(session: Session, name: str, owner: str) -> None:
    """Create a database with its owner."""
    await _run(session, "CREATE DATABASE {} OWNER {}", name, sql.Identifier(owner))


async def drop_database(session: Session, name: str) -> None:
    """Drop a database if it exists, and end the sessions in it."""
    await _run(session, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


async def end_sessions(session: Session, role_oid: int) -> int:
    """End a role's sessions on this node; return their number."""
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usesysid = %s AND pid <> pg_backend_pid()"
    return len(await session.rows(query, [role_oid]))


async def _run(session: Session, statement: str, name: str, *more: sql.Composable) -> None:
    await session.rows(sql.SQL(statement).format(sql.Identifier(name), *more))
