"""Questions that change nothing: to the nodes, to the endpoints, to Pgpool-II and to HAProxy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from poolkeeper.cluster.reading import failure_of, take
from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import HaproxyView, PgpoolNode
from poolkeeper.model.probe import (
    Balance,
    EndpointFacts,
    Failure,
    NodeFacts,
    PgpoolFacts,
    Reading,
    Sender,
    Server,
    SlotFacts,
)
from poolkeeper.model.target import Target
from poolkeeper.system import haproxy, pgpool, postgres

SESSIONS = 36  # reads of the load-balancing check; with equal weights all on one of two nodes: 1 in 2^35
AT_ONCE = 8  # of them open at a time, well below Pgpool's smallest sensible num_init_children

_WHO = f"extract(epoch FROM pg_postmaster_start_time())::text, coalesce(host(inet_server_addr()), {postgres.NODE}, '')"
NODE = f"""
SELECT {_WHO}, pg_is_in_recovery(), current_setting('server_version'),
       coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (pg_control_checkpoint()).timeline_id)
"""
# The hint keeps a balancing Pgpool-II from sending it to a standby; PostgreSQL reads it as a comment.
ENDPOINT = f"/*NO LOAD BALANCE*/ SELECT {_WHO}, pg_is_in_recovery()"
# Nothing volatile in it: Pgpool-II would take that for a write and send it to the primary.
BALANCED = f"SELECT {_WHO}"
SENDERS = "SELECT application_name, state FROM pg_stat_replication ORDER BY 1"
SLOTS = "SELECT slot_name, slot_type, active FROM pg_replication_slots ORDER BY 1"


async def nodes(target: Target) -> dict[str, Reading[NodeFacts]]:
    """Return what each node reports about itself."""
    asked = (_node(dsn, target.timeout) for dsn in target.monitors.values())
    return dict(zip(target.monitors, await asyncio.gather(*asked), strict=True))


async def _node(dsn: Dsn, timeout: float) -> Reading[NodeFacts]:
    async def ask() -> NodeFacts:
        ((started, address, in_recovery, version, timeline),) = await postgres.query(dsn, NODE, timeout)
        return NodeFacts(Server(started, address), in_recovery, timeline, version)

    def show(n: NodeFacts) -> str:
        return f"{n.role}, timeline {n.timeline}, {n.server.label}, server_version {n.version}"

    return await take(dsn.label, NODE, timeout, ask(), show)


def primaries(found: Mapping[str, Reading[NodeFacts]]) -> tuple[str, ...]:
    """Return the nodes that report that they are not in recovery."""
    return tuple(name for name, reading in found.items() if reading.value and not reading.value.in_recovery)


async def senders(target: Target, names: Sequence[str]) -> dict[str, Reading[tuple[Sender, ...]]]:
    """Return pg_stat_replication of each of these nodes."""
    return {name: await _table(target.monitors[name], SENDERS, Sender, target.timeout) for name in names}


async def slots(target: Target, names: Sequence[str]) -> dict[str, Reading[tuple[SlotFacts, ...]]]:
    """Return pg_replication_slots of each of these nodes."""
    return {name: await _table(target.monitors[name], SLOTS, SlotFacts, target.timeout) for name in names}


async def _table(dsn: Dsn, statement: str, make: Any, timeout: float) -> Reading[tuple[Any, ...]]:
    async def ask() -> tuple[Any, ...]:
        return tuple(make(*row) for row in await postgres.query(dsn, statement, timeout))

    return await take(dsn.label, statement, timeout, ask(), lambda rows: "; ".join(map(_plain, rows)) or "no row")


def _plain(row: Sender | SlotFacts) -> str:
    if isinstance(row, Sender):
        return f"{row.application}: {row.state or 'state hidden from this role'}"
    return f"{row.name}: {row.kind}, {'active' if row.active else 'inactive'}"


async def endpoint(dsn: Dsn, timeout: float) -> Reading[EndpointFacts]:
    """Query an endpoint once, and return the server behind it and its role."""

    async def ask() -> EndpointFacts:
        ((started, address, in_recovery),) = await postgres.query(dsn, ENDPOINT, timeout)
        return EndpointFacts(Server(started, address), in_recovery)

    def show(d: EndpointFacts) -> str:
        return f"{d.server.label}, {'in recovery' if d.in_recovery else 'not in recovery'}"

    return await take(dsn.label, ENDPOINT, timeout, ask(), show)


async def backends(target: Target) -> Reading[tuple[PgpoolNode, ...]]:
    """Return every backend as Pgpool-II reports it."""

    async def ask() -> tuple[PgpoolNode, ...]:
        async with postgres.session(target.balanced, target.timeout) as opened:
            return await pgpool.read_nodes(opened)

    return await take(target.balanced.label, "SHOW pool_nodes", target.timeout, ask(), show_backends)


def show_backends(found: Sequence[PgpoolNode]) -> str:
    """Return one line: each backend with what Pgpool-II reports about it."""
    return "; ".join(
        f"{n.hostname}: status {n.status}, server {n.server_status}, role {n.role}, server role {n.server_role}"
        for n in found
    )


async def pgpool_facts(target: Target) -> Reading[PgpoolFacts]:
    """Return Pgpool-II's version, and how many processes it reports."""

    async def ask() -> PgpoolFacts:
        async with postgres.session(target.balanced, target.timeout) as opened:
            return PgpoolFacts(await pgpool.read_version(opened), await pgpool.count_processes(opened))

    return await take(
        target.balanced.label,
        "SHOW pool_version; SHOW pool_processes",
        target.timeout,
        ask(),
        lambda found: f"{found.version}; {found.processes} processes",
    )


async def stats(target: Target) -> Reading[HaproxyView]:
    """Return HAProxy's dashboard."""
    return await take(
        target.stats_url,
        "GET /;csv",
        target.timeout,
        haproxy.observe(target.stats_url, target.stats_auth, target.timeout),
        lambda view: f"HAProxy {view.version}: " + ", ".join(f"{p.proxy}/{p.name} {p.status}" for p in view.proxies),
    )


async def balance(target: Target) -> Reading[Balance]:
    """Read over many sessions, and return Pgpool-II's counters before and after."""
    ran = f"SHOW pool_nodes; {SESSIONS} sessions, {AT_ONCE} at once, each: {BALANCED}; SHOW pool_nodes"
    return await take(target.balanced.label, ran, 2 * target.timeout, _balance(target), _show_balance)


async def _balance(target: Target) -> Balance:
    places = asyncio.Semaphore(AT_ONCE)

    async def read() -> Server | Failure:
        async with places:
            try:
                ((started, address),) = await postgres.query(target.balanced, BALANCED, target.timeout)
            except errors.PoolkeeperError as e:
                return failure_of(e)
            return Server(started, address)

    before = await _counters(target)
    answers = await asyncio.gather(*(read() for _ in range(SESSIONS)))
    after = await _counters(target)
    served = Counter(answer for answer in answers if isinstance(answer, Server))
    return Balance(SESSIONS, before, after, served, tuple(a for a in answers if isinstance(a, Failure)))


async def _counters(target: Target) -> tuple[PgpoolNode, ...]:
    async with postgres.session(target.balanced, target.timeout) as opened:
        return await pgpool.read_nodes(opened)


def _show_balance(found: Balance) -> str:
    was = {node.index: node.selects for node in found.before}
    counted = ", ".join(f"{n.hostname} +{n.selects - was.get(n.index, 0)}" for n in found.after)
    served = ", ".join(f"{server.label} {count}" for server, count in found.served.items())
    lost = f"; {len(found.failures)} sessions failed: {found.failures[0].text}" if found.failures else ""
    return f"select_cnt {counted}; by the nodes' own word {served or 'none'}{lost}"
