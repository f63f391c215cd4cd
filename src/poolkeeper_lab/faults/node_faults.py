"""The waits and the requests of faults that prepare a node first.

Invariant: every wait is bounded, and its error reports the last observed state. All of them block, so they run in a
thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors, wait
from poolkeeper.core.progress import Silent
from poolkeeper.decide import health
from poolkeeper.operations import switchover
from poolkeeper.system import patroni, postgres
from poolkeeper_lab.faults.host import Host

HEALTHY_SECONDS = 60.0
PROGRESS_SECONDS = 30.0
STOP_SECONDS = 15
ANSWER_SECONDS = 30.0
_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"
_KEPT = "SELECT setting FROM pg_settings WHERE name = 'wal_keep_size'"  # in megabytes
_NEXT_SEGMENT = "SELECT pg_logical_emit_message(false, 'poolkeeper', 'next'), pg_switch_wal()"
_REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"


def stop(host: Host, nodes: Sequence[str]) -> None:
    """Stop the containers of nodes cleanly, all at once; one that is down already stays so."""
    containers = [host.cluster.container(node) for node in nodes]
    host.docker("stop", "--time", str(STOP_SECONDS), *containers, seconds=STOP_SECONDS + 30)


def start(host: Host, nodes: Sequence[str]) -> None:
    """Start the containers of nodes; one that runs continues."""
    host.docker("start", *map(host.cluster.container, nodes))


def wait_healthy(host: Host, seconds: float = HEALTHY_SECONDS) -> str:
    """Wait until every component reports that the cluster is healthy, and return its primary.

    Raises:
        DeadlinePassed: if it is not healthy in time.
    """
    cluster = host.cluster.with_passwords()

    async def healthy() -> str:
        assessed = health.assess(cluster.spec, await snapshot.take_snapshot(cluster))
        if assessed.is_healthy and assessed.primary:
            return assessed.primary
        raise wait.NotYet("; ".join(map(str, assessed.findings)) or "no primary")

    return asyncio.run(wait.wait_for("health", healthy, seconds=seconds, pause=0.2))


def wait_primary(host: Host, seconds: float = HEALTHY_SECONDS) -> str:
    """Wait until there is a primary, healthy or not, and return its name.

    Raises:
        DeadlinePassed: if there is none in time.
    """
    cluster = host.cluster.with_passwords()

    async def led() -> str:
        if primary := health.assess(cluster.spec, await snapshot.take_snapshot(cluster)).primary:
            return primary
        raise wait.NotYet("no primary")

    return asyncio.run(wait.wait_for("a primary", led, seconds=seconds, pause=0.2))


def wait_written(host: Host, primary: str, size: int) -> None:
    """Wait until `size` more bytes of WAL are flushed: acknowledged work of the clients.

    Raises:
        DeadlinePassed: if they are not flushed in time.
    """
    cluster = host.cluster.with_passwords()
    dsn, limit = cluster.node(primary, "superuser"), cluster.spec.timeouts.query

    async def position() -> int:
        try:
            ((found,),) = await postgres.query(dsn, _POSITION, limit)
        except errors.PoolkeeperError as e:
            raise wait.NotYet(e.message) from e
        return int(found)

    async def work() -> None:
        deadline = time.monotonic() + PROGRESS_SECONDS
        begin = await wait.wait_for(f"new WAL of {primary}", position, seconds=PROGRESS_SECONDS)

        async def written() -> None:
            grown = await position() - begin
            wait.require(None if grown >= size else f"{grown} of {size} bytes")

        await wait.wait_for(f"new WAL of {primary}", written, seconds=round(deadline - time.monotonic(), 1))

    asyncio.run(work())


def checkpoint(host: Host, standby: str) -> None:
    """Write a checkpoint on the primary and wait until a standby has replayed it.

    Raises:
        DeadlinePassed: if the standby has not replayed it in time.
    """
    cluster = host.cluster.with_passwords()
    primary = wait_healthy(host)
    asyncio.run(postgres.query(cluster.node(primary, "superuser"), "CHECKPOINT", HEALTHY_SECONDS))
    wait_replayed(host, standby)


def restart_point(host: Host, standby: str) -> None:
    """Have a standby write a restart point that is not older than this call.

    Raises:
        DeadlinePassed: if the standby has not replayed the checkpoint in time.
    """
    checkpoint(host, standby)
    asyncio.run(postgres.query(host.cluster.with_passwords().node(standby, "superuser"), "CHECKPOINT", HEALTHY_SECONDS))


def shed_wal(host: Host) -> None:
    """Have every node remove unneeded WAL: a segment of each former timeline stays until it is old enough.

    The age is a position and not a time, so empty segments are written until all former ones are old (`wal_keep_size`).
    """
    cluster, primary = host.cluster.with_passwords(), wait_healthy(host)
    others = [node.name for node in cluster.spec.nodes if node.name != primary]
    dsn = cluster.node(primary, "superuser")

    async def advance() -> None:
        async with postgres.session(dsn, HEALTHY_SECONDS) as session:
            ((megabytes,),) = await session.rows(_KEPT)
            for _ in range(int(megabytes) // 16 + 2):
                await session.rows(_NEXT_SEGMENT)
            await session.rows("CHECKPOINT")

    asyncio.run(advance())
    for node in others:
        wait_replayed(host, node)
        asyncio.run(postgres.query(cluster.node(node, "superuser"), "CHECKPOINT", HEALTHY_SECONDS))


def wait_replayed(host: Host, standby: str) -> int:
    """Wait until a standby has replayed all that the primary has flushed by now, and return that position.

    Raises:
        DeadlinePassed: if it has not replayed it in time.
    """
    cluster = host.cluster.with_passwords()
    limit, primary = cluster.spec.timeouts.query, wait_healthy(host)
    ((wanted,),) = asyncio.run(postgres.query(cluster.node(primary, "superuser"), _POSITION, limit))

    async def replayed() -> None:
        seen = await snapshot.observe(postgres.query(cluster.node(standby, "superuser"), _REPLAYED, limit))
        found = seen.value[0][0] if seen.value else None
        wait.require(None if found is not None and found >= wanted else seen.error or f"{found} of {wanted}")

    asyncio.run(wait.wait_for(f"replay on {standby}", replayed, seconds=PROGRESS_SECONDS))
    return int(wanted)


async def wait_answer(host: Host, node: str, seconds: float) -> None:
    """Wait until a node's server accepts sessions.

    Raises:
        DeadlinePassed: if it accepts none in time.
    """
    cluster = host.cluster.with_passwords()
    limit = cluster.spec.timeouts.query

    async def answered() -> None:
        wait.require((await snapshot.observe(postgres.query(cluster.node(node), "SELECT 1", limit))).error or None)

    await wait.wait_for(f"an answer of {node}", answered, seconds=seconds)


def take_role_from(host: Host, node: str) -> None:
    """Make another node the primary by `poolkeeper switchover`, if this one is; raise its errors."""
    if wait_primary(host) == node:
        wait_healthy(host)
        switchover.switchover(host.cluster, None, Silent())


def hand_over(host: Host, to: str) -> None:
    """Make a node the primary by `poolkeeper switchover`, unless it is already; raise its errors."""
    if wait_healthy(host) != to:
        switchover.switchover(host.cluster, to, Silent())


def clone_again(host: Host, node: str) -> None:
    """Have a standby's Patroni remove its data and clone it; return when the new server answers.

    Raises:
        DeadlinePassed: if no new server answers in time.
    """
    cluster = host.cluster.with_passwords()
    dsn, limit = cluster.node(node), cluster.spec.timeouts.query

    async def started() -> object:
        return (await snapshot.observe(postgres.query(dsn, "SELECT pg_postmaster_start_time()", limit))).value

    async def work() -> None:
        await snapshot.observe(wait_answer(host, node, ANSWER_SECONDS))  # it is cloned even if it does not answer
        before, deadline = await started(), time.monotonic() + HEALTHY_SECONDS
        address = str(cluster.spec.addresses()[node])

        async def accepted() -> None:
            wait.require(
                (await snapshot.observe(patroni.reinitialize(address, cluster.rest_auth, limit))).error or None
            )

        async def cloned() -> None:
            after = await started()
            wait.require(None if after and after != before else "the former server or none answers")

        what = f"a new clone of {node}"
        await wait.wait_for(what, accepted, seconds=HEALTHY_SECONDS, pause=0.3)  # its Patroni may have just started
        await wait.wait_for(what, cloned, seconds=round(deadline - time.monotonic(), 1), pause=0.3)

    asyncio.run(work())
