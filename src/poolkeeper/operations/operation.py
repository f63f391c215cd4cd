"""The shared parts of operations on a running cluster: steps with durations, preconditions, the wait at the end.

Invariant: an operation observes the cluster before it begins. It is refused with every fact that forbids it, and
nothing was changed then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from poolkeeper.cluster import apply, snapshot, startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import NotYet, wait_for
from poolkeeper.decide import preconditions, settled
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition, allowed
from poolkeeper.system import patroni, postgres, state

KEEPER_PATIENCE = (
    15.0  # seconds for keeper to correct Pgpool-II: it attaches a standby only after some eligible seconds
)
OWN_PATIENCE = 2.0  # seconds for Pgpool-II to notice a change itself where no keeper runs
PAUSE = 0.3  # seconds between two snapshots
STATUS_HINT = "`poolkeeper status` shows every component's view."
REPAIR_HINT = "`poolkeeper status` shows every component's view; `poolkeeper up` repairs what it can."


@dataclass(frozen=True)
class Done:
    """A completed step, and how long it took, in seconds."""

    title: str
    seconds: float


@dataclass
class OperationSteps:
    """The steps of one operation, shown as they run and kept with their durations."""

    progress: Progress
    done: list[Done] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show one step while the block runs, and keep its duration if it succeeds."""
        begun = time.monotonic()
        with self.progress.step(title):
            yield
        self.done.append(Done(title, time.monotonic() - begun))


def open_context(cluster: Cluster, progress: Progress) -> startup.OperationContext:
    """Return what a step needs.

    The files are those that the cluster was started with, not what cluster.toml would give now.

    Raises:
        ClusterNotUp: the cluster was never started.
    """
    files = state.read_tree(cluster.folder.rendered)
    return startup.OperationContext(cluster.with_passwords(), files, progress)


def require_node(cluster: Cluster, node: str) -> None:
    """Check that a name is a PostgreSQL node.

    Raises:
        UsageError: it is not; the hint lists the nodes.
    """
    names = [declared.name for declared in cluster.spec.nodes]
    if node not in names:
        raise errors.UsageError(
            f"{node!r} is not a PostgreSQL node of this cluster", hint=f"Its nodes: {', '.join(names)}."
        )


def require_allowed(what: str, found: Sequence[Precondition]) -> None:
    """Check that no precondition forbids the operation.

    Raises:
        OperationRefused: at least one does; the detail lists each.
    """
    if not allowed(found):
        raise errors.OperationRefused(
            f"{what} is refused; nothing was changed", detail=preconditions.lines(found), hint=REPAIR_HINT
        )


def warn(progress: Progress, found: Sequence[Precondition]) -> None:
    """Report each precondition that does not hold and forbids nothing."""
    for precondition in found:
        if not precondition.holds and not precondition.forbids:
            progress.note(f"warning: {precondition.fact}")


async def observe(ctx: startup.OperationContext) -> Snapshot:
    """Return a snapshot of the cluster, taken now."""
    return await snapshot.take_explained_snapshot(ctx.cluster)


def participants(ctx: startup.OperationContext, seen: Snapshot) -> tuple[str, ...]:
    """Return the leader and the standbys that stream from it; a node that was out before is not waited for."""
    leader = preconditions.agreed_leader(seen)
    names = [node.name for node in ctx.cluster.spec.nodes]
    return tuple(name for name in names if name == leader or not preconditions.streams(seen, name).forbids)


async def wait_settled(ctx: startup.OperationContext, primary: str, nodes: Sequence[str]) -> None:
    """Wait until every component reports that `primary` leads and that the others of `nodes` follow it.

    Keeper corrects Pgpool-II's view. Where no keeper runs, or where it does not succeed, this wait repairs that view.

    Raises:
        DeadlinePassed: after `timeouts.up`, with what is missing.
    """
    settling = _Settling(ctx, primary, nodes)
    try:
        await wait_for(
            "the agreement of all components", settling.check, seconds=ctx.cluster.spec.timeouts.up, pause=PAUSE
        )
    except errors.DeadlinePassed as e:
        e.hint = REPAIR_HINT
        raise


@dataclass
class _Settling:
    """The end of one operation: `repaired_at` is when Pgpool-II's view was last repaired, in monotonic seconds."""

    ctx: startup.OperationContext
    primary: str
    nodes: Sequence[str]
    repaired_at: float = field(default_factory=time.monotonic)

    async def check(self) -> None:
        ctx, spec = self.ctx, self.ctx.cluster.spec
        seen = await observe(ctx)
        missing = settled.missing(spec, seen, self.primary, self.nodes)
        if missing is None:
            return
        patience = KEEPER_PATIENCE if preconditions.keeper(spec, seen).holds else OWN_PATIENCE
        if time.monotonic() - self.repaired_at > patience:
            await apply.repair_pgpool(ctx, seen)
            self.repaired_at = time.monotonic()
        await _wake(ctx, self.primary)
        raise NotYet(missing)


async def _wake(ctx: startup.OperationContext, leader: str) -> None:
    """Make Patroni run its loop now, by a PATCH that changes nothing: the loop takes standbys into the quorum.

    If Patroni refuses it, only the wait is longer, so its answer does not matter.
    """
    same = {"loop_wait": ctx.cluster.spec.patroni.loop_wait}
    limit = ctx.cluster.spec.timeouts.query
    await snapshot.observe(patroni.patch_config(ctx.cluster.address(leader), same, ctx.cluster.rest_auth, limit))


async def started_at(ctx: startup.OperationContext, node: str) -> datetime | None:
    """Return when this node's PostgreSQL was started; None if it does not answer."""
    question = postgres.query(ctx.cluster.node(node), "SELECT pg_postmaster_start_time()", ctx.cluster.query_limit)
    rows = (await snapshot.observe(question)).value
    return rows[0][0] if rows else None


async def require_restarted(ctx: startup.OperationContext, node: str, before: datetime | None) -> None:
    """Check that PostgreSQL on a node is another process than the one started at `before`.

    Raises:
        NotYet: it is the same process, or it does not answer.
    """
    after = await started_at(ctx, node)
    if not after or after == before:
        raise NotYet(
            f"PostgreSQL on {node} has run since {after}" if after else f"PostgreSQL on {node} does not answer"
        )
