"""`down`: remove a cluster with its data, and nothing that is not its own.

Invariant: only containers, networks and volumes with the cluster's label are removed. Images stay.
"""

from __future__ import annotations

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.system import compose, docker_engine, state


def down(cluster: Cluster, purge: bool, progress: Progress) -> None:
    """Remove the containers, the network and the volumes; with `purge`, the state folder too.

    If the file's `name` was edited since the last `up`, the cluster of the former name is removed as well.

    Raises:
        EngineMissing: no container engine answers.
        StateLocked: another command is changing this cluster.
    """
    with state.lock(cluster.folder):
        if not docker_engine.probe().answers:
            raise errors.EngineMissing(
                "no container engine answers, so nothing can be removed",
                hint="Start it (poolkeeper engine), then run this again.",
            )
        former = state.read_former(cluster.folder)
        for name in sorted({cluster.spec.name, former.name if former else cluster.spec.name}):
            with progress.step(f"removing containers, network and volumes of {name}"):
                gone = compose.remove_all(name)
            progress.note(f"removed {gone.containers} containers, {gone.networks} network, {gone.volumes} volumes")
        state.forget_cluster(cluster.folder)
        if purge:
            state.purge(cluster.folder)
