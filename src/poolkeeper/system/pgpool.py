"""Pgpool-II's own view: `SHOW pool_nodes` and similar statements, in a session on its port."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolkeeper.core import errors
from poolkeeper.model.diagnosis import PoolUse
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import PgpoolNode, PgpoolView
from poolkeeper.system import postgres

# Columns of SHOW pool_nodes in Pgpool-II 4.4 to 4.7 (documentation, "SHOW POOL_NODES").
_INDEX, _HOST, _STATUS, _SERVER_STATUS, _ROLE, _SERVER_ROLE, _SELECTS = 0, 1, 3, 4, 6, 7, 8

# pool_process_query.c, pool_read_kind(): 0 is a main backend that was not read yet, although it is the first one up.
_UNASKED_MAIN = re.compile(r"kind does not match between main\(0\) slot\[(\d+)\]")


def contradicted_by(refusal: str) -> int | None:
    """Return the backend whose state makes a self-contradicting Pgpool-II refuse sessions; None for other refusals."""
    found = _UNASKED_MAIN.search(refusal)
    return int(found[1]) if found else None


async def observe(dsn: Dsn, timeout: float) -> PgpoolView:
    """Return the nodes as this Pgpool-II sees them, and its version; the errors are those of `postgres.session`."""
    async with postgres.session(dsn, timeout) as opened:
        version = await read_version(opened)
        nodes = await read_nodes(opened)
    return PgpoolView(version, nodes)


async def read_version(opened: postgres.Session) -> str:
    """Return the version, such as "4.7.3 (tasukiboshi)"."""
    return str((await opened.rows("SHOW pool_version"))[0][0])


async def read_nodes(opened: postgres.Session) -> tuple[PgpoolNode, ...]:
    """Return every backend, in Pgpool-II's order."""
    return tuple(
        PgpoolNode(
            index=int(row[_INDEX]),
            hostname=row[_HOST],
            status=row[_STATUS],
            server_status=row[_SERVER_STATUS],
            role=row[_ROLE],
            server_role=row[_SERVER_ROLE],
            selects=int(row[_SELECTS]),
        )
        for row in await opened.rows("SHOW pool_nodes")
    )


async def count_processes(opened: postgres.Session) -> int:
    """Return the number of this Pgpool-II's child processes."""
    return len(await opened.rows("SHOW pool_processes"))


async def observe_use(dsn: Dsn, timeout: float) -> PoolUse:
    """Return the use of a Pgpool-II's processes, without the one of this session.

    The errors are those of `postgres.session` and `read_use`.
    """
    async with postgres.session(dsn, timeout) as opened:
        processes = await opened.rows(SHOW_PROCESSES)
        pools = await opened.rows(SHOW_POOLS)
    return read_use(processes, pools, (dsn.user, dsn.dbname))


SHOW_PROCESSES, SHOW_POOLS = "SHOW pool_processes", "SHOW pool_pools"
# Columns of Pgpool-II 4.6 and 4.7. An empty pool has no user; a pool that is open to several nodes has a row for each.
_SERVED, _STATE = 2, 7
_PID, _POOL, _DATABASE, _USER, _USES = 0, 3, 5, 6, 13
FREE = "Wait for connection"


def read_use(
    processes: Sequence[postgres.Row], pools: Sequence[postgres.Row], asker: tuple[str, str] = ("", "")
) -> PoolUse:
    """Sum up the rows of both statements, without the pair of user and database of the session that asked.

    Raises:
        ServerRefused: with code "pgpool", for rows of another form.
    """
    try:
        busy = sum(row[_STATE] != FREE for row in processes)
        kept = {(row[_PID], row[_POOL]): row for row in pools if row[_USER]}
        pairs = {(str(row[_USER]), str(row[_DATABASE])) for row in kept.values()} - {asker}
        return PoolUse(
            children=len(processes),
            busy=max(0, busy - 1),
            sessions=sum(int(row[_SERVED]) for row in processes),
            connections=len(kept),
            uses=sum(int(row[_USES]) for row in kept.values()),
            pairs=tuple(sorted(pairs)),
        )
    except (IndexError, ValueError) as e:
        raise errors.ServerRefused(f"Pgpool-II described its processes in an unknown way: {e!r}", code="pgpool") from e
