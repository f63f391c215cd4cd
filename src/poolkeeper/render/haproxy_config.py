"""HAProxy's configuration: the endpoints, the dashboard, and two inner ports that follow the roles.

A direct endpoint is an endpoint of its own with an inner port's servers behind it. It has no server by itself, so whatever ends,
drains or holds the sessions of the inner port (its checks, keeper, a node that leaves) does the same to the endpoint's.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.model import proxies
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_postgresql import Node
from poolkeeper.render import patroni_config, sockets, templating

POSTGRES_PORT = 5432
# Clients of a full direct endpoint that the kernel keeps until a session ends.
BACKLOG = 4096  # as many as it keeps at all (net.core.somaxconn)
# A connection attempt to a node, in ms; measured: after a refusal HAProxy 3.0 waits this long, at most a second.
INNER_CONNECT_MS = 500


@dataclass(frozen=True)
class BackendServer:
    """Where a node's PostgreSQL is met, and the words for its check, which asks its Patroni."""

    place: str
    check: str


def _server(spec: ClusterSpec, node: Node) -> BackendServer:
    if node.name in sockets.nodes(spec):
        place = f"unix@{sockets.path(node.name, POSTGRES_PORT)}"
        return BackendServer(place, f"check addr {node.address} port {patroni_config.REST_PORT}")
    return BackendServer(f"{node.address}:{POSTGRES_PORT}", f"check port {patroni_config.REST_PORT}")


def config(spec: ClusterSpec) -> str:
    """`haproxy.cfg`. The dashboard's password is an environment variable that the container's entry point sets."""
    endpoints = [("rw", spec.endpoints.rw), ("ro", spec.endpoints.ro)]
    direct = spec.direct_sessions()
    return templating.fill(
        "haproxy.cfg.j2",
        spec=spec,
        proxy=spec.haproxy,
        endpoints=endpoints,
        direct=[
            (key, endpoint.port, direct[key], proxies.BEHIND[key]) for key, endpoint in spec.direct_endpoints().items()
        ],
        backlog=BACKLOG,
        sockets=sockets if sockets.endpoints(spec) else None,
        servers={node.name: _server(spec, node) for node in spec.nodes},
        spare=proxies.SPARE_CHILDREN,
        inner_connect_ms=min(INNER_CONNECT_MS, spec.haproxy.connect_timeout_ms),
        fallback=proxies.fallback if spec.keeper.read_fallback == "primary" else None,
        max_sessions=sum(2 * endpoint.num_init_children for _, endpoint in endpoints) + sum(direct.values()) + 4096,
    )
