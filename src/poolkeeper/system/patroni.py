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
    """Return the cluster as the Patroni at `address` reports it."""
    document = await http.fetch_json(_url(address, "cluster"), timeout=timeout)
    return read_view(document)


def read_view(document: dict[str, Any]) -> PatroniView:
    """Read the document of `/cluster`; the lag is absent on the leader, and "unknown" where Patroni has no value."""
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
    """Return Patroni's own version; /patroni answers 200 also while PostgreSQL is down."""
    document = await http.fetch_json(_url(address, "patroni"), timeout=timeout)
    return str(document["patroni"]["version"])


async def read_config(address: str, timeout: float) -> dict[str, Any]:
    """Return the shared configuration, which is in etcd.

    Raises:
        ServerRefused: with code "json", if the answer is no configuration.
    """
    document = await http.fetch_json(_url(address, "config"), timeout=timeout)
    if not isinstance(document, dict):
        raise errors.ServerRefused(f"Patroni at {address} gave no configuration", code="json")
    return document


async def patch_config(address: str, change: dict[str, Any], auth: http.Auth, timeout: float) -> None:
    """Change the shared configuration; None removes a key."""
    await http.fetch(_url(address, "config"), timeout=timeout, auth=auth, method="PATCH", body=change)


async def reload(address: str, auth: http.Auth, timeout: float) -> None:
    """Make one Patroni read its file again."""
    await http.fetch(_url(address, "reload"), timeout=timeout, auth=auth, method="POST")


async def restart_postgres(address: str, auth: http.Auth, timeout: float) -> None:
    """Restart PostgreSQL on one node and wait for it; Patroni keeps the lease meanwhile."""
    await http.fetch(_url(address, "restart"), timeout=timeout, auth=auth, method="POST", body={"timeout": timeout})


async def switchover(
    address: str, leader: str, auth: http.Auth, timeout: float, *, candidate: str | None = None
) -> None:
    """Move the primary role from `leader` to `candidate`, and wait until another node holds the lease.

    Without a candidate, Patroni chooses the node.

    Raises:
        ServerRefused: with the HTTP status: 412 if `leader` does not lead or no node is eligible, 503 if the switchover
            failed.
    """
    body = {"leader": leader, **({"candidate": candidate} if candidate else {})}
    await http.fetch(_url(address, "switchover"), timeout=timeout, auth=auth, method="POST", body=body)


async def accepts_writes(address: str, timeout: float) -> bool:
    """Return whether this node holds the lease and its PostgreSQL has left recovery.

    `/primary` answers 200 as soon as the node holds the lease.
    """
    try:
        document = await http.fetch_json(_url(address, "primary"), timeout=timeout)
    except errors.ServerRefused as e:
        if e.code == "503":
            return False
        raise
    return str(document.get("role")) in ("primary", "master")


async def replayed(address: str, timeout: float) -> int | None:
    """Return the position up to which a standby has replayed, in bytes; None for a node that is no standby.

    The position that Patroni 4.0 publishes in etcd is the *received* one.
    """
    document = await http.fetch_json(_url(address, "patroni"), timeout=timeout)
    position = document.get("xlog", {}).get("replayed_location")
    return position if isinstance(position, int) else None


async def reinitialize(address: str, auth: http.Auth, timeout: float) -> None:
    """Make a standby delete its data and clone again, in any state; return once it has started.

    Raises:
        ServerRefused: with code 503, if there is no leader, or the node is the leader.
    """
    await http.fetch(_url(address, "reinitialize"), timeout=timeout, auth=auth, method="POST", body={"force": True})


async def is_paused(address: str, timeout: float) -> bool:
    """Return whether this Patroni itself is in maintenance mode.

    `/cluster` reports the value in etcd, `/patroni` the one that this Patroni has applied.
    """
    document = await http.fetch_json(_url(address, "patroni"), timeout=timeout)
    return document.get("pause") is True
