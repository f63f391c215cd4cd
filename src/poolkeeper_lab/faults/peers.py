"""Whom a victim is cut off from, by the declared cluster and the victim's name.

Invariant: pure; the victim is never among its own peers. An empty answer means that there is nobody, never everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import haproxy_config as haproxy_render
from poolkeeper.render import sockets

Peers = Callable[[ClusterSpec, str], Sequence[str]]  # services, of the cluster and the victim's name


def etcd(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The other members of etcd; all of them for anybody else."""
    return [member.name for member in spec.etcd.members if member.name != victim]


def next_etcd(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The member of etcd that is declared after this one, the first one for the last."""
    members = [member.name for member in spec.etcd.members]
    return [name for name in [members[(members.index(victim) + 1) % len(members)]] if name != victim]


def nodes(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The other PostgreSQL nodes; all of them for anybody else."""
    return [node.name for node in spec.nodes if node.name != victim]


def next_node(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The node that is declared after this one, the first one for the last."""
    names = [node.name for node in spec.nodes]
    return [name for name in [names[(names.index(victim) + 1) % len(names)]] if name != victim]


def haproxy(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The endpoint."""
    return [name for name in [spec.haproxy.service] if name != victim]


def keeper(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The keeper."""
    return [name for name in [spec.keeper.service] if name != victim]


def balanced_endpoint(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """The Pgpool-II that knows the nodes."""
    return [name for name in [spec.endpoints.balanced.service] if name != victim]


def other_side(spec: ClusterSpec, victim: str) -> Sequence[str]:
    """Everybody but the node and the member of etcd that share a machine, if each machine had one of each."""
    pairs = [(node.name, beside(spec, node.name)) for node in spec.nodes]
    side = next((pair for pair in pairs if victim in pair), (victim, victim))
    return [service for service in spec.addresses() if service not in side]


def beside(spec: ClusterSpec, node: str) -> str:
    """The member of etcd that shares a node's machine, if each machine had one of each: by the order declared."""
    names, members = [n.name for n in spec.nodes], spec.etcd.members
    return members[names.index(node) % len(members)].name


def unmet(spec: ClusterSpec, victim: str, others: Sequence[str] = (), ports: Sequence[int] = ()) -> str:
    """Why a fault of the network meets nothing between a victim and these others (none: everybody); "" if it does.

    `ports`: only packets of these are met (none: of all).
    """
    endpoint, endpoints = spec.haproxy.service, sockets.endpoints(spec)
    between = {victim, *others}
    if (bool(endpoints) and between <= endpoints | {endpoint}) if others else victim in endpoints:
        return "no packet passes between HAProxy and this Pgpool-II (haproxy.unix_sockets)"
    of_servers = bool(ports) and set(ports) <= {haproxy_render.POSTGRES_PORT}
    if of_servers and others and endpoint in between and between <= sockets.nodes(spec) | {endpoint}:
        return "no packet passes between HAProxy and PostgreSQL (haproxy.node_sockets)"
    return ""
