"""The reader at the read-only endpoint."""

from __future__ import annotations

from poolkeeper.cluster.handle import Access
from poolkeeper.system import postgres
from poolkeeper_lab.drill import drill_client


def endpoint(access: Access) -> drill_client.ClientEndpoint:
    """The read-only endpoint as the application's role. Each read is of the server itself, so no table is needed."""
    return drill_client.ClientEndpoint("ro", access.endpoint("ro", "app", access.spec.roles.app_database), _select)


def _select(_: int) -> str:
    return f"SELECT {postgres.SERVED_BY}, pg_is_in_recovery()"
