"""The files for clients: `pg_service.conf` and `pgpass`."""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.model.endpoint_keys import BALANCED, RO, RW
from poolkeeper.model.spec import ClusterSpec


def client_host(spec: ClusterSpec) -> str:
    """Return the host name for clients on this machine."""
    bind = str(spec.network.bind_address)
    return "127.0.0.1" if bind == "0.0.0.0" else bind


def endpoints(spec: ClusterSpec) -> dict[str, int]:
    """Return the host port of each service of `pg_service.conf`: the endpoints' keys, and node1, node2 and so on."""
    endpoints = {RW: spec.endpoints.rw.port, RO: spec.endpoints.ro.port, BALANCED: spec.endpoints.balanced.port}
    direct = {key: endpoint.port for key, endpoint in spec.direct_endpoints().items()}
    return {**endpoints, **direct, **{f"node{i}": node.port for i, node in enumerate(spec.nodes, start=1)}}


def service_file(spec: ClusterSpec) -> str:
    """Return `pg_service.conf`: a section for each service, with the application's role and database."""
    head = "# PGSERVICEFILE=.poolkeeper/pg_service.conf PGPASSFILE=.poolkeeper/pgpass psql service=rw\n"
    return head + "".join(
        f"\n[{name}]\nhost={client_host(spec)}\nport={port}\nuser={spec.roles.app}\ndbname={spec.roles.app_database}\n"
        for name, port in endpoints(spec).items()
    )


def password_file(spec: ClusterSpec, passwords: Mapping[str, str]) -> str:
    """Return `pgpass`: a line for each port and each role of `passwords` (role → password)."""
    return "".join(
        f"{client_host(spec)}:{port}:*:{_escape(role)}:{_escape(password)}\n"
        for role, password in passwords.items()
        for port in endpoints(spec).values()
    )


def _escape(part: str) -> str:
    return part.replace("\\", "\\\\").replace(":", "\\:")
