"""What a fault that prepares a node first waits for, and what it asks of the cluster meanwhile.

Invariant: every wait is bounded and says what it last saw. All of them block, so they are called in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors, wait
from poolkeeper.core.progress import Silent
from poolkeeper.decide import health
from poolkeeper.operations import switchover
from poolkeeper.system import patroni, postgres
from poolkeeper_lab.faults.host import Host

WHOLE_SECONDS = 60.0
PROGRESS_SECONDS = 30.0
STOP_SECONDS = 15
ANSWER_SECONDS = 30.0
_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"
_KEPT = "SELECT setting FROM pg_settings WHERE name = 'wal_keep_size'"  # in megabytes
_NEXT_SEGMENT = "SELECT pg_logical_emit_message(false, 'poolkeeper', 'next'), pg_switch_wal()"
_REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"


def stop(host: Host, nodes: Sequence[str]) -> None:
    """Stop their containers in order, all at once; one that is down already is left alone."""
    containers = [host.container(node) for node in nodes]
    host.docker("stop", "--time", str(STOP_SECONDS), *containers, seconds=STOP_SECONDS + 30)


def start(host: Host, nodes: Sequence[str]) -> None:
    """Start their containers; one that runs is left alone."""
    host.docker("start", *map(host.container, nodes))


def wait_whole(host: Host, seconds: float = WHOLE_SECONDS) -> str:
    """Wait until every witness says that the cluster is healthy; its primary. Raises DeadlinePassed."""
    cluster, primary = host.cluster.with_passwords(), ""

    async def look() -> str | None:
        nonlocal primary
        judged = health.assess(cluster.spec, await snapshot.take_snapshot(cluster))
        primary = judged.primary or ""
        return None if judged.is_healthy and primary else "; ".join(map(str, judged.findings)) or "no primary"

    asyncio.run(wait.wait_until("health", look, seconds=seconds, pause=0.2))
    return primary


def wait_primary(host: Host, seconds: float = WHOLE_SECONDS) -> str:
    """Wait until there is a primary, whatever else is missing; its name. Raises DeadlinePassed."""
    cluster, primary = host.cluster.with_passwords(), ""

    async def look() -> str | None:
        nonlocal primary
        primary = health.assess(cluster.spec, await snapshot.take_snapshot(cluster)).primary or ""
        return None if primary else "no primary"

    asyncio.run(wait.wait_until("a primary", look, seconds=seconds, pause=0.2))
    return primary


def wait_written(host: Host, primary: str, size: int) -> None:
    """Wait until so many bytes of WAL more are flushed: acknowledged work of the clients. Raises DeadlinePassed."""
    cluster, begin = host.cluster.with_passwords(), None
    dsn, limit = cluster.node(primary, "superuser"), cluster.spec.timeouts.query

    async def look() -> str | None:
        nonlocal begin
        try:
            ((position,),) = await postgres.query(dsn, _POSITION, limit)
        except errors.PoolkeeperError as e:
            return e.message
        begin = position if begin is None else begin
        return None if position - begin >= size else f"{position - begin} of {size} bytes"

    asyncio.run(wait.wait_until(f"new WAL of {primary}", look, seconds=PROGRESS_SECONDS))


def checkpoint(host: Host, standby: str) -> None:
    """Write a checkpoint on the primary and wait until a standby knows of it. Raises as `wait_replayed`."""
    cluster = host.cluster.with_passwords()
    primary = wait_whole(host)
    asyncio.run(postgres.query(cluster.node(primary, "superuser"), "CHECKPOINT", WHOLE_SECONDS))
    wait_replayed(host, standby)


def restart_point(host: Host, standby: str) -> None:
    """Have a standby write a restart point that is not older than this call. Raises as `wait_replayed`."""
    checkpoint(host, standby)
    asyncio.run(postgres.query(host.cluster.with_passwords().node(standby, "superuser"), "CHECKPOINT", WHOLE_SECONDS))


def shed_wal(host: Host) -> None:
    """Have every node remove the WAL that nobody needs: a segment of each former timeline stays until it is old enough.

    Old enough is by position and not by time, so empty segments are written until all before is (`wal_keep_size`).
    """
    cluster, primary = host.cluster.with_passwords(), wait_whole(host)
    others = [node.name for node in cluster.spec.nodes if node.name != primary]
    dsn = cluster.node(primary, "superuser")

    async def advance() -> None:
        async with postgres.session(dsn, WHOLE_SECONDS) as session:
            ((megabytes,),) = await session.rows(_KEPT)
            for _ in range(int(megabytes) // 16 + 2):
                await session.rows(_NEXT_SEGMENT)
            await session.rows("CHECKPOINT")

    asyncio.run(advance())
    for node in others:
        wait_replayed(host, node)
        asyncio.run(postgres.query(cluster.node(node, "superuser"), "CHECKPOINT", WHOLE_SECONDS))


def wait_replayed(host: Host, standby: str) -> int:
    """Wait until a standby has replayed what the primary has flushed by now; that position. Raises DeadlinePassed."""
    cluster = host.cluster.with_passwords()
    limit, primary = cluster.spec.timeouts.query, wait_whole(host)
    ((wanted,),) = asyncio.run(postgres.query(cluster.node(primary, "superuser"), _POSITION, limit))

    async def look() -> str | None:
        seen = await snapshot.observe(postgres.query(cluster.node(standby, "superuser"), _REPLAYED, limit))
        found = seen.value[0][0] if seen.value else None
        return None if found is not None and found >= wanted else seen.error or f"{found} of {wanted}"

    asyncio.run(wait.wait_until(f"replay on {standby}", look, seconds=PROGRESS_SECONDS))
    return int(wanted)


async def wait_answer(host: Host, node: str, seconds: float) -> None:
    """Wait until a node's server takes sessions. Raises DeadlinePassed."""
    cluster = host.cluster.with_passwords()

    async def look() -> str | None:
        return (
            await snapshot.observe(postgres.query(cluster.node(node), "SELECT 1", cluster.spec.timeouts.query))
        ).error or None

    await wait.wait_until(f"an answer of {node}", look, seconds=seconds)


def take_role_from(host: Host, node: str) -> None:
    """Make another node the primary by the operation that people use, if this one is. Raises as that does."""
    if wait_primary(host) == node:
        wait_whole(host)
        switchover.switchover(host.cluster, None, Silent())


def hand_over(host: Host, to: str) -> None:
    """Make a node the primary by the operation that people use, unless it is. Raises as that does."""
    if wait_whole(host) != to:
        switchover.switchover(host.cluster, to, Silent())


def clone_anew(host: Host, node: str) -> None:
    """Have a standby's Patroni throw its data away and clone it; returns when another server answers there."""
    cluster = host.cluster.with_passwords()
    dsn, limit = cluster.node(node), cluster.spec.timeouts.query

    async def started() -> object:
        return (await snapshot.observe(postgres.query(dsn, "SELECT pg_postmaster_start_time()", limit))).value

    async def work() -> None:
        await snapshot.observe(wait_answer(host, node, ANSWER_SECONDS))  # if it does not, it is cloned all the same
        before, asked = await started(), False

        async def look() -> str | None:
            nonlocal asked
            if not asked:  # its Patroni may have been started just now
                address = str(cluster.spec.addresses()[node])
                request = patroni.reinitialize(address, cluster.rest_auth, limit)
                if error := (await snapshot.observe(request)).error:
                    return error
                asked = True
            after = await started()
            return None if after and after != before else "the former server or none answers"

        await wait.wait_until(f"a new clone of {node}", look, seconds=WHOLE_SECONDS, pause=0.3)

    asyncio.run(work())
