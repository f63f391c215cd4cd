"""etcd's configuration file, one for each member."""

from __future__ import annotations

import yaml

from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_postgresql import EtcdMember

CLIENT_PORT = 2379
PEER_PORT = 2380


def config(spec: ClusterSpec, member: EtcdMember) -> str:
    """Return the file of one member. It has names, not addresses: the name of a dead container fails at once."""
    initial = ",".join(f"{m.name}=http://{m.name}:{PEER_PORT}" for m in spec.etcd.members)
    return yaml.safe_dump(
        {
            "name": member.name,
            "data-dir": "/var/lib/etcd/data",
            "listen-peer-urls": f"http://0.0.0.0:{PEER_PORT}",
            "listen-client-urls": f"http://0.0.0.0:{CLIENT_PORT}",
            "advertise-client-urls": f"http://{member.name}:{CLIENT_PORT}",
            "initial-advertise-peer-urls": f"http://{member.name}:{PEER_PORT}",
            "initial-cluster": initial,
            "initial-cluster-token": spec.name,
            "initial-cluster-state": "new",
            "heartbeat-interval": spec.etcd.heartbeat_ms,
            "election-timeout": spec.etcd.election_ms,
            "auto-compaction-mode": "periodic",
            "auto-compaction-retention": "1h",
            "log-level": "warn",
        },
        sort_keys=False,
    )
