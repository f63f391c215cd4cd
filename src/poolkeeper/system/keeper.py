"""The keeper's API, as `keeper/api.py` serves it."""

from __future__ import annotations

from typing import Any

from poolkeeper import errors
from poolkeeper.model.observed import KeeperView
from poolkeeper.system import http


async def observe(host: str, port: int, timeout: float) -> KeeperView:
    """What the keeper says of itself. Raises ServerRefused (code "json") if this is no keeper."""
    return read_view(await http.fetch_json(f"http://{host}:{port}/status", timeout=timeout))


def read_view(document: dict[str, Any]) -> KeeperView:
    """`/status` → a view."""
    try:
        return KeeperView(
            healthy=bool(document["healthy"]),
            primary=document["primary"],
            blind=tuple(
                f"{name}: {document[name]}" for name in ("store", "pool", "routes") if document[name] != "known"
            ),
            maintenance=bool(document["maintenance"]),
            open_matters=tuple(map(str, document["open"])),
            drift_seconds=float(document["drift_seconds"]),
            last=tuple(document["last"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise errors.ServerRefused("this is not the keeper's status (it lacks what a keeper says)", code="json") from e
