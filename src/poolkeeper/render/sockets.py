"""The Unix sockets between HAProxy, PostgreSQL and Pgpool-II, in a memory volume that only they mount.

Each service has its own folder there, which its entry point creates (POOLKEEPER_SOCKETS), so several services may
listen on the same port. A socket's name is PostgreSQL's: `.s.PGSQL.` and the port.
"""

from __future__ import annotations

from poolkeeper.model import endpoint_keys
from poolkeeper.model.spec import ClusterSpec

VOLUME = "sockets"
ROOT = "/run/sockets"
# The users of the images differ: each may create a folder, and none may remove that of another (sticky bit).
DRIVER = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=1777"}


def folder(service: str) -> str:
    """Return the folder of a service."""
    return f"{ROOT}/{service}"


def path(service: str, port: int) -> str:
    """Return the socket of a service's port."""
    return f"{folder(service)}/.s.PGSQL.{port}"


def endpoints(spec: ClusterSpec) -> frozenset[str]:
    """Return the Pgpool-II services that use sockets with HAProxy, in both directions; none with TCP."""
    return frozenset(
        getattr(spec.endpoints, key).service for key in endpoint_keys.POOLED_BEHIND_HAPROXY if spec.haproxy.unix_sockets
    )


def nodes(spec: ClusterSpec) -> frozenset[str]:
    """Return the nodes whose PostgreSQL HAProxy reaches by a socket; it checks their Patroni by TCP."""
    return frozenset(node.name for node in spec.nodes if spec.haproxy.node_sockets)


def members(spec: ClusterSpec) -> frozenset[str]:
    """Return the services that share the volume; none with TCP only."""
    servers = endpoints(spec) | nodes(spec)
    return servers | {spec.haproxy.service} if servers else servers
