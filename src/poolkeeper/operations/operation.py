"""What the operations on a running cluster share: their context, their steps with durations, and how they refuse.

Invariant: an operation looks before it begins, and refuses with every fact that forbids it; nothing was changed then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from poolkeeper.cluster import apply, snapshot, startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.decide import preconditions as facts
from poolkeeper.decide import settled
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition, allowed
from poolkeeper.system import patroni, postgres, state

KEEPER_PATIENCE = 15.0  # seconds that keeper gets for Pgpool's view: it attaches what has been fit for some seconds
OWN_PATIENCE = 2.0  # seconds that Pgpool gets to notice by itself where no keeper runs
PAUSE = 0.3  # seconds between two looks at everything


@dataclass(frozen=True)
class Done:
    """A step that was done, and how long it took, in seconds."""

    title: str
    seconds: float


@dataclass
class OperationSteps:
    """The steps of one operation, shown as they run and kept with their durations."""

    progress: Progress
    done: list[Done] = field(default_factory=list)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step."""
        begun = time.monotonic()
        with self.progress.step(title):
            yield
        self.done.append(Done(title, time.monotonic() - begun))


def open_context(cluster: Cluster, progress: Progress) -> startup.Context:
    """What a step needs. The files are those that the cluster was started with, not what cluster.toml would give now.

    Raises ClusterNotUp where the cluster was never started.
    """
    files = state.read_tree(cluster.folder.rendered)
    return startup.Context(cluster.with_passwords(), files, progress)


def require_node(cluster: Cluster, node: str) -> None:
    """Raise UsageError for a name that is not a PostgreSQL node."""
    names = [declared.name for declared in cluster.spec.nodes]
    if node not in names:
        raise errors.UsageError(
            f"{node!r} is not a PostgreSQL node of this cluster", hint=f"Its nodes: {', '.join(names)}."
        )


def require(what: str, preconditions: Sequence[Precondition]) -> None:
    """Raise OperationRefused with each precondition that forbids."""
    if not allowed(preconditions):
        raise errors.OperationRefused(
            f"{what} is refused; nothing was changed",
            detail=facts.lines(preconditions),
            hint="`poolkeeper status` shows every witness; `poolkeeper up` mends what can be mended.",
        )


def warn(progress: Progress, preconditions: Sequence[Precondition]) -> None:
    """Say what does not hold and forbids nothing."""
    for precondition in preconditions:
        if not precondition.holds and not precondition.forbids:
            progress.note(f"warning: {precondition.fact}")


async def look(ctx: startup.Context) -> Snapshot:
    """Everything, at this moment."""
    return await snapshot.take_snapshot(ctx.cluster)


def participants(ctx: startup.Context, seen: Snapshot) -> tuple[str, ...]:
    """The leader and those that stream from it: whoever was out before an operation is not waited for."""
    leader = facts.agreed_leader(seen)
    names = [node.name for node in ctx.cluster.spec.nodes]
    return tuple(name for name in names if name == leader or not facts.streams(seen, name).forbids)


async def wait_settled(ctx: startup.Context, primary: str, nodes: Sequence[str]) -> None:
    """Until every witness says that `primary` leads and the others of `nodes` follow it.

    Pgpool's view is keeper's; it is mended from here where no keeper runs, or where it does not succeed. Raises
    DeadlinePassed with what is missing.
    """
    spec, begun = ctx.cluster.spec, time.monotonic()
    mended = begun
    while True:
        seen = await look(ctx)
        missing = settled.missing(spec, seen, primary, nodes)
        if missing is None:
            return
        now = time.monotonic()
        if now - begun > spec.timeouts.up:
            raise errors.DeadlinePassed(
                f"the witnesses do not agree after {spec.timeouts.up} s; last seen: {missing}",
                hint="`poolkeeper status` shows every witness; `poolkeeper up` mends what can be mended.",
            )
        if now - mended > (KEEPER_PATIENCE if facts.keeper(spec, seen).holds else OWN_PATIENCE):
            await apply.repair_pgpool(ctx, seen)
            mended = time.monotonic()
        await _wake(ctx, primary)
        await asyncio.sleep(PAUSE)


async def _wake(ctx: startup.Context, leader: str) -> None:
    """Patroni takes standbys into the quorum when it next looks around; a PATCH that changes nothing makes it look now.

    Where it is refused, only the wait is longer, so its answer does not matter.
    """
    same = {"loop_wait": ctx.cluster.spec.patroni.loop_wait}
    limit = ctx.cluster.spec.timeouts.query
    await snapshot.observe(patroni.patch_config(ctx.cluster.address(leader), same, ctx.cluster.rest_auth, limit))


async def started_at(ctx: startup.Context, node: str) -> datetime | None:
    """When this PostgreSQL was started; None when it does not answer."""
    question = postgres.query(
        ctx.cluster.node(node), "SELECT pg_postmaster_start_time()", ctx.cluster.spec.timeouts.query
    )
    rows = (await snapshot.observe(question)).value
    return rows[0][0] if rows else None
