"""Throw a standby's data away and clone it anew, and wait until it serves again.

Invariant: never the leader's data, and never while another standby is out. An interruption here does not stop Patroni,
which goes on cloning.
"""

from __future__ import annotations

import asyncio

from poolkeeper.cluster import snapshot, startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import wait_until
from poolkeeper.decide import preconditions as facts
from poolkeeper.decide import reinit_checks as decide
from poolkeeper.operations import operation
from poolkeeper.operations.operation import Done, OperationSteps
from poolkeeper.system import patroni, state

CLONE_SECONDS = 6 * 3600.0  # a clone takes as long as its data is large; its progress is shown


def preview(cluster: Cluster, node: str) -> None:
    """Look only. Raises UsageError, OperationRefused."""
    operation.require_node(cluster, node)
    seen = asyncio.run(snapshot.take_snapshot(cluster.with_passwords()))
    operation.require(f"a new clone of {node}", decide.judge(cluster.spec, seen, node))


def reinit(cluster: Cluster, node: str, progress: Progress) -> tuple[Done, ...]:
    """Clone a standby anew; the steps that were done. Raises OperationRefused, DeadlinePassed, ServerRefused."""
    operation.require_node(cluster, node)
    with state.lock(cluster.folder):
        return asyncio.run(_reinit(operation.open_context(cluster, progress), node))


async def _reinit(ctx: startup.Context, node: str) -> tuple[Done, ...]:
    steps, spec = OperationSteps(ctx.progress), ctx.cluster.spec
    seen = await operation.look(ctx)
    judged = decide.check(spec, seen, node)
    operation.require(f"a new clone of {node}", judged)
    operation.warn(ctx.progress, judged)
    leader = facts.agreed_leader(seen)
    assert leader is not None, "a judgement without a leader allows nothing"
    with steps.step(f"cloning {node} anew"):
        await _clone(ctx, node)
    with steps.step(f"waiting until {node} streams and Pgpool-II has it"):
        await operation.wait_settled(ctx, leader, (*operation.participants(ctx, seen), node))
    return tuple(steps.done)


async def _clone(ctx: startup.Context, node: str) -> None:
    """Until another process of PostgreSQL answers there: the former one is stopped first."""
    before = await operation.started_at(ctx, node)
    said: list[str] = []
    await patroni.reinitialize(ctx.cluster.address(node), ctx.cluster.rest_auth, ctx.cluster.spec.timeouts.query)

    async def look() -> str | None:
        after = await operation.started_at(ctx, node)
        if after and after != before:
            return None
        state_now = await _state(ctx, node)
        if state_now not in said[-1:]:
            said.append(state_now)
            ctx.progress.note(f"Patroni: {state_now}")
        return state_now

    await wait_until(f"the clone of {node}", look, seconds=CLONE_SECONDS, pause=0.5)


async def _state(ctx: startup.Context, node: str) -> str:
    """What its own Patroni says of it, as `creating replica`."""
    view = await snapshot.observe(patroni.observe(ctx.cluster.address(node), ctx.cluster.spec.timeouts.query))
    member = view.value.member(node) if view.value else None
    return member.state if member else view.error or "not a member"
