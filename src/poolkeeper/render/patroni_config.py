"""Patroni's configuration: the shared part in etcd, and a file for each node. Neither has a password."""

from __future__ import annotations

from typing import Any

import yaml

from poolkeeper.model.observed import NODE_PARAMETER
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_postgresql import Node
from poolkeeper.render import etcd_config, sockets

REST_PORT = 8008
DATA_DIRECTORY = "/var/lib/postgresql/data/pgdata"
SOCKETS = "/var/run/postgresql"


def dynamic_config(spec: ClusterSpec) -> dict[str, Any]:
    """Return the part that all members share. Patroni keeps it in etcd, where `up` patches it after an edit."""
    mode = {"quorum": "quorum", "on": True, "off": False}[spec.replication.synchronous_mode]
    return {
        "ttl": spec.patroni.ttl,
        "loop_wait": spec.patroni.loop_wait,
        "retry_timeout": spec.patroni.retry_timeout,
        "maximum_lag_on_failover": spec.patroni.maximum_lag_on_failover,
        # After a crash, a standby with every acknowledged write takes over, and this node does not recover first.
        # Without synchronous replication no standby is known to have them; then Patroni's default time applies.
        **({"primary_start_timeout": 0} if mode else {}),
        "synchronous_mode": mode,
        "synchronous_mode_strict": spec.replication.synchronous_mode_strict,
        "synchronous_node_count": spec.replication.quorum_acknowledgements,
        "postgresql": {
            "use_pg_rewind": True,
            "use_slots": True,
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
            "parameters": _parameters(spec),
            "pg_hba": _host_rules(spec),
        },
    }


def _parameters(spec: ClusterSpec) -> dict[str, Any]:
    server = spec.postgresql
    return {
        **server.parameters,
        "max_connections": server.max_connections,
        "superuser_reserved_connections": server.superuser_reserved_connections,
        "max_wal_senders": server.max_wal_senders,
        "max_replication_slots": server.max_replication_slots,
        "password_encryption": "scram-sha-256",
        "wal_level": "replica",
        "hot_standby": "on",
    }


def _host_rules(spec: ClusterSpec) -> list[str]:
    """Return pg_hba.conf: SCRAM for every connection, also by the local socket; replication from the network only."""
    return [
        "local all all scram-sha-256",
        f"local replication {spec.roles.replication} scram-sha-256",
        f"host replication {spec.roles.replication} 127.0.0.1/32 scram-sha-256",
        f"host replication {spec.roles.replication} {spec.network.subnet} scram-sha-256",
        "host all all all scram-sha-256",
    ]


def node_config(spec: ClusterSpec, node: Node) -> str:
    """Return `patroni.yml` of one node."""
    return yaml.safe_dump(
        {
            "scope": spec.name,
            "name": node.name,
            "log": {"level": "INFO", "format": "%(asctime)s %(levelname)s: %(message)s"},
            "restapi": {
                "listen": f"0.0.0.0:{REST_PORT}",
                "connect_address": f"{node.name}:{REST_PORT}",
                "authentication": {"username": spec.roles.rest},
            },
            "etcd3": {"hosts": [f"{m.name}:{etcd_config.CLIENT_PORT}" for m in spec.etcd.members]},
            "bootstrap": {
                "dcs": dynamic_config(spec),
                "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
                "post_bootstrap": "/usr/local/bin/post_bootstrap.sh",
            },
            "postgresql": _local_server(spec, node),
            "tags": {"nofailover": False, "noloadbalance": False, "clonefrom": False},
        },
        sort_keys=False,
        width=120,
    )


def _local_server(spec: ClusterSpec, node: Node) -> dict[str, Any]:
    by_socket = node.name in sockets.nodes(spec)
    return {
        "listen": "0.0.0.0:5432",
        "connect_address": f"{node.name}:5432",
        "data_dir": DATA_DIRECTORY,
        "bin_dir": f"/usr/lib/postgresql/{spec.postgresql.version}/bin",
        "pgpass": "/run/poolkeeper/patroni.pgpass",
        "use_unix_socket": True,
        "use_unix_socket_repl": True,
        "parameters": {
            # Patroni uses the first one.
            "unix_socket_directories": ",".join([SOCKETS, *([sockets.folder(node.name)] if by_socket else [])]),
            NODE_PARAMETER: node.name,
        },
        "authentication": {
            "superuser": {"username": spec.roles.superuser},
            "replication": {"username": spec.roles.replication},
            "rewind": {"username": spec.roles.rewind},
        },
        "basebackup": [{"checkpoint": "fast"}],
        # In the part of the node, because they are programs of its image.
        "pre_promote": "/usr/local/bin/before_promotion.sh",
        "before_stop": "/usr/local/bin/before_stop.sh",
        "callbacks": dict.fromkeys(("on_start", "on_restart", "on_role_change"), "/usr/local/bin/on_role_change.sh"),
    }
