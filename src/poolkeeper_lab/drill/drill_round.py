"""One round: a healthy cluster, clients at both endpoints, the fault, its healing, health again, and the account.

Invariant: the clients run from before the fault until the victim is back, so that what its return costs them is counted
too; the fault is healed whatever happens. A round that cannot be made whole is a round with a problem.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from poolkeeper.core import errors, interrupts, wait
from poolkeeper_lab.drill import drill_client, figures, reader, watch, writer
from poolkeeper_lab.drill.drill_results import DrillRound
from poolkeeper_lab.drill.drill_schedule import ScheduledFault
from poolkeeper_lab.drill.drilled_cluster import POLL_PAUSE, DrilledCluster
from poolkeeper_lab.drill.ledger import Ledger
from poolkeeper_lab.faults.containers import StopContainer
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.healing import Healing

WARM_UP = 2.0  # seconds of service before the fault
HOLD = 3.0  # seconds that a fault lasts at the least
TAIL = 1.0  # seconds of service after the victim is back
SERVED_SECONDS = 40  # and the lease: both endpoints must serve again, by themselves, before the fault is healed
BACK_SECONDS = 90
ALONE_SECONDS = 15.0  # the same without the keeper, when nobody attaches a node to Pgpool-II again
HEALTHY_SECONDS = 180
_KEEPER_STOP = 5


class NotHealthy(Exception):
    """The round was not begun: the cluster is not healthy. The message says why."""


@dataclass
class Stage:
    """All that belongs to one round while it runs."""

    site: DrilledCluster
    turn: ScheduledFault
    healing: Healing
    scene: figures.ObservedRound
    writes: Ledger
    reads: Ledger = field(default_factory=Ledger)
    journal: watch.WatchLog = field(default_factory=watch.WatchLog)
    may_return: asyncio.Event = field(default_factory=asyncio.Event)  # from here on the victim may come back
    started: object = None  # when the victim's container was started, as the engine writes it


async def play(site: DrilledCluster, turn: ScheduledFault, healing: Healing, first: int) -> tuple[DrillRound, int]:
    """Play one round; ids of writes begin with `first`. The round, and the next free id. Raises NotHealthy."""
    entry = turn.entry
    try:
        primary = await site.wait_healthy(HEALTHY_SECONDS)
    except errors.DeadlinePassed as e:
        raise NotHealthy(e.message) from e
    scene = figures.ObservedRound(entry.name, turn.number, turn.keeper, back_since_healed=entry.lasts_until_healed)
    stage, failures = Stage(site, turn, healing, scene, Ledger(first)), len(healing.failures)
    try:
        scene.victim = await site.find(entry.target, primary, turn.pick)
        await _perform(stage, entry.make(site.host, scene.victim, site.switchover(primary, turn.keeper)))
    except errors.PoolkeeperError as e:
        scene.problems.append(e.message)
    scene.ended = scene.ended or time.monotonic()
    scene.problems += healing.failures[failures:]
    stored = await _audit(stage, first) if scene.injected is not None else None
    return _figures(stage, stored), stage.writes.next_number


async def _perform(stage: Stage, fault: Fault) -> None:
    if reason := fault.available():
        raise errors.PermissionRefused(f"not run: {reason}")
    async with AsyncExitStack() as stack:
        if not stage.turn.keeper:
            keeper = StopContainer(stage.site.host, stage.site.spec.keeper.service, _KEEPER_STOP)
            await stack.enter_async_context(stage.healing.broken(keeper))
            await interrupts.in_thread(keeper.inject)
        cluster = stage.site.cluster
        await stack.enter_async_context(watch.leader_key(cluster, stage.journal))
        stack.enter_context(watch.nodes(cluster, stage.journal))
        stack.enter_context(drill_client.running(writer.endpoint(cluster), stage.writes))
        stack.enter_context(drill_client.running(reader.endpoint(cluster), stage.reads))
        try:
            await _measure(stage, fault)
        finally:
            stage.scene.ended = time.monotonic()  # before the clients end, whose silence is no gap


async def _measure(stage: Stage, fault: Fault) -> None:
    """With the clients at work: inject, wait until they are served again, heal, wait until the victim is back."""
    scene, patroni = stage.scene, stage.site.spec.patroni
    await _served(stage, time.monotonic(), SERVED_SECONDS)
    await asyncio.sleep(WARM_UP + stage.turn.phase * patroni.loop_wait)  # a measured time, not a wait for something
    stage.started = (await interrupts.in_thread(stage.site.host.state, scene.victim))["StartedAt"]
    await interrupts.in_thread(fault.aim)
    async with _returning(stage) as returned:
        async with stage.healing.broken(fault):
            scene.injected = time.monotonic()
            await interrupts.in_thread(fault.inject)
            if not stage.turn.entry.lasts_until_healed:
                stage.may_return.set()
            await asyncio.sleep(HOLD)
            try:
                await _served(stage, time.monotonic(), patroni.ttl + SERVED_SECONDS)
            except errors.DeadlinePassed as e:
                scene.problems.append(f"before it was healed, {e.message}")
            scene.healed = time.monotonic()
        stage.may_return.set()
        await returned
    await _served(stage, time.monotonic(), SERVED_SECONDS)
    await asyncio.sleep(TAIL)


async def _served(stage: Stage, since: float, seconds: float) -> None:
    """Wait until every client at both endpoints had an attempt acknowledged that it began after `since`."""

    async def look() -> str | None:
        endpoints = {"writes": stage.writes, "reads": stage.reads}
        missing = [
            name for name, endpoint in endpoints.items() if not endpoint.served_since(since, drill_client.CLIENTS)
        ]
        return " and ".join(missing) + " are not served" if missing else None

    await wait.wait_until("service at both endpoints", look, seconds=seconds)


@asynccontextmanager
async def _returning(stage: Stage) -> AsyncIterator[asyncio.Task[None]]:
    """The wait for the victim's return, beside what else is waited for; it ends with the block."""
    waiting = asyncio.create_task(_wait_back(stage))
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _wait_back(stage: Stage) -> None:
    """Note when the victim is back. Without the keeper nobody may attach it: then the time stays unknown."""

    async def look() -> str | None:
        return await stage.site.missing(stage.turn, stage.scene.victim, stage.started, stage.journal)

    await stage.may_return.wait()
    await asyncio.sleep(POLL_PAUSE)  # by then the nodes' pollers and the engine have noticed the fault itself
    try:
        patience = BACK_SECONDS if stage.turn.keeper else ALONE_SECONDS
        await wait.wait_until("the return of the victim", look, seconds=patience, pause=POLL_PAUSE)
        if not stage.turn.entry.hits_node:
            await _served(stage, time.monotonic(), SERVED_SECONDS)
        stage.scene.back = time.monotonic()
    except errors.DeadlinePassed as e:
        if stage.turn.keeper:
            stage.scene.problems.append(e.message)


async def _audit(stage: Stage, first: int) -> dict[int, int] | None:
    """With the cluster healthy again: what the primary has of this round's ids. None where it cannot be asked."""
    try:
        primary = await stage.site.wait_healthy(HEALTHY_SECONDS)
        return await writer.stored(stage.site.cluster, primary, first, stage.writes.next_number)
    except errors.PoolkeeperError as e:
        stage.scene.problems.append(f"not judged, since the cluster did not heal: {e.message}")
        return None


def _figures(stage: Stage, stored: dict[int, int] | None) -> DrillRound:
    site, journal, end = stage.site, stage.journal, stage.scene.ended
    nodes = {node.name for node in site.spec.nodes}
    return figures.figures(
        stage.scene,
        drill_client.CLIENTS,
        stage.writes.attempts(end),
        stage.reads.attempts(end),
        stored,
        journal.leases,
        journal.recoveries,
        nodes,
    )
