"""`reinit`: delete a standby's data, clone it again from the primary, and wait until it serves again.

Invariant: never the leader's data, and never while another standby is out. An interruption here does not stop Patroni,
which continues to clone.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from poolkeeper.cluster import snapshot, startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import NotYet, wait_for
from poolkeeper.decide import preconditions, reinit_checks
from poolkeeper.operations import operation
from poolkeeper.operations.operation import Done, OperationSteps
from poolkeeper.system import patroni, state

CLONE_SECONDS = 6 * 3600.0  # a clone takes as long as its data is large; its progress is shown


def preview(cluster: Cluster, node: str) -> None:
    """Check the preconditions, and change nothing.

    Raises:
        UsageError: the name is not a node.
        OperationRefused: a precondition forbids the clone.
    """
    operation.require_node(cluster, node)
    seen = asyncio.run(snapshot.take_explained_snapshot(cluster.with_passwords()))
    operation.require_allowed(f"a new clone of {node}", reinit_checks.check(cluster.spec, seen, node))


def reinit(cluster: Cluster, node: str, progress: Progress) -> tuple[Done, ...]:
    """Clone a standby again; return the completed steps.

    Raises:
        UsageError: the name is not a node.
        OperationRefused: a precondition forbids the clone; nothing was changed.
        DeadlinePassed: the clone, or the wait after it, took too long.
        ServerRefused: Patroni refused.
    """
    operation.require_node(cluster, node)
    with state.lock(cluster.folder):
        return asyncio.run(_reinit(operation.open_context(cluster, progress), node))


async def _reinit(ctx: startup.OperationContext, node: str) -> tuple[Done, ...]:
    steps = OperationSteps(ctx.progress)
    seen = await operation.observe(ctx)
    found = reinit_checks.check(ctx.cluster.spec, seen, node)
    operation.require_allowed(f"a new clone of {node}", found)
    operation.warn(ctx.progress, found)
    leader = preconditions.agreed_leader(seen)
    assert leader is not None, "without a leader no precondition allows it"
    with steps.step(f"cloning {node} again"):
        await _clone(ctx, node)
    with steps.step(f"waiting until {node} streams and Pgpool-II has it"):
        await operation.wait_settled(ctx, leader, (*operation.participants(ctx, seen), node))
    return tuple(steps.done)


async def _clone(ctx: startup.OperationContext, node: str) -> None:
    """Wait until another PostgreSQL process answers there: Patroni stops the former one first."""
    cluster = ctx.cluster
    before = await operation.started_at(ctx, node)
    await patroni.reinitialize(cluster.address(node), cluster.rest_auth, cluster.query_limit)

    check = _CloneCheck(ctx, node, before)
    await wait_for(f"the clone of {node}", check, seconds=CLONE_SECONDS, pause=0.5)


class _CloneCheck:
    """The check for a new PostgreSQL process; it reports each state of the member once, when it begins."""

    def __init__(self, ctx: startup.OperationContext, node: str, before: datetime | None) -> None:
        self._ctx, self._node, self._before = ctx, node, before
        self._reported = ""

    async def __call__(self) -> None:
        try:
            await operation.require_restarted(self._ctx, self._node, self._before)
        except NotYet as e:
            member_state = await _state(self._ctx, self._node)
            if member_state != self._reported:
                self._reported = member_state
                self._ctx.progress.note(f"Patroni: {member_state}")
            raise NotYet(member_state) from e


async def _state(ctx: startup.OperationContext, node: str) -> str:
    """Return the state that the node's own Patroni reports, such as `creating replica`."""
    view = await snapshot.observe(patroni.observe(ctx.cluster.address(node), ctx.cluster.query_limit))
    member = view.value.member(node) if view.value else None
    return member.state if member else view.error or "not a member"
