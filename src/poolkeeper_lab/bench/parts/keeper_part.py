"""`bench keeper`: the idle keeper's CPU time, as it reports it, and its memory, as it and the engine report it.

Not promised: that the cluster is idle; the number of the keeper's events shows whether it was.
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
from poolkeeper_lab.bench.measure.figure import BenchFigure

CPU_GOAL = 2.0  # per cent of one core
MEMORY_GOAL = 80.0  # MB


@dataclass(frozen=True)
class IdleKeeper:
    """Two readings `seconds` apart, the memory that the engine reports (MB), and the changes in etcd meanwhile."""

    seconds: float
    before: keeper_client.Metrics
    after: keeper_client.Metrics
    memory: float | None
    store_changes: int

    def figures(self) -> list[BenchFigure]:
        """Return the figures with their goals."""
        share = figure.cpu_share(self.before.cpu_seconds, self.after.cpu_seconds, self.seconds)
        events = sum(self.after.events.values()) - sum(self.before.events.values())
        restarted = "" if share is not None else "the keeper restarted meanwhile"
        return [
            BenchFigure("seconds", self.seconds, "s"),
            BenchFigure("CPU", share, "% of a core", CPU_GOAL, restarted),
            BenchFigure("memory, by the engine", self.memory, "MB", MEMORY_GOAL),
            BenchFigure("memory, the process's largest", self.after.peak_bytes / 1e6, "MB", MEMORY_GOAL),
            BenchFigure(
                "changes in etcd", self.store_changes, remark=f"{self.store_changes / self.seconds:.1f} a second"
            ),
            BenchFigure("its own events", events, remark="none at rest"),
        ]


async def measure(cluster: Cluster, seconds: float) -> IdleKeeper:
    """Take a reading, wait for `seconds`, and take another one.

    Raises:
        Unreachable: if the keeper or etcd does not answer.
    """
    spec = cluster.spec
    began, before, revision = time.monotonic(), await _metrics(spec), await _revision(spec)
    await asyncio.sleep(seconds)  # a measured time, not a wait for something
    after, ended = await _metrics(spec), time.monotonic()
    return IdleKeeper(ended - began, before, after, await memory(cluster), await _revision(spec) - revision)


async def _metrics(spec: ClusterSpec) -> keeper_client.Metrics:
    return await keeper_client.metrics(client_files.client_host(spec), spec.keeper.port, spec.timeouts.query)


async def _revision(spec: ClusterSpec) -> int:
    """Return the revision of etcd: each change increases it by one."""
    store = etcd_kv.Store([str(member.address) for member in spec.etcd.members], spec.timeouts.query)
    try:
        revision, _ = await store.read(f"/poolkeeper/{spec.name}/nodes/")
    finally:
        await store.close()
    return revision


async def memory(cluster: Cluster) -> float | None:
    """Return the memory of the keeper's container, as the engine reports it, in MB."""
    name = cluster.container(cluster.spec.keeper.service)
    return figure.read_size((await asyncio.to_thread(compose.memory_bytes, [name])).get(name))
