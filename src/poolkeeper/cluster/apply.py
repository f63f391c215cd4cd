"""Execute a plan. No decision is made here: the plan holds the steps and their order.

Invariant: every step can be interrupted and run again. The files of a service are recorded only after the service took
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from poolkeeper.cluster import snapshot, startup
from poolkeeper.core.wait import NotYet, require, wait_for
from poolkeeper.decide import drift, planning, repair
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.plan import Action, Plan, PlanStep
from poolkeeper.render import compose_file, patroni_config
from poolkeeper.system import compose, etcd, patroni, state


async def walk(steps: Plan, ctx: startup.OperationContext) -> None:
    """Execute every step. The removals come first; the starts follow together, because they are one bring-up."""
    starts = [service for step in steps.steps if step.action is Action.START for service in step.services]
    for step in (step for step in steps.steps if step.action is Action.REMOVE):
        await _walk_one(step, ctx)
    if starts:
        await startup.start(ctx, starts)
    for step in steps.steps:
        if step.action not in (Action.START, Action.REMOVE):
            await _walk_one(step, ctx)


async def _walk_one(step: PlanStep, ctx: startup.OperationContext) -> None:
    handlers: dict[Action, Callable[[PlanStep, startup.OperationContext], Awaitable[None]]] = {
        Action.REMOVE: _remove,
        Action.RECREATE: _recreate,
        Action.RELOAD: _reload,
        Action.RESTART: _restart,
        Action.PATCH: _patch,
        Action.RESTART_POSTGRES: _restart_postgres,
        Action.ATTACH: _attach,
    }
    with ctx.progress.step(str(step)):
        await handlers[step.action](step, ctx)


async def _remove(step: PlanStep, ctx: startup.OperationContext) -> None:
    for service in step.services:
        volume = compose_file.volume_name(ctx.cluster.spec, service)
        await asyncio.to_thread(compose.remove_service, ctx.cluster.spec.name, service, volume=volume)


async def _recreate(step: PlanStep, ctx: startup.OperationContext) -> None:
    await asyncio.to_thread(compose.up, ctx.cluster.project, step.services, recreate=True)
    await _settle(ctx, step.services)


async def _restart(step: PlanStep, ctx: startup.OperationContext) -> None:
    for service in step.services:
        await asyncio.to_thread(compose.restart, ctx.cluster.container(service))
    await _settle(ctx, step.services)


async def _settle(ctx: startup.OperationContext, services: Sequence[str]) -> None:
    """Wait until the disturbed services serve again, so that the next step disturbs a healthy cluster."""
    startup.record(ctx, services)
    spec = ctx.cluster.spec
    if any(service in {node.name for node in spec.nodes} for service in services):
        await startup.wait_nodes(ctx)
    for service in (s for s in services if s in {m.name for m in spec.etcd.members}):

        async def healthy(service: str = service) -> None:
            seen = await snapshot.observe(etcd.observe(ctx.cluster.address(service), spec.timeouts.query))
            if not (seen.value and seen.value.healthy):
                raise NotYet(seen.error or f"{service} has no quorum")

        await wait_for(f"{service}'s return", healthy, seconds=spec.timeouts.up)


async def _reload(step: PlanStep, ctx: startup.OperationContext) -> None:
    spec = ctx.cluster.spec
    for service in step.services:
        if service == spec.haproxy.service:
            await asyncio.to_thread(compose.signal, ctx.cluster.container(service), "USR2")
        elif service in spec.endpoint_by_service():
            await asyncio.to_thread(compose.execute, ctx.cluster.container(service), ["reload.sh"])
        else:
            await patroni.reload(ctx.cluster.address(service), ctx.cluster.rest_auth, spec.timeouts.query)
    startup.record(ctx, step.services)


async def _patch(step: PlanStep, ctx: startup.OperationContext) -> None:
    """Patch Patroni's configuration, wait until every node has it, then restart the nodes that need it.

    The standbys restart first. A second round follows where a value must rise on the standbys before it may fall on the
    primary, or the reverse.
    """
    spec, limit = ctx.cluster.spec, ctx.cluster.spec.timeouts.query
    await patroni.patch_config(ctx.cluster.address(step.services[0]), dict(step.change), ctx.cluster.rest_auth, limit)
    names = list(step.change.get("postgresql", {}).get("parameters", {}))
    await wait_for("the nodes taking the new configuration", _taken(ctx, names), seconds=6 * spec.patroni.loop_wait)
    for _ in range(2):
        actual = await read_actual(ctx)
        for pending in planning.pending_restarts(spec, actual):
            await _walk_one(pending, ctx)


def _taken(ctx: startup.OperationContext, names: Sequence[str]) -> Callable[[], Awaitable[None]]:
    """Return the check that each node has the new value of each parameter, or Patroni's mark of a pending restart."""
    declared = patroni_config.dynamic_config(ctx.cluster.spec)["postgresql"]["parameters"]
    wanted = {name: declared[name] for name in names if name in declared}

    async def check() -> None:
        views = await snapshot.observe_patroni(ctx.cluster.spec, ctx.cluster.spec.timeouts.query)
        pending = {m.name for v in views.values() if v.value for m in v.value.members if m.pending_restart}
        for node in (n.name for n in ctx.cluster.spec.nodes if n.name not in pending):
            differing = await snapshot.differing_settings(
                ctx.cluster.node(node), wanted, ctx.cluster.spec.timeouts.query
            )
            require(f"{node} still has {', '.join(differing)}" if differing else None)

    return check


async def _restart_postgres(step: PlanStep, ctx: startup.OperationContext) -> None:
    for node in step.services:
        await patroni.restart_postgres(ctx.cluster.address(node), ctx.cluster.rest_auth, ctx.cluster.spec.timeouts.up)
    await startup.wait_nodes(ctx)


async def _attach(step: PlanStep, ctx: startup.OperationContext) -> None:
    pool = ctx.cluster.container(ctx.cluster.spec.endpoints.balanced.service)
    index = {node.name: i for i, node in enumerate(ctx.cluster.spec.nodes)}
    for node in step.services:
        await asyncio.to_thread(compose.execute, pool, ["attach_node.sh", str(index[node])])


async def read_actual(ctx: startup.OperationContext, seen: Snapshot | None = None) -> planning.Actual:
    """Return the actual state in the planner's form; `seen` is a snapshot that was taken just now, if there is one."""
    spec, limit = ctx.cluster.spec, ctx.cluster.spec.timeouts.query
    containers = seen.containers.value if seen else None
    if containers is None:
        containers = await snapshot.observe_containers(spec)
    running = [n.name for n in spec.nodes if n.name in containers and containers[n.name].is_running]
    if seen is None:
        seen = Snapshot(at="", patroni=await snapshot.observe_patroni(spec, limit) if running else {})
    view = drift.patroni_view(seen)
    dynamic = None
    if view and view.leader:
        dynamic = (await snapshot.observe(patroni.read_config(ctx.cluster.address(view.leader), limit))).value
    return planning.Actual(
        containers=containers,
        applied=state.read_applied(ctx.cluster.folder),
        dynamic=dynamic,
        leader=view.leader if view else None,
        pending_restart=frozenset(m.name for m in view.members if m.pending_restart) if view else frozenset(),
        former=state.read_former(ctx.cluster.folder),
    )


async def repair_pgpool(ctx: startup.OperationContext, seen: Snapshot) -> PlanStep | None:
    """Execute the next repair of Pgpool-II's view, if there is one; return that step."""
    step = repair.pgpool_repair(ctx.cluster.spec, seen)
    if step:
        await _walk_one(step, ctx)
    return step
