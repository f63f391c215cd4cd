"""`maintenance`: pause Patroni's elections and keeper's repairs, until the mode is switched off.

Invariant: the mode is on, or off, only when the Patroni of every running node reports so itself.
"""

from __future__ import annotations

import asyncio

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import require, wait_for
from poolkeeper.decide import maintenance_checks
from poolkeeper.model.observed import Seen
from poolkeeper.operations import operation
from poolkeeper.system import patroni, state

ROUNDS = 5  # of Patroni's loop, within which each member must have read the new setting


def set_mode(cluster: Cluster, wanted: bool, progress: Progress) -> bool:
    """Switch maintenance mode on or off; return False if it was so already.

    Raises:
        ClusterNotUp: no node runs.
        Unreachable: no Patroni answers.
        ServerRefused: Patroni refused the setting.
        DeadlinePassed: a running node has not taken it in time.
    """
    with state.lock(cluster.folder):
        return asyncio.run(_set_mode(cluster.with_passwords(), wanted, progress))


async def _set_mode(cluster: Cluster, wanted: bool, progress: Progress) -> bool:
    nodes = await _running(cluster)
    answers = await _ask(cluster, nodes)
    answering = [node for node, seen in answers.items() if seen.is_known]
    if not answering:
        raise errors.Unreachable("no Patroni answers", hint=operation.STATUS_HINT)
    if maintenance_checks.unaware(wanted, answers) is None:
        return False
    address = cluster.address(answering[0])
    await patroni.patch_config(address, {"pause": wanted or None}, cluster.rest_auth, cluster.query_limit)

    async def check() -> None:
        require(maintenance_checks.unaware(wanted, await _ask(cluster, nodes)))

    title = f"maintenance mode is {'on' if wanted else 'off'} on {', '.join(nodes)}"
    seconds = ROUNDS * cluster.spec.patroni.loop_wait + cluster.query_limit
    with progress.step(title):
        await wait_for(title, check, seconds=seconds)
    return True


async def _running(cluster: Cluster) -> list[str]:
    """Return the nodes whose container runs: only they have a Patroni."""
    containers = await snapshot.observe_containers(cluster.spec)
    nodes = [node.name for node in cluster.spec.nodes if node.name in containers and containers[node.name].is_running]
    if not nodes:
        raise errors.ClusterNotUp("no node of the cluster runs", hint="Start it with: poolkeeper up")
    return nodes


async def _ask(cluster: Cluster, nodes: list[str]) -> dict[str, Seen[bool]]:
    answers = (snapshot.observe(patroni.is_paused(cluster.address(node), cluster.query_limit)) for node in nodes)
    return dict(zip(nodes, await asyncio.gather(*answers), strict=True))
