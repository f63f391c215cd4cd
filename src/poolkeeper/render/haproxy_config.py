"""HAProxy's configuration: the endpoints, the dashboard, and two inner ports that follow the roles.

A direct endpoint is a frontend of its own with the servers of an inner port. Checks, keeper and a node that leaves
end, drain or hold the sessions of the inner port. They do the same to the sessions of the endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.model import proxies
from poolkeeper.model.endpoint_keys import RO, RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_postgresql import Node
from poolkeeper.render import patroni_config, sockets, templating

POSTGRES_PORT = 5432
# Clients of a full direct endpoint that wait in the kernel until a session ends; the default of net.core.somaxconn.
BACKLOG = 4096
# Limit of a connection attempt to a node, in ms. Measured: after a refusal HAProxy 3.0 waits this long, at most 1 s.
INNER_CONNECT_MS = 500


@dataclass(frozen=True)
class BackendServer:
    """The address of a node's PostgreSQL, and the options for its check, which queries its Patroni."""

    address: str
    check: str


def _server(spec: ClusterSpec, node: Node) -> BackendServer:
    if node.name in sockets.nodes(spec):
        address = f"unix@{sockets.path(node.name, POSTGRES_PORT)}"
        return BackendServer(address, f"check addr {node.address} port {patroni_config.REST_PORT}")
    return BackendServer(f"{node.address}:{POSTGRES_PORT}", f"check port {patroni_config.REST_PORT}")


def config(spec: ClusterSpec) -> str:
    """Return `haproxy.cfg`. The container's entry point sets the dashboard's password as an environment variable."""
    endpoints = [(RW, spec.endpoints.rw), (RO, spec.endpoints.ro)]
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
