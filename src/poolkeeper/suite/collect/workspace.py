"""The suite's schema: made through Pgpool-II, dropped on the primary, never left behind knowingly.

Invariant: everything that the suite writes is inside one schema of its own name. One transaction creates the schema
and the comment that records its age. Removal does not wait for standbys, so that it also works in a cluster
whose commits hang. Not promised: removal while no primary can be reached; the next run removes what is left after an
hour.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from poolkeeper.cluster.reading import take
from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.probe import Reading
from poolkeeper.model.target import Target
from poolkeeper.system import postgres

PREFIX = "poolkeeper_check_"
LEFTOVER_AGE = timedelta(hours=1)  # far longer than any run takes

_NAME = re.compile(rf"{PREFIX}[0-9a-f]{{12}}")
_COMMENT = "made by poolkeeper test at "
_LEFTOVERS = f"""
SELECT nspname, obj_description(oid, 'pg_namespace') FROM pg_namespace
 WHERE starts_with(nspname, '{PREFIX}') AND pg_has_role(nspowner, 'USAGE')
"""


@dataclass
class Workspace:
    """The schema of one run. `attempted`: its creation was sent, so that it may exist whatever the answer."""

    schema: str = field(default_factory=lambda: PREFIX + secrets.token_hex(6))
    attempted: bool = False


def creation(schema: str, now: datetime) -> str:
    """Return the statement that creates the schema, its tables and its creation time in one transaction."""
    return f"""
DO $$ BEGIN
  CREATE SCHEMA {schema}
    CREATE TABLE replicated (value text)
    CREATE TABLE altered (value text)
    CREATE TABLE concurrent (session integer, number integer);
  COMMENT ON SCHEMA {schema} IS '{_COMMENT}{now.isoformat(timespec="seconds")}';
END $$"""


async def create(target: Target, space: Workspace) -> Reading[str]:
    """Create the schema through Pgpool-II."""
    statement = creation(space.schema, datetime.now(UTC))

    async def run() -> str:
        async with postgres.session(target.balanced, target.timeout) as opened:
            space.attempted = True
            await opened.rows(statement)
        return space.schema

    return await take(target.balanced.label, statement, target.timeout, run(), lambda name: f"schema {name}, 3 tables")


def stale(found: Iterable[tuple[str, str | None]], now: datetime) -> tuple[str, ...]:
    """Return the schemas of dead earlier runs: ours by name, and by their comment older than LEFTOVER_AGE."""
    return tuple(name for name, comment in found if _NAME.fullmatch(name) and _is_old(comment or "", now))


def _is_old(comment: str, now: datetime) -> bool:
    try:
        return (
            comment.startswith(_COMMENT) and now - datetime.fromisoformat(comment.removeprefix(_COMMENT)) > LEFTOVER_AGE
        )
    except (ValueError, TypeError):  # a comment from another source: leave that schema alone
        return False


async def remove(target: Target, space: Workspace, say: Callable[[str], None]) -> None:
    """Drop the schema, and leftovers, on every node that is not in recovery; report it if that fails."""
    if not space.attempted:
        return
    schema = space.schema
    async with asyncio.TaskGroup() as tasks:
        direct = [tasks.create_task(_remove_from(dsn, schema, target.timeout)) for dsn in target.nodes.values()]
    if any(task.result() for task in direct) or await _remove_from(target.balanced, schema, target.timeout):
        return
    say(f"No primary could be reached to drop the schema {schema}; a run after an hour from now removes it.")


async def _remove_from(dsn: Dsn, schema: str, timeout: float) -> bool:
    """Return whether it was a primary and the schema is gone from it."""
    with suppress(errors.PoolkeeperError, TimeoutError):
        async with asyncio.timeout(timeout), postgres.session(dsn, timeout) as opened:
            ((in_recovery,),) = await opened.rows("SELECT pg_is_in_recovery()")
            if in_recovery:
                return False
            await opened.rows("SET synchronous_commit = local")
            await _end_writers(opened, schema)
            old = stale(((r[0], r[1]) for r in await opened.rows(_LEFTOVERS)), datetime.now(UTC))
            for name in (schema, *old):
                await opened.rows(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            return True
    return False


async def _end_writers(opened: postgres.Session, schema: str) -> None:
    """Cancel statements in the schema, such as a commit that waits for its standbys; it is invisible until it ends."""
    statement = f"""
SELECT pg_cancel_backend(pid) FROM pg_stat_activity
 WHERE usename = current_user AND pid <> pg_backend_pid() AND state = 'active' AND query ~ '{schema}'"""
    while await opened.rows(statement):
        await asyncio.sleep(0.05)  # the caller's deadline ends this
