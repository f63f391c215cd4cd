"""`stop`: stop every container of a cluster, and keep its data.

Invariant: a service stops before those that it depends on.
"""

from __future__ import annotations

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import compose, state


def stop(cluster: Cluster, progress: Progress) -> bool:
    """Stop every container; return False if the cluster has none.

    Raises:
        StateLocked: another command is changing this cluster.
        EngineFailed: the engine could not stop a container.
    """
    spec = cluster.spec
    with state.lock(cluster.folder):
        if not compose.containers(spec.name):
            return False
        with progress.step("stopping every container; the data stays"):
            compose.stop_all(spec.name, stop_order(spec), spec.timeouts.stop)
    return True


def stop_order(spec: ClusterSpec) -> list[list[str]]:
    """Return the services in the order in which they stop: HAProxy and Pgpool-II, then the nodes, then etcd."""
    endpoints = [spec.haproxy.service, *spec.endpoint_by_service()]
    return [endpoints, [node.name for node in spec.nodes], [member.name for member in spec.etcd.members]]
