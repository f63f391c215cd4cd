"""Take a snapshot: ask every witness at once, and note who did not answer. No judgement is made here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import (
    Container,
    EndpointView,
    EtcdView,
    HaproxyView,
    KeeperView,
    PatroniView,
    PgpoolView,
    Postgres,
    Seen,
    Snapshot,
)
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import client_files
from poolkeeper.system import compose, etcd, haproxy, keeper_client, patroni, pgpool, postgres

T = TypeVar("T")


async def see(asked: Awaitable[T]) -> Seen[T]:
    """The answer, or why there is none."""
    try:
        return Seen(await asked)
    except errors.PoolkeeperError as e:
        return Seen(error=e.message)


async def _see_each(names: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, Seen[T]]:
    names = list(names)
    return dict(zip(names, await asyncio.gather(*(see(ask(name)) for name in names)), strict=True))


async def snapshot(
    cluster: Cluster, timeout: float | None = None, known: Mapping[str, Container] | None = None
) -> Snapshot:
    """Ask everyone at once; nobody for longer than `timeout` seconds (default: timeouts.query).

    `known` are the containers as they were listed just now, where they were.
    """
    limit = timeout or cluster.spec.timeouts.query
    containers, nodes, endpoints, etcds, (pool, endpoint, agent) = await asyncio.gather(
        see(see_containers(cluster.spec) if known is None else _ready(known)),
        see_nodes(cluster, limit),
        see_endpoints(cluster, limit),
        see_etcd(cluster.spec, limit),
        asyncio.gather(
            see(see_pgpool(cluster, limit)), see(see_haproxy(cluster, limit)), see(see_keeper(cluster.spec, limit))
        ),
    )
    patroni_views, versions, postgres_views = nodes
    return Snapshot(
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        containers=containers,
        patroni=patroni_views,
        patroni_versions=versions,
        postgres=postgres_views,
        pgpool=pool,
        haproxy=endpoint,
        etcd=etcds,
        endpoints=endpoints,
        keeper=agent,
    )


async def _ready(value: T) -> T:
    return value


async def see_containers(spec: ClusterSpec) -> Mapping[str, Container]:
    """Every container of the cluster."""
    names = [spec.container_name(service) for service in spec.addresses()]
    return await asyncio.to_thread(compose.containers, spec.name, names)


async def see_patroni(spec: ClusterSpec, limit: float) -> dict[str, Seen[PatroniView]]:
    """The cluster as each node's Patroni tells it."""
    return await _see_each((n.name for n in spec.nodes), lambda n: patroni.observe(str(spec.addresses()[n]), limit))


async def see_postgres(cluster: Cluster, node: str) -> Seen[Postgres]:
    """One node's PostgreSQL."""
    limit = cluster.spec.timeouts.query
    return await see(postgres.observe_node(cluster.node(node), limit))


async def see_nodes(
    cluster: Cluster, limit: float
) -> tuple[dict[str, Seen[PatroniView]], dict[str, str], dict[str, Seen[Postgres]]]:
    """Each node by its Patroni, its Patroni's version, and its PostgreSQL."""
    spec, names = cluster.spec, [node.name for node in cluster.spec.nodes]
    views, versions, servers = await asyncio.gather(
        see_patroni(spec, limit),
        _see_each(names, lambda n: patroni.observe_version(str(spec.addresses()[n]), limit)),
        _see_each(names, lambda n: postgres.observe_node(cluster.node(n), limit)),
    )
    return views, {name: seen.value for name, seen in versions.items() if seen.value}, servers


async def see_endpoints(cluster: Cluster, limit: float) -> dict[str, Seen[EndpointView]]:
    """One query through each endpoint's port."""
    names = {str(address): name for name, address in cluster.spec.addresses().items()}
    endpoints = ("rw", "ro", "balanced", *cluster.spec.direct_endpoints())
    return await _see_each(endpoints, lambda key: postgres.observe_endpoint(cluster.endpoint(key), names, limit))


async def see_etcd(spec: ClusterSpec, limit: float) -> dict[str, Seen[EtcdView]]:
    """Each etcd member."""
    return await _see_each((m.name for m in spec.etcd.members), lambda n: etcd.observe(str(spec.addresses()[n]), limit))


async def see_pgpool(cluster: Cluster, limit: float) -> PgpoolView:
    """The balanced endpoint's Pgpool-II."""
    return await pgpool.observe(cluster.endpoint("balanced"), limit)


async def see_haproxy(cluster: Cluster, limit: float) -> HaproxyView:
    """HAProxy's statistics."""
    url, auth = cluster.stats
    return await haproxy.observe(url, auth, limit)


async def see_keeper(spec: ClusterSpec, limit: float) -> KeeperView:
    """The keeper, by its own word."""
    return await keeper_client.observe(client_files.client_host(spec), spec.keeper.port, limit)


async def differing_settings(dsn: Dsn, wanted: Mapping[str, object], limit: float) -> list[str]:
    """Which parameters of a node are not as wanted; each is compared in the server's own unit."""
    if not wanted:
        return []
    return await postgres.differing_settings(dsn, {name: _text(value) for name, value in wanted.items()}, limit)


def _text(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
