"""`restart`: restart PostgreSQL on one node after the other; the primary comes last, after a switchover.

Invariant: the cluster is observed again before each node's restart. A node that is out stops the round where it is: the
remaining nodes are not restarted, and the same command begins the round again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from poolkeeper.cluster import startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import wait_for
from poolkeeper.decide import preconditions, restart_checks
from poolkeeper.operations import operation, switchover
from poolkeeper.operations.operation import Done, OperationSteps
from poolkeeper.system import patroni, state


@dataclass(frozen=True)
class RestartRound:
    """The result of a restart: the nodes in their order, the switchover if there was one, and the steps."""

    nodes: tuple[str, ...]
    switchover: switchover.SwitchoverSummary | None
    steps: tuple[Done, ...]


def restart(cluster: Cluster, node: str | None, progress: Progress) -> RestartRound:
    """Restart PostgreSQL on every node, or on `node` only.

    Raises:
        UsageError: the name is not a node.
        OperationRefused: a precondition forbids the restart of the next node.
        DeadlinePassed: a node, or the wait after it, took too long.
        ServerRefused: Patroni refused.
    """
    if node is not None:
        operation.require_node(cluster, node)
    with state.lock(cluster.folder):
        return asyncio.run(_restart_all(operation.open_context(cluster, progress), node))


async def _restart_all(ctx: startup.OperationContext, node: str | None) -> RestartRound:
    steps, summary = OperationSteps(ctx.progress), None
    seen = await operation.observe(ctx)
    nodes = restart_checks.order(ctx.cluster.spec, seen, node)
    found = restart_checks.check(ctx.cluster.spec, seen, node)
    operation.require_allowed("the restart", found)
    operation.warn(ctx.progress, found)
    for name in nodes:
        before = await operation.started_at(ctx, name)
        if preconditions.agreed_leader(await operation.observe(ctx)) == name:
            with steps.step(f"{name} is the primary: switching over"):
                summary = await switchover.run(ctx, None)
        if summary and await operation.started_at(ctx, name) not in (None, before):
            ctx.progress.note(f"PostgreSQL on {name} was restarted by the switchover")
            continue
        with steps.step(f"restarting PostgreSQL on {name}"):
            await _restart(ctx, name)
    return RestartRound(nodes, summary, tuple(steps.done))


async def _restart(ctx: startup.OperationContext, node: str) -> None:
    """Restart one standby, and wait until every component has the new process in its place."""
    spec = ctx.cluster.spec
    seen = await operation.observe(ctx)
    operation.require_allowed(f"the restart of {node}", restart_checks.check(spec, seen, node))
    leader = preconditions.agreed_leader(seen)
    assert leader is not None, "without a leader no precondition allows it"
    assert leader != node, "the leader is switched over first"
    before = await operation.started_at(ctx, node)
    await patroni.restart_postgres(ctx.cluster.address(node), ctx.cluster.rest_auth, spec.timeouts.up)

    async def check() -> None:
        await operation.require_restarted(ctx, node, before)

    await wait_for(f"the restart of {node}", check, seconds=spec.timeouts.up)
    await operation.wait_settled(ctx, leader, (*operation.participants(ctx, seen), node))
