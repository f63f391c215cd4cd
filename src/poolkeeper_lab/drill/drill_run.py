"""Run a drill: every injection in its order, with one result for each, also for those that could not run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Progress
from poolkeeper_lab.drill import drill_round, drill_writer
from poolkeeper_lab.drill.drill_faults import DrillFault
from poolkeeper_lab.drill.drill_results import Drill, DrillRound, Series
from poolkeeper_lab.drill.drill_schedule import ScheduledFault
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.healing import Healing
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.sweep import sweep

_INTERRUPTED = 5  # seconds of the wait for a healthy cluster after an interruption


def drilled(cluster: Cluster) -> DrilledCluster:
    """Return the cluster as the drill needs it.

    Raises:
        ClusterNotUp: if the cluster was never started.
    """
    return DrilledCluster(cluster.with_passwords(), Host(cluster))


async def run(
    site: DrilledCluster, plan: Sequence[ScheduledFault], progress: Progress, done: Callable[[DrillRound], None]
) -> None:
    """Play every injection; pass each round to `done` as it ends.

    On an interruption, the fault is healed first, and the rounds passed so far stay valid.

    Raises:
        DeadlinePassed: if the cluster is not healthy at the start.
    """
    healing = Healing()
    sweep(site.host)
    with progress.step("waiting for a healthy cluster"):
        primary = await site.wait_healthy(drill_round.HEALTHY_SECONDS)
    await drill_writer.prepare(site.cluster, primary)
    patience = _INTERRUPTED
    try:
        await _play_all(site, plan, healing, progress, done)
        patience = site.spec.timeouts.up
    finally:
        for failure in healing.failures:
            progress.note(failure)
        await _clear(site, progress, patience)


async def _play_all(
    site: DrilledCluster,
    plan: Sequence[ScheduledFault],
    healing: Healing,
    progress: Progress,
    done: Callable[[DrillRound], None],
) -> None:
    first = 1
    for index, scheduled in enumerate(plan):
        try:
            with progress.step(f"{index + 1} of {len(plan)}: {scheduled.title}"):
                played, first = await drill_round.play(site, scheduled, healing, first)
                done(played)
        except drill_round.NotHealthy as e:
            for left in plan[index:]:
                done(DrillRound(left.entry.name, left.number, left.keeper, problem=f"not run: {e}"))
            progress.note(f"the cluster does not become healthy, so the drill ends here: {e}")
            return


async def _clear(site: DrilledCluster, progress: Progress, seconds: float) -> None:
    """Drop the table; if that fails, the next drill drops it."""
    try:
        await drill_writer.clear(site.cluster, await site.wait_healthy(seconds))
    except errors.PoolkeeperError as e:
        progress.note(f"the table {drill_writer.TABLE} stays until the next drill: {e.message}")


class DrillRecord:
    """Collects the rounds as they end, and returns the drill so far."""

    def __init__(self, cluster: str, entries: Sequence[DrillFault], rounds: int, seed: int) -> None:
        self.rounds: list[DrillRound] = []
        self._cluster, self._entries, self._asked, self._seed = cluster, entries, rounds, seed
        self._started_at, self._began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()

    def drill(self) -> Drill:
        """Return the drill so far, without the faults that have no round."""
        series = (
            Series(e.name, e.sentence, tuple(r for r in self.rounds if r.fault == e.name), e.goals)
            for e in self._entries
        )
        seconds = time.monotonic() - self._began
        return Drill(
            self._cluster, self._started_at, seconds, self._seed, self._asked, tuple(s for s in series if s.rounds)
        )
