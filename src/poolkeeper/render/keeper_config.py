"""The keeper's file: the part of the declared cluster that it uses, so that no other edit restarts it."""

from __future__ import annotations

from typing import Any

from poolkeeper.model import endpoint_keys
from poolkeeper.model.spec import ClusterSpec

_PART: dict[str, Any] = {
    "name": True,
    "nodes": True,
    "etcd": {"members"},
    "replication": {"max_read_lag_bytes"},
    "pgpool": {"pcp_port"},
    "endpoints": {endpoint: {"service", "address", "port"} for endpoint in endpoint_keys.POOLED},
    "haproxy": {"service", "address", "primary_port", "standby_port", "runtime_port"},
    "keeper": True,
    "roles": {"check", "pcp"},
}


def config(spec: ClusterSpec) -> str:
    """Return `cluster.json`. Its omitted keys have their defaults when the keeper reads it."""
    return spec.model_dump_json(indent=1, include=_PART) + "\n"
