"""Play one round: wait for health, start clients at both endpoints, inject and heal the fault, and check the writes.

Invariant: the clients run from before the fault until the victim is back, so the figures include the cost of its
return. The fault is healed whatever happens. A round that cannot be completed is a round with a problem.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from poolkeeper.core import errors, interrupts, wait
from poolkeeper_lab.drill import drill_client, drill_writer, figures, reader, watch
from poolkeeper_lab.drill.drill_results import DrillRound
from poolkeeper_lab.drill.drill_schedule import ScheduledFault
from poolkeeper_lab.drill.drilled_cluster import POLL_PAUSE, DrilledCluster
from poolkeeper_lab.drill.ledger import Ledger
from poolkeeper_lab.faults.containers import StopContainer
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.healing import Healing

WARM_UP = 2.0  # seconds of service before the fault
HOLD = 3.0  # minimum seconds of a fault
TAIL = 1.0  # seconds of service after the victim is back
SERVED_SECONDS = 40  # and the lease: both endpoints must serve again automatically before the fault is healed
BACK_SECONDS = 90
ALONE_SECONDS = 15.0  # the same without the keeper, when no component attaches a node to Pgpool-II again
HEALTHY_SECONDS = 180
_KEEPER_STOP = 5


class NotHealthy(Exception):
    """The round did not begin, because the cluster is not healthy. The message has the reason."""


@dataclass
class Stage:
    """The state of one round while it runs."""

    site: DrilledCluster
    scheduled: ScheduledFault
    healing: Healing
    observed: figures.ObservedRound
    writes: Ledger
    reads: Ledger = field(default_factory=Ledger)
    journal: watch.WatchLog = field(default_factory=watch.WatchLog)
    may_return: asyncio.Event = field(default_factory=asyncio.Event)  # set once the victim may come back
    started: object = None  # when the victim's container was started, as the engine writes it


async def play(site: DrilledCluster, scheduled: ScheduledFault, healing: Healing, first: int) -> tuple[DrillRound, int]:
    """Play one round whose write ids begin with `first`; return the round and the next free id.

    Raises:
        NotHealthy: if the cluster is not healthy before the round.
    """
    entry = scheduled.entry
    try:
        primary = await site.wait_healthy(HEALTHY_SECONDS)
    except errors.DeadlinePassed as e:
        raise NotHealthy(e.message) from e
    observed = figures.ObservedRound(
        entry.name, scheduled.number, scheduled.keeper, back_since_healed=entry.lasts_until_healed
    )
    stage, failures = Stage(site, scheduled, healing, observed, Ledger(first)), len(healing.failures)
    try:
        observed.victim = await site.find(entry.target, primary, scheduled.pick)
        await _perform(stage, entry.make(site.host, observed.victim, site.switchover(primary, scheduled.keeper)))
    except errors.PoolkeeperError as e:
        observed.problems.append(e.message)
    observed.ended = observed.ended or time.monotonic()
    observed.problems += healing.failures[failures:]
    stored = await _audit(stage, first) if observed.injected is not None else None
    return _figures(stage, stored), stage.writes.next_number


async def _perform(stage: Stage, fault: Fault) -> None:
    if reason := fault.available():
        raise errors.PermissionRefused(f"not run: {reason}")
    async with AsyncExitStack() as stack:
        if not stage.scheduled.keeper:
            keeper = StopContainer(stage.site.host, stage.site.spec.keeper.service, _KEEPER_STOP)
            await stack.enter_async_context(stage.healing.broken(keeper))
            await interrupts.in_thread(keeper.inject)
        cluster = stage.site.cluster
        await stack.enter_async_context(watch.leader_key(cluster, stage.journal))
        stack.enter_context(watch.nodes(cluster, stage.journal))
        stack.enter_context(drill_client.running(drill_writer.endpoint(cluster), stage.writes))
        stack.enter_context(drill_client.running(reader.endpoint(cluster), stage.reads))
        try:
            await _measure(stage, fault)
        finally:
            stage.observed.ended = time.monotonic()  # before the clients end, whose silence is not a gap


async def _measure(stage: Stage, fault: Fault) -> None:
    """Inject the fault, wait until the running clients are served again, heal it, and wait until the victim is back."""
    observed, patroni = stage.observed, stage.site.spec.patroni
    await _served(stage, time.monotonic(), SERVED_SECONDS)
    await asyncio.sleep(WARM_UP + stage.scheduled.phase * patroni.loop_wait)  # a fixed time, not a wait for a condition
    stage.started = (await interrupts.in_thread(stage.site.host.state, observed.victim))["StartedAt"]
    await interrupts.in_thread(fault.aim)
    async with _returning(stage) as returned:
        async with stage.healing.broken(fault):
            observed.injected = time.monotonic()
            await interrupts.in_thread(fault.inject)
            if not stage.scheduled.entry.lasts_until_healed:
                stage.may_return.set()
            await asyncio.sleep(HOLD)
            try:
                await _served(stage, time.monotonic(), patroni.ttl + SERVED_SECONDS)
            except errors.DeadlinePassed as e:
                observed.problems.append(f"before it was healed, {e.message}")
            observed.healed = time.monotonic()
        stage.may_return.set()
        await returned
    await _served(stage, time.monotonic(), SERVED_SECONDS)
    await asyncio.sleep(TAIL)


async def _served(stage: Stage, since: float, seconds: float) -> None:
    """Wait until every client at both endpoints had an attempt acknowledged that it began after `since`.

    Raises:
        DeadlinePassed: after `seconds`.
    """

    async def check() -> None:
        ledgers = {"writes": stage.writes, "reads": stage.reads}
        missing = [name for name, ledger in ledgers.items() if not ledger.served_since(since, drill_client.CLIENTS)]
        if missing:
            raise wait.NotYet(" and ".join(missing) + " are not served")

    await wait.wait_for("service at both endpoints", check, seconds=seconds)


@asynccontextmanager
async def _returning(stage: Stage) -> AsyncIterator[asyncio.Task[None]]:
    """Run the wait for the victim's return as a task beside the block; it ends with the block."""
    waiting = asyncio.create_task(_wait_back(stage))
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _wait_back(stage: Stage) -> None:
    """Note when the victim is back. Without the keeper it may stay detached: then the time stays unknown."""

    async def check() -> None:
        wait.require(await stage.site.missing(stage.scheduled, stage.observed.victim, stage.started, stage.journal))

    await stage.may_return.wait()
    await asyncio.sleep(POLL_PAUSE)  # by then the nodes' pollers and the engine have noticed the fault itself
    try:
        seconds = BACK_SECONDS if stage.scheduled.keeper else ALONE_SECONDS
        await wait.wait_for("the return of the victim", check, seconds=seconds, pause=POLL_PAUSE)
        if not stage.scheduled.entry.hits_node:
            await _served(stage, time.monotonic(), SERVED_SECONDS)
        stage.observed.back = time.monotonic()
    except errors.DeadlinePassed as e:
        if stage.scheduled.keeper:
            stage.observed.problems.append(e.message)


async def _audit(stage: Stage, first: int) -> dict[int, int] | None:
    """Wait for health, and return the primary's rows of this round's ids; None if it cannot be queried."""
    try:
        primary = await stage.site.wait_healthy(HEALTHY_SECONDS)
        return await drill_writer.stored(stage.site.cluster, primary, first, stage.writes.next_number)
    except errors.PoolkeeperError as e:
        stage.observed.problems.append(f"writes not checked, because the cluster did not recover: {e.message}")
        return None


def _figures(stage: Stage, stored: dict[int, int] | None) -> DrillRound:
    site, journal, end = stage.site, stage.journal, stage.observed.ended
    nodes = {node.name for node in site.spec.nodes}
    return figures.figures(
        stage.observed,
        drill_client.CLIENTS,
        stage.writes.attempts(end),
        stage.reads.attempts(end),
        stored,
        journal.leases,
        journal.recoveries,
        nodes,
    )
