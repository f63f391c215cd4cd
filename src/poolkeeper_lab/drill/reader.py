"""The drill's reader at the read-only endpoint."""

from __future__ import annotations

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.endpoint_keys import RO
from poolkeeper.system import postgres
from poolkeeper_lab.drill import drill_client


def endpoint(cluster: Cluster) -> drill_client.ClientEndpoint:
    """Return the read-only endpoint as the application's role. Its reads need no table."""
    return drill_client.ClientEndpoint(RO, cluster.endpoint(RO, "app", cluster.spec.roles.app_database), _select)


def _select(_: int) -> str:
    return f"SELECT {postgres.SERVED_BY}, pg_is_in_recovery()"
