"""Take a snapshot: ask every component at once, and keep an error for each that does not answer.

Invariant: an error of Poolkeeper's tree becomes the view's error, and is not raised. Nothing is evaluated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.decide import start_failure
from poolkeeper.model import endpoint_keys
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.endpoint_keys import BALANCED
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


async def observe(asked: Awaitable[T]) -> Seen[T]:
    """Return the answer, or the message of the error that came instead."""
    try:
        return Seen(await asked)
    except errors.PoolkeeperError as e:
        return Seen(error=e.message)


async def _observe_each(names: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, Seen[T]]:
    names = list(names)
    return dict(zip(names, await asyncio.gather(*(observe(ask(name)) for name in names)), strict=True))


async def take_snapshot(
    cluster: Cluster, timeout: float | None = None, known: Mapping[str, Container] | None = None
) -> Snapshot:
    """Ask every component at once, and return all answers.

    `timeout` bounds each question, in seconds (default: timeouts.query). `known` holds the containers by service, where
    they were listed just now.
    """
    limit = timeout or cluster.spec.timeouts.query
    containers, nodes, endpoints, etcds, (pool, proxy, agent) = await asyncio.gather(
        observe(observe_containers(cluster.spec) if known is None else _ready(known)),
        observe_nodes(cluster, limit),
        observe_endpoints(cluster, limit),
        observe_etcd(cluster.spec, limit),
        asyncio.gather(
            observe(observe_pgpool(cluster, limit)),
            observe(observe_haproxy(cluster, limit)),
            observe(observe_keeper(cluster.spec, limit)),
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
        haproxy=proxy,
        etcd=etcds,
        endpoints=endpoints,
        keeper=agent,
    )


async def take_explained_snapshot(cluster: Cluster) -> Snapshot:
    """Take a snapshot; for each server that does not answer although its container runs, read why it does not start."""
    observed = await take_snapshot(cluster)
    running = {name for name, found in (observed.containers.value or {}).items() if found.is_running}
    silent = [name for name, seen in observed.postgres.items() if seen.value is None and name in running]
    return replace(observed, failed_starts=await observe_failed_starts(cluster, silent))


async def _ready(value: T) -> T:
    return value


async def observe_containers(spec: ClusterSpec) -> Mapping[str, Container]:
    """Return every container of the cluster by its service."""
    names = [spec.container_name(service) for service in spec.addresses()]
    return await asyncio.to_thread(compose.containers, spec.name, names)


async def observe_patroni(spec: ClusterSpec, limit: float) -> dict[str, Seen[PatroniView]]:
    """Return the cluster as each node's Patroni reports it, by node."""
    return await _observe_each((n.name for n in spec.nodes), lambda n: patroni.observe(str(spec.addresses()[n]), limit))


async def observe_failed_starts(cluster: Cluster, nodes: Iterable[str]) -> dict[str, str]:
    """Return why PostgreSQL does not start on these nodes, by node; without those whose log has no reason.

    A log that cannot be read has none.
    """

    async def read(node: str) -> str:
        log = await asyncio.to_thread(compose.tail, cluster.container(node), start_failure.LOG_LINES)
        return start_failure.reason(log.splitlines())

    found = await _observe_each(nodes, read)
    return {node: seen.value for node, seen in found.items() if seen.value}


async def observe_postgres(cluster: Cluster, node: str) -> Seen[Postgres]:
    """Return the state of one node's PostgreSQL."""
    limit = cluster.spec.timeouts.query
    return await observe(postgres.observe_node(cluster.node(node), limit))


async def observe_nodes(
    cluster: Cluster, limit: float
) -> tuple[dict[str, Seen[PatroniView]], dict[str, str], dict[str, Seen[Postgres]]]:
    """Return each node's Patroni view, Patroni's version and PostgreSQL's state, each by node."""
    spec, names = cluster.spec, [node.name for node in cluster.spec.nodes]
    views, versions, servers = await asyncio.gather(
        observe_patroni(spec, limit),
        _observe_each(names, lambda n: patroni.observe_version(str(spec.addresses()[n]), limit)),
        _observe_each(names, lambda n: postgres.observe_node(cluster.node(n), limit)),
    )
    return views, {name: seen.value for name, seen in versions.items() if seen.value}, servers


async def observe_endpoints(cluster: Cluster, limit: float) -> dict[str, Seen[EndpointView]]:
    """Run one query through each endpoint's port; return the answers by the endpoint's key."""
    names = {str(address): name for name, address in cluster.spec.addresses().items()}
    endpoints = (*endpoint_keys.POOLED, *cluster.spec.direct_endpoints())
    return await _observe_each(endpoints, lambda key: postgres.observe_endpoint(cluster.endpoint(key), names, limit))


async def observe_etcd(spec: ClusterSpec, limit: float) -> dict[str, Seen[EtcdView]]:
    """Return the state of each etcd member by its name."""
    return await _observe_each(
        (m.name for m in spec.etcd.members), lambda n: etcd.observe(str(spec.addresses()[n]), limit)
    )


async def observe_pgpool(cluster: Cluster, limit: float) -> PgpoolView:
    """Return the view of the balanced endpoint's Pgpool-II."""
    return await pgpool.observe(cluster.endpoint(BALANCED), limit)


async def observe_haproxy(cluster: Cluster, limit: float) -> HaproxyView:
    """Return HAProxy's statistics."""
    url, auth = cluster.stats
    return await haproxy.observe(url, auth, limit)


async def observe_keeper(spec: ClusterSpec, limit: float) -> KeeperView:
    """Return the state that the keeper reports."""
    return await keeper_client.observe(client_files.client_host(spec), spec.keeper.port, limit)


async def differing_settings(dsn: Dsn, wanted: Mapping[str, object], limit: float) -> list[str]:
    """Return the parameters of a node that differ from `wanted`; each is compared in the server's own unit."""
    if not wanted:
        return []
    return await postgres.differing_settings(dsn, {name: _text(value) for name, value in wanted.items()}, limit)


def _text(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
