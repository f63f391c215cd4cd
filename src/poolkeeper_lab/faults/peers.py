"""The peers that a victim is cut off from, by the declared cluster and the victim's name.

Invariant: pure; the victim is never among its own peers. An empty answer means that there is no peer, never all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import haproxy_config, sockets

Peers = Callable[[ClusterSpec, str], Sequence[str]]  # returns services, for the cluster and the victim's name


def etcd(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return the members of etcd other than the victim."""
    return [member.name for member in spec.etcd.members if member.name != victim]


def next_etcd(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return the member of etcd that is declared after the victim; after the last one, the first."""
    members = [member.name for member in spec.etcd.members]
    return [name for name in [members[(members.index(victim) + 1) % len(members)]] if name != victim]


def nodes(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return the PostgreSQL nodes other than the victim."""
    return [node.name for node in spec.nodes if node.name != victim]


def next_node(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return the node that is declared after the victim; after the last one, the first."""
    names = [node.name for node in spec.nodes]
    return [name for name in [names[(names.index(victim) + 1) % len(names)]] if name != victim]


def haproxy(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return HAProxy."""
    return [name for name in [spec.haproxy.service] if name != victim]


def keeper(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return the keeper."""
    return [name for name in [spec.keeper.service] if name != victim]


def balanced_endpoint(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return the balanced endpoint's Pgpool-II."""
    return [name for name in [spec.endpoints.balanced.service] if name != victim]


def other_side(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Return all services except a node and its member of etcd, as if each machine had one of each."""
    pairs = [(node.name, beside(spec, node.name)) for node in spec.nodes]
    side = next((pair for pair in pairs if victim in pair), (victim, victim))
    return [service for service in spec.addresses() if service not in side]


def beside(spec: ClusterSpec, node: str) -> str:
    """Return the member of etcd on a node's machine, as if each machine had one of each, by the declared order."""
    names, members = [n.name for n in spec.nodes], spec.etcd.members
    return members[names.index(node) % len(members)].name


def unmet(spec: ClusterSpec, victim: str, others: Sequence[str] = (), ports: Sequence[int] = ()) -> str:
    """Return why a network fault between a victim and others (none: all) has no effect; "" if it has one.

    `ports`: the fault hits only packets of these ports (none: of all).
    """
    haproxy_service, endpoints = spec.haproxy.service, sockets.endpoints(spec)
    between = {victim, *others}
    if (bool(endpoints) and between <= endpoints | {haproxy_service}) if others else victim in endpoints:
        return "no packet passes between HAProxy and this Pgpool-II (haproxy.unix_sockets)"
    of_servers = bool(ports) and set(ports) <= {haproxy_config.POSTGRES_PORT}
    if of_servers and others and haproxy_service in between and between <= sockets.nodes(spec) | {haproxy_service}:
        return "no packet passes between HAProxy and PostgreSQL (haproxy.node_sockets)"
    return ""
