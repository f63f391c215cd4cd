"""Bringing containers up, in the order in which they need each other, and noticing at once when one dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import wait_until
from poolkeeper.decide import planning
from poolkeeper.model.observed import Container
from poolkeeper.system import compose, etcd, patroni, state

MEMBER_SECONDS = 1.0  # that a member of the store has to serve before the next one is started without it
HASTE = 0.3  # seconds between two requests to Patroni that it look around
ENDLESS = 3  # restarts by the engine since we began: it will not come up by itself


@dataclass(frozen=True)
class Context:
    """What a step needs: the cluster, the rendered files, and where progress goes."""

    cluster: Cluster
    files: Mapping[str, str]
    progress: Progress
    prepare_endpoints: Callable[[], None] = lambda: None  # what must be there before the first endpoint starts
    restarts: Mapping[str, int] = field(default_factory=dict)  # how often the engine had restarted each, before


async def start(ctx: Context, services: Sequence[str]) -> None:
    """Bring services up: the store, the nodes, then what routes to them."""
    spec = ctx.cluster.spec
    etcds, nodes, outer = ([s for s in stage if s in services] for stage in planning.stages(spec))
    thawed = await asyncio.to_thread(_unpause, ctx, services)
    # The balanced endpoint's Pgpool looks at the nodes when it starts; the others follow Patroni whenever it speaks.
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
            # A Pgpool-II that starts sooner would lose a node again: keeper detaches one that Patroni calls "starting".
            await _wait_reported(ctx, leader)
        await asyncio.gather(bring(ctx, late), _hasten_quorum(ctx, leader))
    else:
        await bring(ctx, late)
    record(ctx, [service for service in services if service not in thawed])


async def _compose_up(ctx: Context, services: Sequence[str]) -> None:
    """Create and start services by Compose, which knows what has become of each."""
    if services:
        with ctx.progress.step(f"starting {', '.join(services)}"):
            await asyncio.to_thread(compose.up, ctx.cluster.project, services)


async def _start_created(ctx: Context, services: Sequence[str]) -> None:
    """Start services whose containers were created just now: by the engine alone, which is quicker.

    One after another: side by side is no quicker, and takes the processors from the node that initializes.
    """
    if services:
        with ctx.progress.step(f"starting {', '.join(services)}"):
            await asyncio.to_thread(compose.start, [ctx.cluster.container(service) for service in services])


def _unpause(ctx: Context, services: Sequence[str]) -> list[str]:
    """Let those that are paused go on: with the files that they read at their start."""
    containers = compose.containers(ctx.cluster.spec.name)
    paused = [name for name in services if name in containers and containers[name].state == "paused"]
    for service in paused:
        compose.unpause(containers[service].name)
    return paused


async def _start_first_time(ctx: Context, etcds: list[str], nodes: list[str]) -> None:
    """Everything is created at once; then the store and the nodes start side by side.

    A node's supervisor waits for the store before it starts Patroni, which would look for it again only after 5 s; and
    it sees to it that the first declared node makes the cluster.
    """
    with ctx.progress.step("creating the containers"):
        await asyncio.to_thread(compose.create, ctx.cluster.project)
    with ctx.progress.step(f"starting {', '.join([*etcds, *nodes])}"):
        start_nodes = asyncio.to_thread(compose.start, [ctx.cluster.container(node) for node in nodes])
        await asyncio.gather(_start_members(ctx, etcds), start_nodes)
    await asyncio.to_thread(ctx.prepare_endpoints)


async def _start_members(ctx: Context, members: list[str]) -> None:
    for member in members:
        await _start_member(ctx, member)


async def _start_member(ctx: Context, member: str) -> None:
    """A member of the store, until it serves, or a second has passed.

    At its first start it asks each other one whether there is a cluster already. One that is not there refuses at once;
    one that is just being started swallows the question, and costs a second.
    """
    await asyncio.to_thread(compose.start, [ctx.cluster.container(member)])

    async def serves() -> str | None:
        return (await snapshot.see(etcd.serves_peers(ctx.cluster.address(member), MEMBER_SECONDS))).error or None

    with suppress(errors.DeadlinePassed):
        await wait_until(f"an answer of {member}", serves, seconds=MEMBER_SECONDS, pause=0.02)


async def wait_nodes(ctx: Context) -> None:
    """Wait for one primary that every other node streams from, and for its quorum as far as that can be hastened."""
    leader = await _wait_streaming(ctx)
    await _wait_reported(ctx, leader)
    await _hasten_quorum(ctx, leader)


async def _wait_streaming(ctx: Context) -> str:
    """Wait for one primary, by Patroni's and its own word, that every other node streams from; its name."""
    spec = ctx.cluster.spec
    names = [node.name for node in spec.nodes]
    leader: str | None = None

    async def look() -> str | None:
        nonlocal leader
        leader = leader or await _leader(ctx)
        if leader is None:
            return "no primary yet"
        server = (await snapshot.see_postgres(ctx.cluster, leader)).value
        if server is None or server.in_recovery:
            missing, leader = f"{leader} is not open for writes yet", None
            return missing
        streaming = {sender.application for sender in server.senders if sender.state == "streaming"}
        waiting = [name for name in names if name != leader and name not in streaming]
        return f"not streaming yet: {', '.join(waiting)}" if waiting else None

    everyone = [*(member.name for member in spec.etcd.members), *names]
    await while_alive(ctx, everyone, wait_until("streaming replication", look, seconds=spec.timeouts.up, pause=0.2))
    assert leader is not None
    return leader


async def _leader(ctx: Context) -> str | None:
    """The leader by the word of the first Patroni that names one: they all read it from etcd, so one is enough."""
    for node in ctx.cluster.spec.nodes:
        seen = await snapshot.see(patroni.observe(ctx.cluster.address(node.name), ctx.cluster.spec.timeouts.query))
        if seen.value and seen.value.leader:
            return seen.value.leader
    return None


async def _wait_reported(ctx: Context, leader: str) -> None:
    """Wait until Patroni knows of every node that it runs; a few of its rounds at the most, and then without it.

    A Patroni that never says so keeps the cluster from getting green, and is named there.
    """
    spec = ctx.cluster.spec
    address, limit = ctx.cluster.address(leader), spec.timeouts.query

    async def known() -> str | None:
        view = (await snapshot.see(patroni.observe(address, limit))).value
        states = {member.name: member.state for member in view.members} if view else {}
        starting = [node.name for node in spec.nodes if states.get(node.name) not in ("running", "streaming")]
        return f"not running by Patroni's word: {', '.join(starting)}" if starting else None

    with suppress(errors.DeadlinePassed):
        await wait_until("the standbys' reports to Patroni", known, seconds=2 * spec.patroni.loop_wait, pause=0.1)


async def _hasten_quorum(ctx: Context, leader: str) -> None:
    """Have Patroni take the standbys that it knows to run into the quorum now, not only when it next looks around.

    A PATCH that changes nothing makes it look; one look may come too early, so it is asked until PostgreSQL has them
    all. Where it fails, the cluster only gets green later: no answer matters.
    """
    spec, declared = ctx.cluster.spec, ctx.cluster.spec.replication
    standbys = [node.name for node in spec.nodes if node.name != leader]
    wanted = {"quorum": len(standbys), "on": declared.quorum_acknowledgements, "off": 0}[declared.synchronous_mode]
    same, limit = {"loop_wait": spec.patroni.loop_wait}, spec.timeouts.query

    async def counted() -> str | None:
        server = (await snapshot.see_postgres(ctx.cluster, leader)).value
        names = server.synchronous_standby_names if server else ""
        if sum(standby in names for standby in standbys) >= wanted:
            return None
        await snapshot.see(patroni.patch_config(ctx.cluster.address(leader), same, ctx.cluster.rest_auth, limit))
        return f"not in the quorum yet: {names or 'nobody is'}"

    with suppress(errors.DeadlinePassed):
        await wait_until("the quorum", counted, seconds=2 * spec.patroni.loop_wait, pause=HASTE)


async def while_alive(ctx: Context, services: Sequence[str], work: Coroutine[None, None, None]) -> None:
    """Do `work`; stop it and raise ContainerDied as soon as one of the services' containers dies."""
    task, guard = asyncio.ensure_future(work), asyncio.ensure_future(_guard(ctx, services))
    try:
        await asyncio.wait({task, guard}, return_when=asyncio.FIRST_COMPLETED)
        if guard.done() and not task.done():
            guard.result()
        await task
    finally:
        guard.cancel()
        task.cancel()


async def _guard(ctx: Context, services: Sequence[str]) -> None:
    """Look every two seconds, not more often: each look starts programs on a machine that is busy starting others."""
    while True:
        await raise_if_died(ctx, services, await snapshot.see_containers(ctx.cluster.spec))
        await asyncio.sleep(2)


async def raise_if_died(ctx: Context, services: Sequence[str], containers: Mapping[str, Container]) -> None:
    """Raise ContainerDied, with its last log lines, if one of these containers ended or keeps ending."""
    for service in services:
        container = containers.get(service)
        if container is None:
            continue
        again = container.restarts - ctx.restarts.get(service, 0)
        if container.state in ("exited", "dead") or again >= ENDLESS:
            log = await asyncio.to_thread(compose.tail, container.name)
            memory = " (out of memory)" if container.oom_killed else ""
            raise errors.ContainerDied(
                f"the container {container.name} ended with {container.exit_code}{memory}",
                detail=log,
                hint=f"All of its log: poolkeeper logs {service}. Then try `poolkeeper up` again, "
                "or begin anew with `poolkeeper down` (removes the data).",
            )


def record(ctx: Context, services: Sequence[str]) -> None:
    """Note that these services took the rendered files as they are now."""
    for service in services:
        state.record_applied(ctx.cluster.folder, planning.files_of(ctx.cluster.spec, service, ctx.files))
