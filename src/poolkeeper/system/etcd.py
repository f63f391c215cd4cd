"""etcd's HTTP gateway (etcd 3.5: docs, "gRPC gateway")."""

from __future__ import annotations

import re

from poolkeeper.core import errors
from poolkeeper.model.diagnosis import EtcdLoad
from poolkeeper.model.observed import EtcdView
from poolkeeper.system import http

PORT, PEER_PORT = 2379, 2380


async def observe(address: str, timeout: float) -> EtcdView:
    """Return one member's version, and whether it can serve a linearizable read (/health answers 503 if not)."""
    version = str((await http.fetch_json(f"http://{address}:{PORT}/version", timeout=timeout))["etcdserver"])
    try:
        health = await http.fetch_json(f"http://{address}:{PORT}/health", timeout=timeout)
    except errors.ServerRefused as e:
        if e.code != "503":
            raise
        return EtcdView(version, healthy=False)
    return EtcdView(version, str(health.get("health")) == "true")


async def serves_peers(address: str, timeout: float) -> None:
    """Ask a member on its peer port, where it answers before there is a leader; its client port answers only after.

    Raises:
        Unreachable: if the member does not answer within `timeout` seconds.
    """
    await http.fetch(f"http://{address}:{PEER_PORT}/version", timeout=timeout)


_SAMPLE = re.compile(r'^(etcd_\w+)(?:\{le="([^"]+)"\})? ([0-9.e+-]+)$', re.MULTILINE)
_FSYNCS = "etcd_disk_wal_fsync_duration_seconds_bucket"


async def observe_load(address: str, timeout: float) -> EtcdLoad:
    """Return one member's size, its quota and the log writes since its start, from its metrics."""
    return read_load((await http.fetch(f"http://{address}:{PORT}/metrics", timeout=timeout)).text)


def read_load(text: str) -> EtcdLoad:
    """Return the load in the metrics of etcd 3.5.

    Raises:
        ServerRefused: with code "metrics", if a needed metric is missing.
    """
    samples = [(name, bound, float(value)) for name, bound, value in _SAMPLE.findall(text)]
    plain = {name: value for name, bound, value in samples if not bound}
    fsyncs = sorted((float(bound), int(value)) for name, bound, value in samples if name == _FSYNCS)
    try:
        return EtcdLoad(
            db_bytes=int(plain["etcd_mvcc_db_total_size_in_bytes"]),
            quota_bytes=int(plain["etcd_server_quota_backend_bytes"]),
            fsyncs=tuple(fsyncs),
            heartbeat_failures=int(plain["etcd_server_heartbeat_send_failures_total"]),
            leader_changes=int(plain["etcd_server_leader_changes_seen_total"]),
        )
    except KeyError as e:
        raise errors.ServerRefused(f"etcd's metrics lack {e.args[0]}", code="metrics") from e
