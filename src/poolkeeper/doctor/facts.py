"""Collect the facts that the rules of `doctor` evaluate, in parallel. Nothing is changed or evaluated here.

Invariant: a component that does not answer within its limit gives a reading without a value; no error is raised for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.cluster.reading import take
from poolkeeper.model import endpoint_keys
from poolkeeper.model.diagnosis import ClusterFacts, EtcdLoad, HostLoad, NodeLoad, PoolUse, Traffic, Vacuuming, Volume
from poolkeeper.model.observed import Container, PatroniView
from poolkeeper.model.probe import Reading
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import patroni_config
from poolkeeper.system import activity, etcd, haproxy, machine, patroni, pgpool

T = TypeVar("T")
MOST_DATABASES = 50  # that are checked; the others are reported as unknown
AT_ONCE = 4  # sessions that this opens on one node at the same time


async def collect(cluster: Cluster) -> ClusterFacts:
    """Ask HAProxy, then every other component at once.

    Each question ends after twice timeouts.query seconds at the latest.
    """
    limit = 2.0 * cluster.spec.timeouts.query
    spec, names = cluster.spec, [node.name for node in cluster.spec.nodes]
    traffic = await _traffic(cluster, limit)  # before our own sessions are in a queue
    (nodes, endpoints, members, views), (volumes, host, containers) = await asyncio.gather(
        asyncio.gather(
            _each(names, lambda name: _node(cluster, name, limit)),
            _each(endpoint_keys.POOLED, lambda key: _endpoint(cluster, key, limit)),
            _each((m.name for m in spec.etcd.members), lambda name: _etcd(spec, name, limit)),
            _each(names, lambda name: _patroni(spec, name, limit)),
        ),
        asyncio.gather(_volumes(spec, limit), _host(limit), _containers(spec, limit)),
    )
    seen = ClusterFacts(endpoints, traffic, nodes, None, {}, members, volumes, host, containers, views)
    silent = [name for name, reading in nodes.items() if reading.value is None]
    (databases, vacuuming), failed = await asyncio.gather(
        _databases(cluster, seen.primary, limit), snapshot.observe_failed_starts(cluster, silent)
    )
    return replace(seen, databases=databases, vacuuming=vacuuming, failed_starts=failed)


async def _each(names: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    names = list(names)
    return dict(zip(names, await asyncio.gather(*(ask(name) for name in names)), strict=True))


async def _node(cluster: Cluster, name: str, limit: float) -> Reading[NodeLoad]:
    dsn = cluster.node(name)

    def show(load: NodeLoad) -> str:
        doing, counted = load.activity, load.counters
        return (
            f"{'standby' if load.in_recovery else 'primary'}: {doing.clients} clients, {doing.busy} not idle; "
            f"{counted.transactions} transactions, {counted.hits} blocks hit, {counted.reads} read"
        )

    ran = (
        "pg_stat_activity, pg_locks, pg_stat_database, pg_stat_checkpointer, pg_replication_slots, pg_stat_replication"
    )
    return await take(dsn.label, ran, limit, activity.node_load(dsn, limit), show)


async def _endpoint(cluster: Cluster, key: str, limit: float) -> Reading[PoolUse]:
    dsn = cluster.endpoint(key)
    ran = f"{pgpool.SHOW_PROCESSES}; {pgpool.SHOW_POOLS}"

    def show(use: PoolUse) -> str:
        return f"{use.busy} of {use.children} processes serve a client; {use.connections} connections kept"

    return await take(dsn.label, ran, limit, pgpool.observe_use(dsn, limit), show)


async def _traffic(cluster: Cluster, limit: float) -> Reading[tuple[Traffic, ...]]:
    url, auth = cluster.stats

    def show(rows: tuple[Traffic, ...]) -> str:
        return ", ".join(f"{r.proxy}/{r.name} {r.sessions} sessions, {r.queued} queued" for r in rows)

    return await take(url, "GET /;csv", limit, haproxy.observe_traffic(url, auth, limit), show)


async def _etcd(spec: ClusterSpec, name: str, limit: float) -> Reading[EtcdLoad]:
    address = str(spec.addresses()[name])

    def show(load: EtcdLoad) -> str:
        return f"{load.db_bytes} of {load.quota_bytes} bytes, {load.leader_changes} changes of the leader"

    return await take(f"{address}:{etcd.PORT}", "GET /metrics", limit, etcd.observe_load(address, limit), show)


async def _volumes(spec: ClusterSpec, limit: float) -> dict[str, Reading[tuple[Volume, ...]]]:
    nodes = {n.name: (patroni_config.DATA_DIRECTORY, "/dev/shm") for n in spec.nodes}
    paths = {**nodes, **{m.name: ("/var/lib/etcd",) for m in spec.etcd.members}}

    async def ask(service: str) -> Reading[tuple[Volume, ...]]:
        container = spec.container_name(service)
        asked = asyncio.to_thread(machine.volumes, container, paths[service], limit)

        def show(found: tuple[Volume, ...]) -> str:
            return "; ".join(f"{v.path}: {v.used} of {v.size} bytes used" for v in found)

        return await take(container, " ".join((*machine.DF, *paths[service])), limit + 1, asked, show)

    return await _each(paths, ask)


async def _host(limit: float) -> Reading[HostLoad]:
    def show(load: HostLoad) -> str:
        return f"load {load.load:g} on {load.cores} cores, {load.available_mb} of {load.memory_mb} MB available"

    asked = asyncio.to_thread(machine.host_load)
    return await take("this machine", "/proc/loadavg, /proc/meminfo", limit, asked, show)


async def _containers(spec: ClusterSpec, limit: float) -> Reading[Mapping[str, Container]]:
    def show(found: Mapping[str, Container]) -> str:
        return ", ".join(f"{name} {c.state}" for name, c in found.items())

    return await take("the engine", "docker inspect", limit, snapshot.observe_containers(spec), show)


async def _patroni(spec: ClusterSpec, name: str, limit: float) -> Reading[PatroniView]:
    address = str(spec.addresses()[name])

    def show(view: PatroniView) -> str:
        paused = ", paused" if view.paused else ""
        return ", ".join(f"{m.name} {m.role} {m.state}" for m in view.members) + paused

    where = f"{address}:{patroni.PORT}"
    return await take(where, "GET /cluster", limit, patroni.observe(address, limit), show)


async def _databases(
    cluster: Cluster, primary: str | None, limit: float
) -> tuple[Reading[tuple[str, ...]] | None, dict[str, Reading[Vacuuming]]]:
    """Return the primary's databases and the state of autovacuum in each; autovacuum runs on the primary only."""
    if primary is None:
        return None, {}
    dsn = cluster.node(primary)
    found = await take(dsn.label, activity.DATABASES, limit, activity.databases(dsn, limit), ", ".join)
    sessions = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str) -> Reading[Vacuuming]:
        async with sessions:
            inside = cluster.node(primary, "check", name)
            ran = f"{activity.DISABLED}; {activity.BEHIND}"
            return await take(inside.label, ran, limit, activity.vacuuming(inside, limit))

    return found, await _each((found.value or ())[:MOST_DATABASES], ask)
