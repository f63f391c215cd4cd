"""Run chaos: clients at every endpoint, the scenarios in order, the final reads, the final state, and the history.

Invariant: the workloads run from before the first fault until after the last recovery. Every fault is healed before the
final checks, also after Ctrl-C, and the history recorded until then can be checked. If the cluster does not recover, no
further fault is injected. Two simultaneous runs would take each other's faults for their own: the caller holds a lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.history.history import Header
from poolkeeper_lab.chaos.run import final_state_collector, run_clients
from poolkeeper_lab.chaos.run.chaos_schedule import ScheduledScenario
from poolkeeper_lab.chaos.run.nemesis import Nemesis, PlayedScenario
from poolkeeper_lab.chaos.run.run_clients import RunClients
from poolkeeper_lab.chaos.run.run_config import LAST_SECONDS, RunConfig
from poolkeeper_lab.chaos.workloads import all_jobs, workload_tables
from poolkeeper_lab.chaos.workloads.job import SCHEMA, WorkloadJob
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.healing import Healing
from poolkeeper_lab.faults.sweep import sweep

FIRST_SECONDS = 180.0  # until the cluster is healthy, before the run begins
WARM_UP = 3.0  # seconds of service before the first fault
SETTLE = 1.0  # seconds of service after each recovery
USUAL = RunConfig()
INTERRUPTED = "interrupted"


@dataclass
class Run:
    """The results of a run beside its history. `problems` are those of the run itself, not of the cluster."""

    history: Path
    played: list[PlayedScenario]
    problems: list[str] = field(default_factory=list)
    is_interrupted: bool = False

    @property
    def heal_seconds(self) -> float | None:
        """The longest recovery; None without a fault, or if one is not known and none was too long."""
        broken = [played for played in self.played if played.began is not None]
        lengths = [played.heal_seconds for played in broken]
        known = [length for length in lengths if length is not None]
        is_complete = len(known) == len(lengths) or any(played.is_unhealed for played in broken)
        return max(known) if known and is_complete else None


def header(site: DrilledCluster, plan: Sequence[ScheduledScenario], jobs: Sequence[WorkloadJob], seed: int) -> Header:
    """Return the header of the history: the plan of the run."""
    spec = site.spec
    facts = {
        "name": spec.name,
        "nodes": [node.name for node in spec.nodes],
        "synchronous_mode": spec.replication.synchronous_mode,
        "quorum_acknowledgements": spec.replication.quorum_acknowledgements,
        "lease_seconds": spec.patroni.ttl,
    }
    declared = {job.name: job.declared for job in jobs}
    faults = tuple(scheduled.scenario.name for scheduled in plan for _ in scheduled.scenario.steps)  # each has to begin
    return Header("chaos run", seed, declared, faults, expects_final_state=True, cluster=facts)


async def run(
    site: DrilledCluster,
    plan: Sequence[ScheduledScenario],
    seed: int,
    history: Path,
    progress: Progress,
    config: RunConfig = USUAL,
) -> Run:
    """Run the plan and write the history to a new file.

    Raises:
        DeadlinePassed: if the cluster is not healthy at the start.
    """
    is_bounded = not any(scheduled.scenario.hits_keeper for scheduled in plan)
    jobs = config.jobs(site.spec, is_bounded)
    if any(scheduled.scenario.splits for scheduled in plan):  # no client may use the nodes' own ports then
        jobs = tuple(job for job in jobs if job.name not in all_jobs.STRAIGHT)
    await interrupts.in_thread(sweep, site.host)
    with progress.step("waiting for a healthy cluster, and creating the tables"):
        primary = await site.wait_healthy(FIRST_SECONDS)
        identity = await workload_tables.identity(site.cluster, primary)
        await workload_tables.prepare(site.cluster, primary, jobs)
    done = Run(history, [PlayedScenario(scheduled) for scheduled in plan])
    with config.recorder(history, header(site, plan, jobs, seed)) as recorder:
        clients = RunClients(recorder, site.cluster, seed, done.problems)
        with _interruptible(done, progress), run_clients.working(clients, jobs):
            await _play_all(Nemesis(site, recorder, Healing(), identity), done, progress)
        with _interruptible(done, progress):
            recorder.final_state(await _finish(site, clients, jobs, done, progress, identity, config.last_seconds))
    return done


@contextmanager
def _interruptible(done: Run, progress: Progress) -> Iterator[None]:
    """Let the first Ctrl-C end the block and not the run: the recorded history is checked all the same."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if done.is_interrupted or task is None:
            raise
        task.uncancel()
        done.is_interrupted = True
        progress.note("interrupted: every fault is healed; the final checks follow. Ctrl-C again ends the run at once")


async def _play_all(nemesis: Nemesis, done: Run, progress: Progress) -> None:
    await asyncio.sleep(WARM_UP)  # undisturbed service, which is measured too
    for played in done.played:
        number, scenario = played.scheduled.number, played.scheduled.scenario
        with progress.step(f"{number} of {len(done.played)}: {scenario.name}: {scenario.promise}"):
            await nemesis.play(played)
        progress.note(line(played))
        if played.is_unhealed:
            progress.note("the cluster does not recover, so no further fault is injected")
            return
        await asyncio.sleep(SETTLE)


def line(played: PlayedScenario) -> str:
    """Return the course of a scenario in one line, for the terminal."""
    holds = " and ".join(f"{hold:g} s" for hold in played.scheduled.holds)
    is_known = played.recovered and played.heal_seconds is not None
    recovered = f", recovered after {played.heal_seconds:.1f} s" if is_known else ""
    problem = f", PROBLEM: {played.problem}" if played.problem else ""
    return f"  {', then '.join(played.victims) or 'no victim'} for {holds}{recovered}{problem}"


async def _finish(
    site: DrilledCluster,
    clients: RunClients,
    jobs: Sequence[WorkloadJob],
    done: Run,
    progress: Progress,
    identity: str,
    seconds: float,
) -> FinalState:
    """Wait for the recovery after all clients ended, run the final reads, and collect the final state."""
    try:
        with progress.step("waiting until the cluster has recovered"):
            primary = await site.wait_healthy(seconds)
        for played in done.played:  # the one that was interrupted
            if played.healed is not None and played.recovered is None and not played.is_unhealed:
                played.recovered = time.monotonic()
        with progress.step("final reads, at the endpoint and at every node"):
            await workload_tables.require_identity(site.cluster, primary, identity)
            await workload_tables.replayed(site.cluster, primary)
            await _read_finals(clients, jobs)
        with progress.step("rows, pages, timelines, slots, and the validation suite"):
            return await final_state_collector.collect(site.cluster, primary, done.heal_seconds, progress.note)
    except errors.PoolkeeperError as e:
        done.problems.append(f"the final state could not be checked: {e.message}")
        progress.note(done.problems[-1])
        if isinstance(e, errors.DeadlinePassed):
            return await final_state_collector.collect_unhealthy(site.cluster, done.heal_seconds)
        return FinalState(nodes=tuple(node.name for node in site.spec.nodes), heal_seconds=done.heal_seconds)


async def _read_finals(clients: RunClients, jobs: Sequence[WorkloadJob]) -> None:
    """Run the final reads in a separate thread, which Ctrl-C stops early."""
    stop = threading.Event()
    reading = asyncio.ensure_future(interrupts.in_thread(run_clients.read_finals, clients, jobs, stop))
    try:
        await asyncio.shield(reading)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([reading])
        raise


async def clear(site: DrilledCluster, progress: Progress) -> None:
    """Drop the tables; if that fails, the next run drops them."""
    try:
        await workload_tables.clear(site.cluster, await site.wait_healthy(LAST_SECONDS))
    except errors.PoolkeeperError as e:
        progress.note(f"the schema {SCHEMA} stays until the next run: {e.message}")
