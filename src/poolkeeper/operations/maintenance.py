"""Maintenance mode: Patroni stops electing and keeper keeps its hands off, until it is ended.

Invariant: it has begun, or ended, only when the Patroni of every running node says so itself.
"""

from __future__ import annotations

import asyncio

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import wait_until
from poolkeeper.decide import maintenance_checks as decide
from poolkeeper.model.observed import Seen
from poolkeeper.system import patroni, state

ROUNDS = 5  # of Patroni's loop, until each must have taken notice


def set_mode(cluster: Cluster, wanted: bool, progress: Progress) -> bool:
    """Begin or end it; was anything changed? Raises ClusterNotUp, Unreachable, ServerRefused, DeadlinePassed."""
    with state.lock(cluster.folder):
        return asyncio.run(_set_mode(cluster, wanted, progress))


async def _set_mode(cluster: Cluster, wanted: bool, progress: Progress) -> bool:
    cluster = cluster.with_passwords()
    spec, limit = cluster.spec, cluster.spec.timeouts.query
    nodes = await _running(cluster)
    answers = await _ask(cluster, nodes)
    answering = [node for node, seen in answers.items() if seen.is_known]
    if not answering:
        raise errors.Unreachable("no Patroni answers", hint="`poolkeeper status` shows every witness.")
    if decide.unaware(wanted, answers) is None:
        return False
    address = str(spec.addresses()[answering[0]])
    await patroni.patch_config(address, {"pause": wanted or None}, cluster.rest_auth, limit)

    async def look() -> str | None:
        return decide.unaware(wanted, await _ask(cluster, nodes))

    title = f"maintenance mode is {'on' if wanted else 'off'} on {', '.join(nodes)}"
    with progress.step(title):
        await wait_until(title, look, seconds=ROUNDS * spec.patroni.loop_wait + limit)
    return True


async def _running(cluster: Cluster) -> list[str]:
    """The nodes whose container runs: nobody else has a Patroni that could take notice."""
    containers = await snapshot.observe_containers(cluster.spec)
    nodes = [node.name for node in cluster.spec.nodes if node.name in containers and containers[node.name].is_running]
    if not nodes:
        raise errors.ClusterNotUp("no node of the cluster runs", hint="Start it with: make pgpool-up")
    return nodes


async def _ask(cluster: Cluster, nodes: list[str]) -> dict[str, Seen[bool]]:
    addresses, limit = cluster.spec.addresses(), cluster.spec.timeouts.query
    answers = (snapshot.observe(patroni.is_paused(str(addresses[node]), limit)) for node in nodes)
    return dict(zip(nodes, await asyncio.gather(*answers), strict=True))
