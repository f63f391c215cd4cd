"""etcd's HTTP gateway (etcd 3.5: docs, "gRPC gateway")."""

from __future__ import annotations

from poolkeeper import errors
from poolkeeper.model.observed import EtcdView
from poolkeeper.system import http

PORT, PEER_PORT = 2379, 2380


async def observe(address: str, timeout: float) -> EtcdView:
    """One member: its version, and whether it can serve a linearizable read (/health answers 503 if it can't)."""
    version = str((await http.fetch_json(f"http://{address}:{PORT}/version", timeout=timeout))["etcdserver"])
    try:
        health = await http.fetch_json(f"http://{address}:{PORT}/health", timeout=timeout)
    except errors.ServerRefused as e:
        if e.code != "503":
            raise
        return EtcdView(version, healthy=False)
    return EtcdView(version, str(health.get("health")) == "true")


async def serves_peers(address: str, timeout: float) -> None:
    """Raises Unreachable unless the member answers its peers; its clients it answers only once there is a leader."""
    await http.fetch(f"http://{address}:{PEER_PORT}/version", timeout=timeout)
