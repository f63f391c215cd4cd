"""A client's view of the read-write endpoint while roles move: how long did no new connection reach a primary?

The probe writes nothing: each try is a fresh connection that asks which node answers. Several tries run at once, so
that one that is held or lost does not hide the moment at which others succeed. Not promised: a resolution finer than
PERIOD.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.system import postgres

PERIOD = 0.05  # seconds between two new connections
TRIES = 4  # at once: an endpoint that holds sessions must keep room for others
GRACE = 2.0  # seconds that a try may last beyond the time for which the endpoint holds a session


@dataclass(frozen=True)
class ReachedServer:
    """A try that a primary answered: when (monotonic seconds), and which node."""

    at: float
    node: str


@dataclass(frozen=True)
class ConnectionGap:
    """The longest time between two answers of a primary; `began` is the earlier answer, in monotonic seconds."""

    began: float
    seconds: float


def longest_gap(reached: Sequence[ReachedServer]) -> ConnectionGap | None:
    """Return the longest gap; None with fewer than two answers."""
    times = sorted(answer.at for answer in reached)
    gaps = [ConnectionGap(before, after - before) for before, after in pairwise(times)]
    return max(gaps, key=lambda gap: gap.seconds, default=None)


@dataclass
class Probe:
    """The answers so far, and how many tries ended without one."""

    reached: list[ReachedServer] = field(default_factory=list)
    failures: int = 0

    @property
    def last_node(self) -> str | None:
        """The node that answered last; None if none has answered yet."""
        return self.reached[-1].node if self.reached else None

    def missing_answer(self, node: str, since: float) -> str | None:
        """Return what is missing until this node has answered after `since` (monotonic seconds); None if it has."""
        if any(answer.node == node and answer.at > since for answer in self.reached):
            return None
        return f"the last answer came from {self.last_node or 'no node'}"


@asynccontextmanager
async def probing(cluster: Cluster) -> AsyncIterator[Probe]:
    """Probe the read-write endpoint for as long as the block lasts."""
    probe = Probe()
    tasks = [asyncio.ensure_future(_try_repeatedly(cluster, probe, i * PERIOD)) for i in range(TRIES)]
    try:
        yield probe
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for failure in ended:
        if isinstance(
            failure, Exception
        ):  # not its own cancellation: a bug here, and the measured pause would be wrong
            raise failure


async def _try_repeatedly(cluster: Cluster, probe: Probe, offset: float) -> None:
    spec = cluster.spec
    nodes = {str(address): name for name, address in spec.addresses().items()}
    limit = spec.haproxy.hold_ms / 1000 + GRACE
    await asyncio.sleep(offset)
    while True:
        due = time.monotonic() + TRIES * PERIOD
        answer = (await snapshot.observe(postgres.observe_endpoint(cluster.endpoint(RW), nodes, limit))).value
        if answer and not answer.in_recovery:
            probe.reached.append(ReachedServer(time.monotonic(), answer.node))
        else:
            probe.failures += 1
        await asyncio.sleep(max(0.0, due - time.monotonic()))
