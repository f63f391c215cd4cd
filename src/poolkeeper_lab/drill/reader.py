"""The reader at the read-only door."""

from __future__ import annotations

from poolkeeper.cluster.handle import Access
from poolkeeper.system import postgres
from poolkeeper_lab.drill import drill_client


def door(access: Access) -> drill_client.ClientDoor:
    """The read-only door as the application's role. Each read is of the server itself, so no table is needed."""
    return drill_client.ClientDoor("ro", access.lane("ro", "app", access.spec.roles.app_database), _select)


def _select(_: int) -> str:
    return f"SELECT {postgres.SERVED_BY}, pg_is_in_recovery()"
