"""The reader at the read-only door."""

from __future__ import annotations

from poolkeeper.drill import client
from poolkeeper.observe import Access
from poolkeeper.system import postgres


def door(access: Access) -> client.Door:
    """The read-only door as the application's role. Each read is of the server itself, so no table is needed."""
    return client.Door("ro", access.lane("ro", "app", access.spec.roles.app_database), _select)


def _select(_: int) -> str:
    return f"SELECT {postgres.SERVED_BY}, pg_is_in_recovery()"
