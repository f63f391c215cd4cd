"""etcd's HTTP gateway (etcd 3.5: docs, "gRPC gateway")."""

from __future__ import annotations

from poolkeeper import errors
from poolkeeper.model.observed import EtcdView
from poolkeeper.system import http

PORT = 2379


async def observe(address: str, timeout: float) -> EtcdView:
    """One member: its version, and whether it can serve a linearizable read (/health answers 503 if it can't)."""
    version = await http.fetch_json(f"http://{address}:{PORT}/version", timeout=timeout)
    try:
        health = await http.fetch_json(f"http://{address}:{PORT}/health", timeout=timeout)
    except errors.ServerRefused as e:
        if e.code != "503":
            raise
        return EtcdView(str(version["etcdserver"]), healthy=False)
    return EtcdView(str(version["etcdserver"]), str(health.get("health")) == "true")
