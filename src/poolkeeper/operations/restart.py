"""Restart PostgreSQL on one node after the other, the primary last and only after it has handed its role over.

Invariant: before each node's turn everything is looked at anew, and a node that is out stops the round where it is: the
rest is not begun, and the same command goes through all of them again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from poolkeeper.cluster import startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import wait_until
from poolkeeper.decide import preconditions as facts
from poolkeeper.decide import restart_checks as decide
from poolkeeper.operations import operation
from poolkeeper.operations import switchover as handover
from poolkeeper.operations.operation import Done, OperationSteps
from poolkeeper.system import patroni, state


@dataclass(frozen=True)
class RestartRound:
    """What was done: the nodes in their order, the switchover if there was one, and the steps."""

    nodes: tuple[str, ...]
    switchover: handover.SwitchoverSummary | None
    steps: tuple[Done, ...]


def restart(cluster: Cluster, node: str | None, progress: Progress) -> RestartRound:
    """Restart PostgreSQL on every node, or on `node`. Raises OperationRefused, DeadlinePassed, ServerRefused."""
    if node is not None:
        operation.require_node(cluster, node)
    with state.lock(cluster.folder):
        return asyncio.run(_round(operation.open_context(cluster, progress), node))


async def _round(ctx: startup.Context, node: str | None) -> RestartRound:
    steps, summary = OperationSteps(ctx.progress), None
    seen = await operation.look(ctx)
    nodes = decide.order(ctx.cluster.spec, seen, node)
    judged = decide.check(ctx.cluster.spec, seen, node)
    operation.require("the restart", judged)
    operation.warn(ctx.progress, judged)
    for name in nodes:
        before = await operation.started_at(ctx, name)
        if facts.agreed_leader(await operation.look(ctx)) == name:
            with steps.step(f"{name} is the primary: handing its role over"):
                summary = await handover.run(ctx, None)
        if summary and await operation.started_at(ctx, name) not in (None, before):
            ctx.progress.note(f"PostgreSQL on {name} was restarted by the switchover")
            continue
        with steps.step(f"restarting PostgreSQL on {name}"):
            await _restart(ctx, name)
    return RestartRound(nodes, summary, tuple(steps.done))


async def _restart(ctx: startup.Context, node: str) -> None:
    """One standby, until it is a new process that everyone finds in its place."""
    seen = await operation.look(ctx)
    operation.require(f"the restart of {node}", decide.check(ctx.cluster.spec, seen, node))
    leader = facts.agreed_leader(seen)
    assert leader is not None, "a judgement without a leader allows nothing"
    assert leader != node, "the leader hands its role over first"
    before = await operation.started_at(ctx, node)
    await patroni.restart_postgres(ctx.cluster.address(node), ctx.cluster.rest_auth, ctx.cluster.spec.timeouts.up)

    async def look() -> str | None:
        after = await operation.started_at(ctx, node)
        return None if after and after != before else f"its PostgreSQL runs since {after}"

    await wait_until(f"the restart of {node}", look, seconds=ctx.cluster.spec.timeouts.up)
    await operation.wait_settled(ctx, leader, (*operation.participants(ctx, seen), node))
