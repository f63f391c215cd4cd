"""Hand the primary's role over, on purpose: look, prepare, ask Patroni, and wait for the truth.

Invariant: nothing is begun unless every precondition holds. What is begun is Patroni's to finish: an interruption here
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
from poolkeeper.core.wait import wait_until
from poolkeeper.decide import switchover_checks as decide
from poolkeeper.operations import connection_probe, operation
from poolkeeper.operations.operation import Done, OperationSteps
from poolkeeper.system import patroni, postgres, state

# A message in the WAL that is nobody's data: its commit waits for the quorum as any other does, and no table changes.
WRITE = "SELECT pg_logical_emit_message(true, 'poolkeeper', 'switchover')"
HANDOVER_SECONDS = 60.0  # until another node accepts writes; the former primary may have much to write out
WATCH = 0.02  # seconds between two looks at who accepts writes


@dataclass(frozen=True)
class SwitchoverSummary:
    """What was done. Pauses in seconds: of new connections to a primary, and of acknowledged commits."""

    former: str
    primary: str
    pause: float
    write_pause: float
    failed_tries: int  # of the probe: connections that were refused or broken
    steps: tuple[Done, ...]


def preview(cluster: Cluster, to: str | None) -> decide.CandidateVerdict:
    """Look only."""
    if to is not None:
        operation.require_node(cluster, to)
    return decide.judge(cluster.spec, asyncio.run(snapshot.take_snapshot(cluster.with_passwords())), to)


def switchover(cluster: Cluster, to: str | None, progress: Progress) -> SwitchoverSummary:
    """Switch over, to `to` or to whom Patroni finds best. Raises OperationRefused, DeadlinePassed, ServerRefused."""
    if to is not None:
        operation.require_node(cluster, to)
    with state.lock(cluster.folder):
        return asyncio.run(run(operation.open_context(cluster, progress), to))


async def run(ctx: startup.Context, to: str | None) -> SwitchoverSummary:
    """The same, for an operation that already holds the lock."""
    steps = OperationSteps(ctx.progress)
    with steps.step("looking whether it is safe"):
        seen = await operation.look(ctx)
        judged = decide.check(ctx.cluster.spec, seen, to)
        operation.require("the switchover", judged.preconditions)
    operation.warn(ctx.progress, judged.preconditions)
    assert judged.leader is not None, "a judgement without a leader allows nothing"
    former, nodes = judged.leader, operation.participants(ctx, seen)
    await _write_out(ctx, steps, former)
    async with connection_probe.probing(ctx.cluster) as probe:
        primary, acknowledged = await _hand_over(ctx, steps, probe, former, to)
        with steps.step(f"waiting until {former} streams from {primary}"):
            await _wait_streaming(ctx, former, primary)
    with steps.step("waiting until every witness agrees"):
        await operation.wait_settled(ctx, primary, nodes)
    if to is not None and primary != to:
        raise errors.ServerRefused(f"Patroni made {primary} the primary instead of {to}", code="instead")
    gap = connection_probe.longest_gap(probe.reached) or connection_probe.ConnectionGap(acknowledged, 0.0)
    return SwitchoverSummary(
        former, primary, gap.seconds, max(0.0, acknowledged - gap.began), probe.failures, tuple(steps.done)
    )


async def _write_out(ctx: startup.Context, steps: OperationSteps, leader: str) -> None:
    """What is written now has not to be written while nobody can write: the shutdown ends with a checkpoint."""
    with steps.step(f"writing a checkpoint on {leader}"):
        await postgres.query(ctx.cluster.node(leader, "superuser"), "CHECKPOINT", ctx.cluster.spec.timeouts.up)


async def _hand_over(
    ctx: startup.Context, steps: OperationSteps, probe: connection_probe.Probe, former: str, to: str | None
) -> tuple[str, float]:
    """The part in which clients wait: the new primary, and when it first acknowledged a commit (monotonic seconds)."""
    spec, port = ctx.cluster.spec, ctx.cluster.spec.endpoints.rw.port

    async def reached() -> str | None:
        return probe.awaits(former, 0.0)

    await wait_until(f"an answer through {port}", reached, seconds=spec.timeouts.query)
    begun = time.monotonic()
    order = asyncio.ensure_future(
        patroni.switchover(ctx.cluster.address(former), former, ctx.cluster.rest_auth, HANDOVER_SECONDS, candidate=to)
    )
    try:
        with steps.step(f"handing the role over from {former}" + (f" to {to}" if to else "")):
            primary = await _wait_new_primary(ctx, former, order)

        async def answered() -> str | None:
            return probe.awaits(primary, begun)

        with steps.step(f"waiting until {port} answers from {primary}"):
            await wait_until(f"an answer of {primary} through {port}", answered, seconds=spec.timeouts.up, pause=WATCH)
        with steps.step(f"waiting until {primary} acknowledges a commit through {port}"):
            await _wait_write(ctx)
            acknowledged = time.monotonic()
        await snapshot.observe(order)  # it ends within a second; the role has changed, whatever it says
    finally:
        order.cancel()
    return primary, acknowledged


async def _wait_new_primary(ctx: startup.Context, former: str, order: asyncio.Future[None]) -> str:
    """The node that accepts writes in place of `former`. Patroni's refusal ends the wait at once."""
    spec = ctx.cluster.spec
    others = [node.name for node in spec.nodes if node.name != former]
    found: list[str] = []

    async def look() -> str | None:
        if order.done():
            order.result()
        answers = (patroni.accepts_writes(ctx.cluster.address(name), spec.timeouts.query) for name in others)
        seen = await asyncio.gather(*(snapshot.observe(answer) for answer in answers))
        found.extend(name for name, answer in zip(others, seen, strict=True) if answer.value)
        return None if found else "no other node accepts writes"

    await wait_until("the change of the primary", look, seconds=HANDOVER_SECONDS, pause=WATCH)
    return found[0]


async def _wait_write(ctx: startup.Context) -> None:
    """Until one commit is acknowledged by its quorum."""
    timeouts = ctx.cluster.spec.timeouts

    async def look() -> str | None:
        seen = await snapshot.observe(postgres.query(ctx.cluster.endpoint("rw"), WRITE, timeouts.query))
        return None if seen.is_known else seen.error

    await wait_until("an acknowledged commit", look, seconds=timeouts.up, pause=WATCH)


async def _wait_streaming(ctx: startup.Context, node: str, primary: str) -> None:
    async def look() -> str | None:
        server = (await snapshot.observe_postgres(ctx.cluster, primary)).value
        senders = server.senders if server else ()
        streaming = {sender.application for sender in senders if sender.state == "streaming"}
        return None if node in streaming else f"{primary} streams to {', '.join(sorted(streaming)) or 'nobody'}"

    await wait_until(f"the return of {node}", look, seconds=ctx.cluster.spec.timeouts.up)
