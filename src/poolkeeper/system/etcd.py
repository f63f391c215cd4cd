"""etcd's HTTP gateway (etcd 3.5: docs, "gRPC gateway")."""

from __future__ import annotations

import base64

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


async def has_key(address: str, key: str, timeout: float) -> bool:
    """Does the key exist? A linearizable read, so it needs a quorum."""
    body = {"key": base64.b64encode(key.encode()).decode(), "count_only": True}
    answer = await http.fetch_json(f"http://{address}:{PORT}/v3/kv/range", timeout=timeout, method="POST", body=body)
    return int(answer.get("count", 0)) > 0
