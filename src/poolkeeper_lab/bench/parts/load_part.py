"""`bench load`: whether a busy machine causes a failover. Every core computes, while light clients use both endpoints.

Nothing is broken here, so every change of the leader key is a false failover. The clients are the drill's, at a tenth
of its pace: they check the service, and are not the load. Not promised: that no operator moves the role meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, wait
from poolkeeper.core.progress import Progress
from poolkeeper.decide import health
from poolkeeper.render import client_files
from poolkeeper.system import keeper_client
from poolkeeper_lab.bench.measure import busy, figure
from poolkeeper_lab.bench.parts import keeper_part
from poolkeeper_lab.bench.parts.load_figures import FullLoadResult, Holding, work_by_kind
from poolkeeper_lab.drill import drill_client, drill_writer, ledger, reader, watch

KEPT_PACE = 0.05  # seconds between two statements on the kept connection
FRESH_PACE = 0.5  # seconds between two fresh connections
READY_SECONDS = 30  # the time limit for the first service of every client, before the load begins
HEALTHY_SECONDS = 180  # after the load
PROBE_TIMEOUT = 10.0  # seconds: under load, every answer is late


@dataclass
class LeaseWatch:
    """The observed values of the leader key; `report` receives each change at once."""

    report: Callable[[str], None]
    seen: list[Holding] = field(default_factory=list)
    blind: int = 0

    def note_blind(self, reason: str) -> None:
        """Note that the key could not be watched for a period."""
        self.blind += 1
        self.report(f"{datetime.now(UTC):%H:%M:%S} the lease cannot be watched: {reason}")

    def note_owner(self, owner: str | None, revision: int) -> None:
        """Note the owner and the revision of the key."""
        holding = Holding(time.monotonic(), owner, revision)
        if self.seen and holding.is_same(self.seen[-1]):
            return
        if self.seen:
            self.report(f"{datetime.now(UTC):%H:%M:%S} the lease changed: {self.seen[-1]} → {holding}")
        self.seen.append(holding)


async def measure(cluster: Cluster, minutes: float, progress: Progress) -> FullLoadResult:
    """Load the machine for `minutes`, and observe the cluster.

    Raises:
        OperationRefused: before anything is started, if the cluster is not healthy.
    """
    cluster = cluster.with_passwords()
    primary = await _healthy(cluster)
    await drill_writer.prepare(cluster, primary)
    try:
        return await _loaded(cluster, 60 * minutes, progress)
    finally:
        await _clear(cluster, primary, progress)


async def _healthy(cluster: Cluster) -> str:
    """Return the primary of a healthy cluster. Raises OperationRefused."""
    assessment = health.assess(cluster.spec, await snapshot.take_snapshot(cluster))
    if not assessment.is_healthy or assessment.primary is None:
        findings = "\n".join(map(str, assessment.findings)) or "there is no primary"
        raise errors.OperationRefused(
            f"the cluster {cluster.spec.name} is not healthy, so the effect of the load could not be separated",
            detail=findings,
            hint="See: poolkeeper status",
        )
    return assessment.primary


async def _loaded(cluster: Cluster, seconds: float, progress: Progress) -> FullLoadResult:
    writes, reads, lease = ledger.Ledger(), ledger.Ledger(), LeaseWatch(progress.note)
    async with watch.leader_key(cluster, lease):
        with ExitStack() as stack:
            stack.enter_context(drill_client.running(_light(drill_writer.endpoint(cluster)), writes))
            stack.enter_context(drill_client.running(_light(reader.endpoint(cluster)), reads))
            await _served(writes, reads)
            began, began_at = time.monotonic(), datetime.now(UTC)
            before = await _cpu_seconds(cluster)
            with progress.step(f"{seconds / 60:g} minutes with every core busy"), busy.every_core() as cores:
                await asyncio.sleep(seconds)  # a measured time, not a wait for something
                after, ended, loads = await _cpu_seconds(cluster), time.monotonic(), os.getloadavg()
        stored = await _stored(cluster, writes, progress)
    attempts = writes.attempts(ended)
    return FullLoadResult(
        seconds=ended - began,
        cores=cores,
        holdings=tuple(lease.seen),
        blind=lease.blind,
        write=ledger.longest_gap(attempts, began, ended),
        read=ledger.longest_gap(reads.attempts(ended), began, ended),
        verdict=None if stored is None else ledger.evaluate(attempts, stored, None),
        load_average=loads,
        keeper_cpu=figure.cpu_share(before, after, ended - began),
        keeper_memory=await keeper_part.memory(cluster),
        work=work_by_kind(await _events(cluster), began_at),
    )


def _light(endpoint: drill_client.ClientEndpoint) -> drill_client.ClientEndpoint:
    return replace(endpoint, kept_pace=KEPT_PACE, fresh_pace=FRESH_PACE)


async def _served(writes: ledger.Ledger, reads: ledger.Ledger) -> None:
    """Wait until every client was served once. Raises DeadlinePassed."""
    begun = time.monotonic()

    async def check() -> None:
        if not all(calls.served_since(begun, drill_client.CLIENTS) for calls in (writes, reads)):
            raise wait.NotYet("a client was not served yet")

    await wait.wait_for("service at both endpoints", check, seconds=READY_SECONDS)


async def _cpu_seconds(cluster: Cluster) -> float | None:
    host, port = client_files.client_host(cluster.spec), cluster.spec.keeper.port
    metrics = (await snapshot.observe(keeper_client.metrics(host, port, PROBE_TIMEOUT))).value
    return metrics.cpu_seconds if metrics else None


async def _events(cluster: Cluster) -> list[dict[str, Any]]:
    host, port = client_files.client_host(cluster.spec), cluster.spec.keeper.port
    return (await snapshot.observe(keeper_client.events(host, port, PROBE_TIMEOUT))).value or []


async def _stored(cluster: Cluster, writes: ledger.Ledger, progress: Progress) -> dict[int, int] | None:
    """Return the rows that the primary of the healthy cluster has; None if it cannot be queried."""

    async def check() -> str:
        try:
            return await _healthy(cluster)
        except errors.OperationRefused as e:
            raise wait.NotYet(e.detail) from e

    try:
        primary = await wait.wait_for("health", check, seconds=HEALTHY_SECONDS, pause=0.5)
        return await drill_writer.stored(cluster, primary, 1, writes.next_number)
    except errors.PoolkeeperError as e:
        progress.note(f"the writes were not compared: {e.message}")
        return None


async def _clear(cluster: Cluster, primary: str, progress: Progress) -> None:
    """Drop the table; if that fails, the next drill or load does it."""
    try:
        await drill_writer.clear(cluster, primary)
    except errors.PoolkeeperError as e:
        progress.note(f"the table {drill_writer.TABLE} remains for now: {e.message}")
