"""Where HAProxy meets PostgreSQL and the Pgpool-II of an endpoint by Unix sockets: a volume in memory that only they mount.

Each of them has a folder of its own there, which its entry point makes (POOLKEEPER_SOCKETS), so that several may listen
on the same port. A socket's name is PostgreSQL's: `.s.PGSQL.` and the port.
"""

from __future__ import annotations

from poolkeeper.model.spec import ClusterSpec

VOLUME = "sockets"
ROOT = "/run/sockets"
ENDPOINTS = ("rw", "ro")  # the endpoints behind HAProxy
# Everybody may make a folder there, and nobody takes another's away: the users of the images differ.
DRIVER = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,mode=1777"}


def folder(service: str) -> str:
    """A service's own folder."""
    return f"{ROOT}/{service}"


def path(service: str, port: int) -> str:
    """The socket of a service's port."""
    return f"{folder(service)}/.s.PGSQL.{port}"


def endpoints(spec: ClusterSpec) -> frozenset[str]:
    """The Pgpool-II that HAProxy meets by sockets, in both directions; none where TCP is declared."""
    return frozenset(getattr(spec.endpoints, key).service for key in ENDPOINTS if spec.haproxy.unix_sockets)


def nodes(spec: ClusterSpec) -> frozenset[str]:
    """The nodes whose PostgreSQL HAProxy meets by sockets; their Patroni it asks by TCP in any case."""
    return frozenset(node.name for node in spec.nodes if spec.haproxy.node_sockets)


def members(spec: ClusterSpec) -> frozenset[str]:
    """The services that share the volume; none where all is TCP."""
    met = endpoints(spec) | nodes(spec)
    return met | {spec.haproxy.service} if met else met
