"""Start containers in the order in which they need each other, and notice at once when one of them ends.

Invariant: a started service is recorded with the rendered files that it read, and only after its start.
Not promised: a complete quorum, or a complete report by Patroni. Both waits are bounded, and the health checks name
what is still missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import NotYet, require, wait_for
from poolkeeper.decide import planning
from poolkeeper.model.observed import Container
from poolkeeper.system import compose, etcd, patroni, state

T = TypeVar("T")
MEMBER_SECONDS = 1.0  # the time that an etcd member has to serve before the next one is started
REFRESH_PAUSE = 0.3  # seconds between two requests that make Patroni run its loop
GUARD_PAUSE = 2.0  # seconds between two checks of the containers: each check starts programs on a busy machine
RESTART_LIMIT = 3  # restarts by the engine during this start: the container will not come up without a repair


@dataclass(frozen=True)
class OperationContext:
    """The cluster's handle, and beside it what one operation adds: its rendered files, its progress, its preparation.

    `files` maps a path in the rendered folder to its text. `prepare_endpoints` runs before the first endpoint starts.
    `restarts` is the engine's restart count of each service before the operation.
    """

    cluster: Cluster
    files: Mapping[str, str]
    progress: Progress
    prepare_endpoints: Callable[[], None] = lambda: None
    restarts: Mapping[str, int] = field(default_factory=dict)


async def start(ctx: OperationContext, services: Sequence[str]) -> None:
    """Start services: etcd, the nodes, then HAProxy, Pgpool-II and the keeper.

    Raises:
        ContainerDied: if a container ends during the start.
        DeadlinePassed: if the standbys do not stream within timeouts.up seconds.
    """
    spec = ctx.cluster.spec
    etcds, nodes, outer = ([s for s in stage if s in services] for stage in planning.stages(spec))
    unpaused = await asyncio.to_thread(_unpause, ctx, services)
    # The balanced endpoint's Pgpool-II connects to the nodes at its start; the others follow Patroni at any time.
    late = [service for service in outer if service == spec.endpoints.balanced.service]
    early = [service for service in outer if service not in late]
    bring = _compose_up
    if nodes and not await asyncio.to_thread(compose.volumes, spec.name):
        await _start_first_time(ctx, etcds, nodes)
        bring = _start_created
    else:
        await _compose_up(ctx, [*etcds, *nodes])
        await asyncio.to_thread(ctx.prepare_endpoints)
    await bring(ctx, early)
    if nodes:
        with ctx.progress.step("waiting until every standby streams from the primary"):
            leader = await _wait_streaming(ctx)
            # A Pgpool-II that starts sooner loses a node: the keeper detaches a node that Patroni calls "starting".
            await _wait_reported(ctx, leader)
        await asyncio.gather(bring(ctx, late), _refresh_quorum(ctx, leader))
    else:
        await bring(ctx, late)
    record(ctx, [service for service in services if service not in unpaused])


async def _compose_up(ctx: OperationContext, services: Sequence[str]) -> None:
    """Create and start services by Compose, which checks the state of each container first."""
    if services:
        with ctx.progress.step(f"starting {', '.join(services)}"):
            await asyncio.to_thread(compose.up, ctx.cluster.project, services)


async def _start_created(ctx: OperationContext, services: Sequence[str]) -> None:
    """Start services whose containers were created just now, by the engine alone, which is quicker.

    The services start one after another. Side by side is no quicker, and takes the processors from the node that
    initializes.
    """
    if services:
        with ctx.progress.step(f"starting {', '.join(services)}"):
            await asyncio.to_thread(compose.start, [ctx.cluster.container(service) for service in services])


def _unpause(ctx: OperationContext, services: Sequence[str]) -> list[str]:
    """Unpause the paused services, which keep the files that they read at their start; return their names."""
    containers = compose.containers(ctx.cluster.spec.name)
    paused = [name for name in services if name in containers and containers[name].state == "paused"]
    for service in paused:
        compose.unpause(containers[service].name)
    return paused


async def _start_first_time(ctx: OperationContext, etcds: list[str], nodes: list[str]) -> None:
    """Create every container at once, then start etcd and the nodes side by side.

    A node's supervisor waits for etcd before it starts Patroni, because Patroni would retry etcd only after 5 s. The
    supervisor also makes sure that the first declared node bootstraps the cluster.
    """
    with ctx.progress.step("creating the containers"):
        await asyncio.to_thread(compose.create, ctx.cluster.project)
    with ctx.progress.step(f"starting {', '.join([*etcds, *nodes])}"):
        start_nodes = asyncio.to_thread(compose.start, [ctx.cluster.container(node) for node in nodes])
        await asyncio.gather(_start_members(ctx, etcds), start_nodes)
    await asyncio.to_thread(ctx.prepare_endpoints)


async def _start_members(ctx: OperationContext, members: list[str]) -> None:
    for member in members:
        await _start_member(ctx, member)


async def _start_member(ctx: OperationContext, member: str) -> None:
    """Start an etcd member, and wait until it serves or MEMBER_SECONDS have passed.

    At its first start, a member asks each other member whether a cluster exists. A member that does not run refuses the
    connection at once; a member that is just starting does not answer, which costs a second.
    """
    await asyncio.to_thread(compose.start, [ctx.cluster.container(member)])

    async def serves() -> None:
        require((await snapshot.observe(etcd.serves_peers(ctx.cluster.address(member), MEMBER_SECONDS))).error or None)

    with suppress(errors.DeadlinePassed):
        await wait_for(f"an answer of {member}", serves, seconds=MEMBER_SECONDS, pause=0.02)


async def wait_nodes(ctx: OperationContext) -> None:
    """Wait for one primary that every other node streams from; then force a refresh of its quorum.

    Raises:
        ContainerDied: if the container of a node or of an etcd member ends.
        DeadlinePassed: if the standbys do not stream within timeouts.up seconds.
    """
    leader = await _wait_streaming(ctx)
    await _wait_reported(ctx, leader)
    await _refresh_quorum(ctx, leader)


class _StreamingCheck:
    """The check for one primary that every other node streams from; it keeps the leader between two checks."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._leader: str | None = None

    async def __call__(self) -> str:
        """Return the primary's name."""
        leader = self._leader = self._leader or await _find_leader(self._cluster)
        if leader is None:
            raise NotYet("no primary yet")
        server = (await snapshot.observe_postgres(self._cluster, leader)).value
        if server is None or server.in_recovery:
            self._leader = None  # ask Patroni again: the leader may have changed
            raise NotYet(f"{leader} is not open for writes yet")
        streaming = {sender.application for sender in server.senders if sender.state == "streaming"}
        names = [node.name for node in self._cluster.spec.nodes]
        waiting = [name for name in names if name != leader and name not in streaming]
        require(f"not streaming yet: {', '.join(waiting)}" if waiting else None)
        return leader


async def _wait_streaming(ctx: OperationContext) -> str:
    """Wait for one primary that every other node streams from; return its name.

    Both Patroni and the server itself must report the primary.
    """
    spec = ctx.cluster.spec
    services = [*(member.name for member in spec.etcd.members), *(node.name for node in spec.nodes)]
    check = _StreamingCheck(ctx.cluster)
    streaming = wait_for("streaming replication", check, seconds=spec.timeouts.up, pause=0.2)
    return await while_alive(ctx, services, streaming)


async def _find_leader(cluster: Cluster) -> str | None:
    """Return the leader that the first answering Patroni names: all read it from etcd, so one answer is enough."""
    for node in cluster.spec.nodes:
        seen = await snapshot.observe(patroni.observe(cluster.address(node.name), cluster.spec.timeouts.query))
        if seen.value and seen.value.leader:
            return seen.value.leader
    return None


async def _wait_reported(ctx: OperationContext, leader: str) -> None:
    """Wait until Patroni reports every node as running, for two of its loops at most.

    Where Patroni never does, the cluster stays unhealthy and the health checks name the node.
    """
    spec = ctx.cluster.spec
    address, limit = ctx.cluster.address(leader), spec.timeouts.query

    async def reported() -> None:
        view = (await snapshot.observe(patroni.observe(address, limit))).value
        states = {member.name: member.state for member in view.members} if view else {}
        starting = [node.name for node in spec.nodes if states.get(node.name) not in ("running", "streaming")]
        require(f"not running according to Patroni: {', '.join(starting)}" if starting else None)

    with suppress(errors.DeadlinePassed):
        await wait_for("the standbys' reports to Patroni", reported, seconds=2 * spec.patroni.loop_wait, pause=0.1)


async def _refresh_quorum(ctx: OperationContext, leader: str) -> None:
    """Have Patroni add the running standbys to the quorum now, not at its next loop.

    A PATCH that changes nothing makes Patroni run its loop. One loop may come too early, so the PATCH is repeated until
    PostgreSQL lists every standby. A failure only delays the quorum, so no answer matters.
    """
    spec, declared = ctx.cluster.spec, ctx.cluster.spec.replication
    standbys = [node.name for node in spec.nodes if node.name != leader]
    wanted = {"quorum": len(standbys), "on": declared.quorum_acknowledgements, "off": 0}[declared.synchronous_mode]
    same, limit = {"loop_wait": spec.patroni.loop_wait}, spec.timeouts.query

    async def complete() -> None:
        server = (await snapshot.observe_postgres(ctx.cluster, leader)).value
        names = server.synchronous_standby_names if server else ""
        if sum(standby in names for standby in standbys) >= wanted:
            return
        await snapshot.observe(patroni.patch_config(ctx.cluster.address(leader), same, ctx.cluster.rest_auth, limit))
        raise NotYet(f"the quorum is not complete yet: {names or 'no standby'}")

    with suppress(errors.DeadlinePassed):
        await wait_for("the quorum", complete, seconds=2 * spec.patroni.loop_wait, pause=REFRESH_PAUSE)


async def while_alive(ctx: OperationContext, services: Sequence[str], work: Coroutine[Any, Any, T]) -> T:
    """Await `work` and return its value; stop it as soon as one of the services' containers ends.

    Raises:
        ContainerDied: if one of the containers ended.
    """
    task, guard = asyncio.ensure_future(work), asyncio.ensure_future(_guard(ctx, services))
    try:
        await asyncio.wait({task, guard}, return_when=asyncio.FIRST_COMPLETED)
        if guard.done() and not task.done():
            guard.result()
        return await task
    finally:
        guard.cancel()
        task.cancel()


async def _guard(ctx: OperationContext, services: Sequence[str]) -> None:
    """Check the containers every GUARD_PAUSE seconds; end only by raising."""
    while True:
        await raise_if_died(ctx, services, await snapshot.observe_containers(ctx.cluster.spec))
        await asyncio.sleep(GUARD_PAUSE)


async def raise_if_died(ctx: OperationContext, services: Sequence[str], containers: Mapping[str, Container]) -> None:
    """Raise ContainerDied if the container of one of the services ended or keeps ending.

    Raises:
        ContainerDied: with the last log lines of the first such container.
    """
    for service in services:
        container = containers.get(service)
        if container is None:
            continue
        restarts = container.restarts - ctx.restarts.get(service, 0)
        if container.state in ("exited", "dead") or restarts >= RESTART_LIMIT:
            log = await asyncio.to_thread(compose.tail, container.name)
            memory = " (out of memory)" if container.oom_killed else ""
            raise errors.ContainerDied(
                f"the container {container.name} ended with {container.exit_code}{memory}",
                detail=log,
                hint=f"Its full log: poolkeeper logs {service}. Then try `poolkeeper up` again, "
                "or start over with `poolkeeper down` (removes the data).",
            )


def record(ctx: OperationContext, services: Sequence[str]) -> None:
    """Record that these services took the rendered files as they are now."""
    for service in services:
        state.record_applied(ctx.cluster.folder, planning.files_of(ctx.cluster.spec, service, ctx.files))
