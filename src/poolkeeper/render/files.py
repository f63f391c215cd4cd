"""All rendered files of a cluster, by their path in the folder of rendered files.

Invariant: the same spec and images give the same bytes, and no file has a password.
"""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.model import endpoint_keys
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import (
    client_files,
    compose_file,
    etcd_config,
    haproxy_config,
    keeper_config,
    patroni_config,
    pgpool_config,
)


def render(spec: ClusterSpec, images: Mapping[str, str]) -> dict[str, str]:
    """Return every file: relative path → text. `images` maps each of compose_file.ROLES to a reference."""
    files = {"compose.yml": compose_file.text(spec, images), "pg_service.conf": client_files.service_file(spec)}
    for member in spec.etcd.members:
        files[f"etcd/{member.name}/etcd.yml"] = etcd_config.config(spec, member)
    for node in spec.nodes:
        files[f"patroni/{node.name}/patroni.yml"] = patroni_config.node_config(spec, node)
    for key in endpoint_keys.POOLED:
        service = getattr(spec.endpoints, key).service
        files[f"pgpool/{service}/pgpool.conf"] = pgpool_config.config(spec, key)
        files[f"pgpool/{service}/pool_hba.conf"] = pgpool_config.host_rules()
    files["haproxy/haproxy.cfg"] = haproxy_config.config(spec)
    files["keeper/cluster.json"] = keeper_config.config(spec)
    return files
