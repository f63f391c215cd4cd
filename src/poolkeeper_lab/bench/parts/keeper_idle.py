"""What the keeper costs while nothing happens: CPU time by its own word, memory by its own and the engine's.

Not promised: that nothing happens; the number of its events meanwhile says whether it did.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import client_files
from poolkeeper.system import compose, etcd_kv, keeper_client
from poolkeeper_lab.bench.measure import figure
from poolkeeper_lab.bench.measure.figure import Figure

CPU_GOAL = 2.0  # per cent of one core
MEMORY_GOAL = 80.0  # MB


@dataclass(frozen=True)
class Rest:
    """Two readings so many seconds apart, the engine's word on memory (MB), and etcd's changes meanwhile."""

    seconds: float
    before: keeper_client.Metrics
    after: keeper_client.Metrics
    memory: float | None
    store_changes: int

    def figures(self) -> list[Figure]:
        """The figures, with their goals."""
        share = figure.cpu_share(self.before.cpu_seconds, self.after.cpu_seconds, self.seconds)
        events = sum(self.after.events.values()) - sum(self.before.events.values())
        return [
            Figure("seconds", self.seconds, "s"),
            Figure("CPU", share, "% of a core", CPU_GOAL, "" if share is not None else "it was started anew meanwhile"),
            Figure("memory, by the engine", self.memory, "MB", MEMORY_GOAL),
            Figure("memory, the process's largest", self.after.peak_bytes / 1e6, "MB", MEMORY_GOAL),
            Figure("changes in etcd", self.store_changes, remark=f"{self.store_changes / self.seconds:.1f} a second"),
            Figure("its own events", events, remark="at rest there are none"),
        ]


async def measure(cluster: Cluster, seconds: float) -> Rest:
    """Read, let so many seconds pass, read again. Raises Unreachable where the keeper or etcd does not answer."""
    spec = cluster.spec
    began, before, revision = time.monotonic(), await _metrics(spec), await _revision(spec)
    await asyncio.sleep(seconds)  # a measured time, not a wait for something
    after, ended = await _metrics(spec), time.monotonic()
    return Rest(ended - began, before, after, await memory(cluster), await _revision(spec) - revision)


async def _metrics(spec: ClusterSpec) -> keeper_client.Metrics:
    return await keeper_client.metrics(client_files.client_host(spec), spec.keeper.port, spec.timeouts.query)


async def _revision(spec: ClusterSpec) -> int:
    """etcd's revision: one more with every change."""
    store = etcd_kv.Store([str(member.address) for member in spec.etcd.members], spec.timeouts.query)
    try:
        revision, _ = await store.read(f"/poolkeeper/{spec.name}/nodes/")
    finally:
        await store.close()
    return revision


async def memory(cluster: Cluster) -> float | None:
    """The keeper's container by the engine's word, in MB."""
    name = cluster.container(cluster.spec.keeper.service)
    return figure.read_size((await asyncio.to_thread(compose.memory_bytes, [name])).get(name))
