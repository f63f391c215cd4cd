"""Snapshots of a healthy cluster for any spec, and edits of them; each edit changes one thing.

No server is simulated: a `Snapshot` has the plain facts from the servers' answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from poolkeeper.model import proxies
from poolkeeper.model.observed import (
    Container,
    EndpointView,
    EtcdView,
    HaproxyView,
    KeeperView,
    PatroniMember,
    PatroniView,
    PgpoolNode,
    PgpoolView,
    Postgres,
    Proxy,
    Seen,
    Slot,
    Snapshot,
    WalSender,
)
from poolkeeper.model.spec import ClusterSpec, Keeper, Network
from poolkeeper.model.spec_endpoints import DirectEndpoint, Endpoint, Endpoints, Haproxy, Pgpool
from poolkeeper.model.spec_postgresql import Etcd, EtcdMember, Node, Replication

SPEC = ClusterSpec()
PRIMARY, STANDBY, OTHER = (node.name for node in SPEC.nodes)
SILENT = "connection refused"
Source = tuple[str, str]  # a field of Snapshot, and the key in it ("" for a field with one answer)


def spec_of(nodes: int = 3, members: int = 3, **changes: Any) -> ClusterSpec:
    """Return a spec with that many nodes and etcd members; `changes` are fields of ClusterSpec."""
    sizes = {
        "nodes": tuple(_node(i) for i in range(1, nodes + 1)),
        "etcd": Etcd(members=tuple(_member(i) for i in range(1, members + 1))),
    }
    return SPEC.model_copy(update={**sizes, **changes})


def _node(i: int) -> Node:
    return Node(name=f"pg_node{i}", address=IPv4Address(f"10.8.0.1{i}"), port=5610 + i)


def _member(i: int) -> EtcdMember:
    return EtcdMember(name=f"etcd{i}", address=IPv4Address(f"10.8.0.3{i}"))


def blue() -> ClusterSpec:
    """Return a second cluster beside the default one: two nodes, one etcd member, asynchronous replication."""
    endpoints = Endpoints(
        rw=Endpoint(service="pgpool_rw", address=IPv4Address("172.30.5.21"), port=6200, num_init_children=8),
        ro=Endpoint(service="pgpool_ro", address=IPv4Address("172.30.5.22"), port=6201, num_init_children=8),
        balanced=Endpoint(service="pgpool", address=IPv4Address("172.30.5.20"), port=6999, max_pool=2),
        direct_rw=DirectEndpoint(port=6300, max_sessions=12),
        direct_ro=DirectEndpoint(port=0),
    )
    return ClusterSpec(
        name="blue",
        network=Network(subnet=IPv4Network("172.30.5.0/24"), bind_address=IPv4Address("0.0.0.0")),
        nodes=(
            Node(name="alpha", address=IPv4Address("172.30.5.11"), port=6611),
            Node(name="beta", address=IPv4Address("172.30.5.12"), port=6612),
        ),
        etcd=Etcd(members=(EtcdMember(name="store", address=IPv4Address("172.30.5.31")),)),
        replication=Replication(synchronous_mode="off"),
        endpoints=endpoints,
        haproxy=Haproxy(
            service="endpoint",
            address=IPv4Address("172.30.5.100"),
            stats_port=6406,
            unix_sockets=False,
            node_sockets=True,
            threads=1,
            batch=False,
        ),
        pgpool=Pgpool(batch=False, one_server_mode="logical_replication"),
        keeper=Keeper(service="warden", address=IPv4Address("172.30.5.30"), port=6407, read_fallback="primary"),
    )


def healthy(spec: ClusterSpec = SPEC, primary: str | None = None) -> Snapshot:
    """Return a snapshot in which every component answers and is healthy. `primary` is the first node by default."""
    names = [node.name for node in spec.nodes]
    first = primary or names[0]
    standbys = [name for name in names if name != first]
    return Snapshot(
        at="2026-01-01T00:00:00.000+00:00",
        containers=Seen({service: container(spec, service) for service in spec.addresses()}),
        patroni={name: Seen(patroni_view(names, first)) for name in names},
        patroni_versions=dict.fromkeys(names, "4.0.7"),
        postgres={name: Seen(_server(spec, standbys) if name == first else _standby(spec)) for name in names},
        pgpool=Seen(PgpoolView("4.6.1", tuple(_backend(i, name, name == first) for i, name in enumerate(names)))),
        haproxy=Seen(_haproxy(spec, first)),
        etcd={member.name: Seen(EtcdView("3.5.16", healthy=True)) for member in spec.etcd.members},
        endpoints={
            "rw": Seen(EndpointView(first, in_recovery=False)),
            "ro": Seen(EndpointView(standbys[0], in_recovery=True)),
            "balanced": Seen(EndpointView(first, in_recovery=False)),
            **{key: Seen(_direct_endpoint(key, first, standbys)) for key in spec.direct_endpoints()},
        },
        keeper=Seen(KeeperView(True, first, (), False, (), 0.0)),
    )


def _direct_endpoint(key: str, primary: str, standbys: list[str]) -> EndpointView:
    return (
        EndpointView(primary, in_recovery=False) if key == "direct_rw" else EndpointView(standbys[0], in_recovery=True)
    )


def image(spec: ClusterSpec, service: str) -> str:
    """Return the image of a service."""
    role = "postgres" if service in {node.name for node in spec.nodes} else "pgpool"
    role = "etcd" if service in {member.name for member in spec.etcd.members} else role
    role = "haproxy" if service == spec.haproxy.service else role
    role = "keeper" if service == spec.keeper.service else role
    return f"poolkeeper/{role}:1"


def container(spec: ClusterSpec, service: str, **changes: Any) -> Container:
    """Return a running container of a service, with changes."""
    made = Container(
        service=service,
        name=spec.container_name(service),
        identity=f"id of {service}",
        state="running",
        health="healthy",
        image=image(spec, service),
        definition="",
        started_at="2026-01-01T00:00:00Z",
        exit_code=0,
        restarts=0,
    )
    return replace(made, **changes)


def patroni_view(names: list[str], leader: str) -> PatroniView:
    """Return a healthy cluster as Patroni reports it."""
    return PatroniView(
        tuple(
            PatroniMember(name, "leader", "running", 1, None)
            if name == leader
            else PatroniMember(name, "quorum_standby", "streaming", 1, 0)
            for name in names
        )
    )


def _server(spec: ClusterSpec, standbys: list[str]) -> Postgres:
    names = f"ANY 1 ({','.join(standbys)})" if spec.replication.synchronous_mode != "off" else ""
    return Postgres(
        in_recovery=False,
        timeline=1,
        version="17.5",
        data_checksums=True,
        synchronous_standby_names=names,
        senders=tuple(WalSender(name, "streaming", "quorum", 0) for name in standbys),
        slots=tuple(Slot(name, "physical", active=True, retained_bytes=0) for name in standbys),
    )


def _standby(spec: ClusterSpec) -> Postgres:
    return replace(_server(spec, []), in_recovery=True, synchronous_standby_names="")


def _backend(index: int, name: str, is_primary: bool) -> PgpoolNode:
    role = "primary" if is_primary else "standby"
    return PgpoolNode(index, name, "up", "up", role, role, selects=0)


def _haproxy(spec: ClusterSpec, primary: str) -> HaproxyView:
    rows = [Proxy(proxy, name, "OPEN" if name == "FRONTEND" else "UP", 0) for proxy, name in proxies.expected(spec)]
    for name in (node.name for node in spec.nodes):
        rows.append(Proxy(proxies.PRIMARY, name, "UP" if name == primary else "DOWN", 0))
        rows.append(Proxy(proxies.STANDBYS, name, "DOWN" if name == primary else "UP", 0))
    return HaproxyView("3.0.11", tuple(rows))


def sources(spec: ClusterSpec) -> tuple[Source, ...]:
    """Return every component that a snapshot asks."""
    nodes = [node.name for node in spec.nodes]
    return (
        *((field, "") for field in ("containers", "pgpool", "haproxy")),
        *((field, name) for field in ("patroni", "postgres") for name in nodes),
        *(("etcd", member.name) for member in spec.etcd.members),
        *(("endpoints", endpoint) for endpoint in ("rw", "ro", "balanced", *spec.direct_endpoints())),
    )


def silence(seen: Snapshot, *silent: Source) -> Snapshot:
    """Return the snapshot without the answers of these components."""
    for field, key in silent:
        answers: Any = {**getattr(seen, field), key: Seen(error=SILENT)} if key else Seen(error=SILENT)
        seen = replace(seen, **{field: answers})
    return seen


def forget(seen: Snapshot, *missing: Source) -> Snapshot:
    """Return the snapshot as if these components had not been asked."""
    for field, key in missing:
        kept: Any = {name: answer for name, answer in getattr(seen, field).items() if name != key} if key else Seen()
        seen = replace(seen, **{field: kept})
    return seen


def edit_containers(seen: Snapshot, edits: Mapping[str, Mapping[str, Any] | None]) -> Snapshot:
    """Return the snapshot with changes of some containers; None removes one."""
    known = dict(seen.containers.value or {})
    for service, changes in edits.items():
        found = known.pop(service)
        if changes is not None:
            known[service] = replace(found, **changes)
    return replace(seen, containers=Seen(known))


def edit_postgres(seen: Snapshot, node: str, **changes: Any) -> Snapshot:
    """Return the snapshot with another answer of a node's PostgreSQL."""
    return replace(seen, postgres={**seen.postgres, node: _edited(seen.postgres[node], **changes)})


def edit_etcd(seen: Snapshot, member: str, **changes: Any) -> Snapshot:
    """Return the snapshot with another answer of an etcd member."""
    return replace(seen, etcd={**seen.etcd, member: _edited(seen.etcd[member], **changes)})


def edit_endpoint(seen: Snapshot, endpoint: str, **changes: Any) -> Snapshot:
    """Return the snapshot with the answer of another server at an endpoint."""
    return replace(seen, endpoints={**seen.endpoints, endpoint: _edited(seen.endpoints[endpoint], **changes)})


def edit_members(seen: Snapshot, edits: Mapping[str, Mapping[str, Any] | None]) -> Snapshot:
    """Return the snapshot with changes of some members at every Patroni; None removes a member."""
    views = {}
    for name, answer in seen.patroni.items():
        assert answer.value
        views[name] = Seen(replace(answer.value, members=_edited_rows(answer.value.members, "name", edits)))
    return replace(seen, patroni=views)


def edit_backends(seen: Snapshot, edits: Mapping[str, Mapping[str, Any] | None]) -> Snapshot:
    """Return the snapshot with changes of some backends of Pgpool-II; None removes one."""
    assert seen.pgpool.value
    return replace(seen, pgpool=_edited(seen.pgpool, nodes=_edited_rows(seen.pgpool.value.nodes, "hostname", edits)))


def edit_proxy(seen: Snapshot, proxy: str, name: str, status: str | None) -> Snapshot:
    """Return the snapshot with another status of a row of HAProxy; None removes it."""
    assert seen.haproxy.value
    rows = [row for row in seen.haproxy.value.proxies if (row.proxy, row.name) != (proxy, name)]
    rows += [Proxy(proxy, name, status, 0)] if status is not None else []
    return replace(seen, haproxy=_edited(seen.haproxy, proxies=tuple(rows)))


def _edited(answer: Seen[Any], **changes: Any) -> Seen[Any]:
    value: Any = answer.value
    return Seen(replace(value, **changes))


def _edited_rows(rows: tuple[Any, ...], key: str, edits: Mapping[str, Mapping[str, Any] | None]) -> tuple[Any, ...]:
    changes = ((row, edits.get(getattr(row, key), {})) for row in rows)
    return tuple(replace(row, **change) for row, change in changes if change is not None)
