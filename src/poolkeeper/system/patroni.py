"""Patroni's REST API (Patroni 4: docs/rest_api). Reads are open; writes need the user of `roles.rest`."""

from __future__ import annotations

from typing import Any

from poolkeeper.core import errors
from poolkeeper.model.observed import PatroniMember, PatroniView
from poolkeeper.system import http

PORT = 8008


def _url(address: str, path: str) -> str:
    return f"http://{address}:{PORT}/{path}"


async def observe(address: str, timeout: float) -> PatroniView:
    """The cluster as the Patroni at `address` tells it."""
    document = await http.fetch_json(_url(address, "cluster"), timeout=timeout)
    return read_view(document)


def read_view(document: dict[str, Any]) -> PatroniView:
    """`/cluster` → a view. Lag is absent on the leader and the word "unknown" where Patroni cannot tell."""
    members = tuple(
        PatroniMember(
            name=member["name"],
            role=member["role"],
            state=member.get("state", "unknown"),
            timeline=member.get("timeline"),
            lag_bytes=member["lag"] if isinstance(member.get("lag"), int) else None,
            pending_restart=bool(member.get("pending_restart")),
        )
        for member in document.get("members", [])
    )
    return PatroniView(members, paused=bool(document.get("pause")))


async def observe_version(address: str, timeout: float) -> str:
    """Patroni's own version; /patroni answers 200 also while PostgreSQL is down."""
    document = await http.fetch_json(_url(address, "patroni"), timeout=timeout)
    return str(document["patroni"]["version"])


async def read_config(address: str, timeout: float) -> dict[str, Any]:
    """The shared configuration that lives in etcd."""
    document = await http.fetch_json(_url(address, "config"), timeout=timeout)
    if not isinstance(document, dict):
        raise errors.ServerRefused(f"Patroni at {address} gave no configuration", code="json")
    return document


async def patch_config(address: str, change: dict[str, Any], auth: http.Auth, timeout: float) -> None:
    """Change the shared configuration; a None removes a key."""
    await http.fetch(_url(address, "config"), timeout=timeout, auth=auth, method="PATCH", body=change)


async def reload(address: str, auth: http.Auth, timeout: float) -> None:
    """Have one Patroni read its file again."""
    await http.fetch(_url(address, "reload"), timeout=timeout, auth=auth, method="POST")


async def restart_postgres(address: str, auth: http.Auth, timeout: float) -> None:
    """Restart PostgreSQL on one node and wait for it; Patroni keeps the lease meanwhile."""
    await http.fetch(_url(address, "restart"), timeout=timeout, auth=auth, method="POST", body={"timeout": timeout})


async def switchover(
    address: str, leader: str, auth: http.Auth, timeout: float, *, candidate: str | None = None
) -> None:
    """Have `leader` hand its role to `candidate`, else to whom Patroni finds best; wait until another holds the lease.

    Raises ServerRefused with the HTTP status: 412 when `leader` does not lead or nobody is fit, 503 when it came to
    nothing.
    """
    body = {"leader": leader, **({"candidate": candidate} if candidate else {})}
    await http.fetch(_url(address, "switchover"), timeout=timeout, auth=auth, method="POST", body=body)


async def accepts_writes(address: str, timeout: float) -> bool:
    """Does this node hold the lease, and has its PostgreSQL left recovery? `/primary` is 200 as soon as it holds it."""
    try:
        document = await http.fetch_json(_url(address, "primary"), timeout=timeout)
    except errors.ServerRefused as e:
        if e.code == "503":
            return False
        raise
    return str(document.get("role")) in ("primary", "master")


async def replayed(address: str, timeout: float) -> int | None:
    """The position up to which a standby shows what was written, in bytes; None for a node that is none.

    What Patroni 4.0 publishes in etcd is how far the standby has *received*.
    """
    document = await http.fetch_json(_url(address, "patroni"), timeout=timeout)
    position = document.get("xlog", {}).get("replayed_location")
    return position if isinstance(position, int) else None


async def reinitialize(address: str, auth: http.Auth, timeout: float) -> None:
    """Have a standby throw its data away and clone anew, whatever it is doing; returns when it has begun.

    Raises ServerRefused with 503 when there is no leader, or it is the leader itself.
    """
    await http.fetch(_url(address, "reinitialize"), timeout=timeout, auth=auth, method="POST", body={"force": True})


async def is_paused(address: str, timeout: float) -> bool:
    """Is this very Patroni in maintenance mode? `/cluster` tells what etcd has, `/patroni` what it has taken."""
    document = await http.fetch_json(_url(address, "patroni"), timeout=timeout)
    return document.get("pause") is True
