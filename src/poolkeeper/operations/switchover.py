"""`switchover`: hand the primary's role over on purpose: check, prepare, ask Patroni, and wait for the result.

Invariant: nothing is begun unless every precondition holds. Patroni completes what was begun: an interruption here
leaves a cluster in which one node leads or is about to.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from poolkeeper.cluster import snapshot, startup
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper.core.wait import NotYet, require, wait_for
from poolkeeper.decide import switchover_checks
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.operations import connection_probe, operation
from poolkeeper.operations.operation import Done, OperationSteps
from poolkeeper.system import patroni, postgres, state

# It writes a message to the WAL and changes no table. Its commit waits for the quorum, like every other commit.
WRITE = "SELECT pg_logical_emit_message(true, 'poolkeeper', 'switchover')"
HANDOVER_SECONDS = 60.0  # until another node accepts writes; the former primary may have much to write out
WATCH = 0.02  # seconds between two checks of which node accepts writes


@dataclass(frozen=True)
class SwitchoverSummary:
    """The result of a switchover. Pauses in seconds: of new connections to a primary, and of acknowledged commits."""

    former: str
    primary: str
    pause: float
    write_pause: float
    failed_tries: int  # of the probe: connections that were refused or broken
    steps: tuple[Done, ...]


def preview(cluster: Cluster, to: str | None) -> switchover_checks.CandidateVerdict:
    """Check the preconditions, and change nothing.

    Raises:
        UsageError: `to` is not a node.
    """
    if to is not None:
        operation.require_node(cluster, to)
    seen = asyncio.run(snapshot.take_snapshot(cluster.with_passwords()))
    return switchover_checks.check(cluster.spec, seen, to)


def switchover(cluster: Cluster, to: str | None, progress: Progress) -> SwitchoverSummary:
    """Switch over to `to`, or to the standby that Patroni chooses.

    Raises:
        UsageError: `to` is not a node.
        OperationRefused: a precondition forbids it; nothing was changed.
        DeadlinePassed: the new primary, or the wait after it, took too long.
        ServerRefused: Patroni refused, or chose another node than `to`.
    """
    if to is not None:
        operation.require_node(cluster, to)
    with state.lock(cluster.folder):
        return asyncio.run(run(operation.open_context(cluster, progress), to))


async def run(ctx: startup.OperationContext, to: str | None) -> SwitchoverSummary:
    """Switch over, as a part of an operation that holds the cluster's lock already.

    Raises:
        OperationRefused, DeadlinePassed, ServerRefused: as `switchover`.
    """
    steps = OperationSteps(ctx.progress)
    with steps.step("checking that it is safe"):
        seen = await operation.observe(ctx)
        verdict = switchover_checks.check(ctx.cluster.spec, seen, to)
        operation.require_allowed("the switchover", verdict.preconditions)
    operation.warn(ctx.progress, verdict.preconditions)
    assert verdict.leader is not None, "without a leader no precondition allows it"
    former, nodes = verdict.leader, operation.participants(ctx, seen)
    await _checkpoint(ctx, steps, former)
    async with connection_probe.probing(ctx.cluster) as probe:
        primary, acknowledged = await _hand_over(ctx, steps, probe, former, to)
        with steps.step(f"waiting until {former} streams from {primary}"):
            await _wait_streaming(ctx, former, primary)
    with steps.step("waiting until all components agree"):
        await operation.wait_settled(ctx, primary, nodes)
    if to is not None and primary != to:
        raise errors.ServerRefused(f"Patroni made {primary} the primary instead of {to}", code="instead")
    gap = connection_probe.longest_gap(probe.reached) or connection_probe.ConnectionGap(acknowledged, 0.0)
    return SwitchoverSummary(
        former=former,
        primary=primary,
        pause=gap.seconds,
        write_pause=max(0.0, acknowledged - gap.began),
        failed_tries=probe.failures,
        steps=tuple(steps.done),
    )


async def _checkpoint(ctx: startup.OperationContext, steps: OperationSteps, leader: str) -> None:
    """Write out now what the checkpoint of the shutdown would write while no client can write."""
    with steps.step(f"writing a checkpoint on {leader}"):
        await postgres.query(ctx.cluster.node(leader, "superuser"), "CHECKPOINT", ctx.cluster.spec.timeouts.up)


async def _hand_over(
    ctx: startup.OperationContext, steps: OperationSteps, probe: connection_probe.Probe, former: str, to: str | None
) -> tuple[str, float]:
    """Run the part in which clients wait; return the new primary, and when it first acknowledged a commit.

    The time is in monotonic seconds.
    """
    cluster, spec, port = ctx.cluster, ctx.cluster.spec, ctx.cluster.spec.endpoints.rw.port
    await _wait_answer(probe, former, 0.0, port, spec.timeouts.query)
    begun = time.monotonic()
    order = asyncio.ensure_future(
        patroni.switchover(cluster.address(former), former, cluster.rest_auth, HANDOVER_SECONDS, candidate=to)
    )
    try:
        with steps.step(f"handing the role over from {former}" + (f" to {to}" if to else "")):
            primary = await _wait_new_primary(ctx, former, order)
        with steps.step(f"waiting until {port} answers from {primary}"):
            await _wait_answer(probe, primary, begun, port, spec.timeouts.up)
        with steps.step(f"waiting until {primary} acknowledges a commit through {port}"):
            acknowledged = await _wait_write(ctx)
        await snapshot.observe(order)  # ends within a second; the role has changed, whatever Patroni answers
    finally:
        order.cancel()
    return primary, acknowledged


async def _wait_answer(probe: connection_probe.Probe, node: str, since: float, port: int, seconds: float) -> None:
    """Wait until the probe has an answer of a node after `since` (monotonic seconds)."""

    async def check() -> None:
        require(probe.missing_answer(node, since))

    await wait_for(f"an answer of {node} through {port}", check, seconds=seconds, pause=WATCH)


async def _wait_new_primary(ctx: startup.OperationContext, former: str, order: asyncio.Future[None]) -> str:
    """Return the node that accepts writes in place of `former`. Patroni's refusal ends the wait at once."""
    cluster = ctx.cluster
    others = [node.name for node in cluster.spec.nodes if node.name != former]

    async def check() -> str:
        if order.done():
            order.result()
        answers = (patroni.accepts_writes(cluster.address(name), cluster.query_limit) for name in others)
        seen = await asyncio.gather(*(snapshot.observe(answer) for answer in answers))
        for name, answer in zip(others, seen, strict=True):
            if answer.value:
                return name
        raise NotYet("no other node accepts writes")

    return await wait_for("the change of the primary", check, seconds=HANDOVER_SECONDS, pause=WATCH)


async def _wait_write(ctx: startup.OperationContext) -> float:
    """Wait until the quorum acknowledges one commit; return when, in monotonic seconds."""
    cluster = ctx.cluster

    async def check() -> float:
        seen = await snapshot.observe(postgres.query(cluster.endpoint(RW), WRITE, cluster.query_limit))
        if not seen.is_known:
            raise NotYet(seen.error)
        return time.monotonic()

    return await wait_for("an acknowledged commit", check, seconds=cluster.spec.timeouts.up, pause=WATCH)


async def _wait_streaming(ctx: startup.OperationContext, node: str, primary: str) -> None:
    async def check() -> None:
        server = (await snapshot.observe_postgres(ctx.cluster, primary)).value
        senders = server.senders if server else ()
        streaming = sorted({sender.application for sender in senders if sender.state == "streaming"})
        if node not in streaming:
            raise NotYet(f"{primary} streams to {', '.join(streaming) or 'no standby'}")

    await wait_for(f"the return of {node}", check, seconds=ctx.cluster.spec.timeouts.up)
