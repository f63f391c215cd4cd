"""Every file of a cluster, by its path below the folder that holds them.

Invariant: the same spec and images give the same bytes, and no password is in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import compose, etcd, haproxy, keeper, patroni, pgpool, psql


def render(spec: ClusterSpec, images: Mapping[str, str]) -> dict[str, str]:
    """Every file of the cluster: relative path → text. `images` maps each of compose.ROLES to a reference."""
    files = {"compose.yml": compose.text(spec, images), "pg_service.conf": psql.service_file(spec)}
    for member in spec.etcd.members:
        files[f"etcd/{member.name}/etcd.yml"] = etcd.config(spec, member)
    for node in spec.nodes:
        files[f"patroni/{node.name}/patroni.yml"] = patroni.node_config(spec, node)
    for key in ("rw", "ro", "pool"):
        service = getattr(spec.lanes, key).service
        files[f"pgpool/{service}/pgpool.conf"] = pgpool.config(spec, key)
        files[f"pgpool/{service}/pool_hba.conf"] = pgpool.host_rules()
    files["haproxy/haproxy.cfg"] = haproxy.config(spec)
    files["keeper/cluster.json"] = keeper.config(spec)
    return files
