"""Bringing containers up, in the order in which they need each other, and noticing at once when one dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

from poolkeeper import errors, observe
from poolkeeper.decide import plan
from poolkeeper.model.observed import Container
from poolkeeper.model.progress import Progress
from poolkeeper.system import compose, etcd, patroni, state
from poolkeeper.wait import wait_for

ENDLESS = 3  # restarts by the engine since we began: it will not come up by itself


@dataclass(frozen=True)
class Context:
    """What a step needs: the cluster, its folder and Compose project, the rendered files, and where progress goes."""

    access: observe.Access
    folder: state.State
    project: compose.Project
    files: Mapping[str, str]
    progress: Progress
    prepare_lanes: Callable[[], None] = lambda: None  # what must be there before the first lane starts
    restarts: Mapping[str, int] = field(default_factory=dict)  # how often the engine had restarted each, before

    def container(self, service: str) -> str:
        """A service's container name."""
        return self.access.spec.container_name(service)

    def address(self, service: str) -> str:
        """A service's address."""
        return str(self.access.spec.addresses()[service])


async def start(ctx: Context, services: Sequence[str]) -> None:
    """Bring services up: the store, the nodes, then what routes to them."""
    spec = ctx.access.spec
    etcds, nodes, outer = ([s for s in stage if s in services] for stage in plan.stages(spec))
    thawed = await asyncio.to_thread(_unpause, ctx, services)
    # The balanced lane's Pgpool looks at the nodes when it starts; the others follow Patroni whenever it speaks.
    late = [service for service in outer if service == spec.lanes.pool.service]
    early = [service for service in outer if service not in late]
    if nodes and not await asyncio.to_thread(compose.volumes, spec.name):
        await _start_first_time(ctx, etcds, nodes)
    elif etcds or nodes:
        await _compose_up(ctx, [*etcds, *nodes])
    await asyncio.to_thread(ctx.prepare_lanes)
    await _compose_up(ctx, early)
    if nodes:
        with ctx.progress.step("waiting until every standby streams from the primary"):
            await wait_nodes(ctx)
    await _compose_up(ctx, late)
    record(ctx, [service for service in services if service not in thawed])


async def _compose_up(ctx: Context, services: Sequence[str]) -> None:
    """Start services: those just created by the engine alone, which is quicker; the others by Compose."""
    if services:
        with ctx.progress.step(f"starting {', '.join(services)}"):
            fresh = await asyncio.to_thread(compose.start_created, ctx.access.spec.name, services)
            rest = [service for service in services if service not in fresh]
            if rest:
                await asyncio.to_thread(compose.up, ctx.project, rest)


def _unpause(ctx: Context, services: Sequence[str]) -> list[str]:
    """Let those that are paused go on: with the files that they read at their start."""
    containers = compose.containers(ctx.access.spec.name)
    paused = [name for name in services if name in containers and containers[name].state == "paused"]
    for service in paused:
        compose.unpause(containers[service].name)
    return paused


async def _start_first_time(ctx: Context, etcds: list[str], nodes: list[str]) -> None:
    """The first declared node must win the race to initialize: the others start once it has."""
    first, spec = ctx.access.spec.nodes[0].name, ctx.access.spec
    await _compose_up(ctx, [*etcds, first])
    with ctx.progress.step(f"initializing the database on {first}, creating the other containers"):
        key, store = f"/service/{spec.name}/initialize", ctx.address(spec.etcd.members[0].name)

        async def initialized() -> str | None:
            seen = await observe.see(etcd.has_key(store, key, spec.timeouts.query))
            return None if seen.value else seen.error or f"{first} has not begun to initialize"

        begun = while_alive(ctx, [*etcds, first], wait_for(f"the initialization by {first}", initialized, seconds=60))
        others = asyncio.to_thread(_create_rest, ctx)
        await asyncio.gather(others, begun)
    await _compose_up(ctx, [node for node in nodes if node != first])


def _create_rest(ctx: Context) -> None:
    compose.create(ctx.project)
    ctx.prepare_lanes()


async def wait_nodes(ctx: Context) -> None:
    """Wait for one primary, by its own and its Patroni's word, that every other node streams from."""
    spec = ctx.access.spec
    names = [node.name for node in spec.nodes]

    async def look() -> str | None:
        views = await observe.see_patroni(spec, spec.timeouts.query)
        leader = next((n for n, seen in views.items() if seen.value and seen.value.leader == n), None)
        if leader is None:
            return "no primary yet"
        server = (await observe.see_postgres(ctx.access, leader)).value
        if server is None or server.in_recovery:
            return f"{leader} is not open for writes yet"
        streaming = {sender.application for sender in server.senders if sender.state == "streaming"}
        waiting = [name for name in names if name != leader and name not in streaming]
        if waiting:
            return f"not streaming yet: {', '.join(waiting)}"
        # Patroni takes standbys into the quorum when it next looks around. A PATCH that changes nothing makes it look
        # now; where it is refused, only the wait is longer, so its answer does not matter.
        same = {"loop_wait": spec.patroni.loop_wait}
        address, limit = ctx.address(leader), spec.timeouts.query
        await observe.see(patroni.patch_config(address, same, ctx.access.rest_auth, limit))
        return None

    everyone = [*(member.name for member in spec.etcd.members), *names]
    await while_alive(ctx, everyone, wait_for("streaming replication", look, seconds=spec.timeouts.up, pause=0.25))


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
        await raise_if_died(ctx, services, await observe.see_containers(ctx.access.spec))
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
        state.record_applied(ctx.folder, plan.files_of(ctx.access.spec, service, ctx.files))
