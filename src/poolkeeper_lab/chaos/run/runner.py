"""A whole run: clients at every endpoint, one scenario after the other, the final reads, the state after it, the history.

Invariant: the workloads run from before the first fault until after the last recovery; everything is healed before
anything is concluded, also after Ctrl-C, and what was recorded until then can be judged. A cluster that does not become
whole ends the breaking of it. Two runs at once would take each other's faults for their own: the caller holds a lock.
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

FIRST_SECONDS = 180.0  # until the cluster is healthy, before anything is begun
WARM_UP = 3.0  # seconds of service before the first fault
SETTLE = 1.0  # and after each recovery
USUAL = RunConfig()
INTERRUPTED = "interrupted"


@dataclass
class Run:
    """What came of it, beside the history. `problems` are of the run itself, not of the cluster."""

    history: Path
    played: list[PlayedScenario]
    problems: list[str] = field(default_factory=list)
    is_interrupted: bool = False

    @property
    def heal_seconds(self) -> float | None:
        """The longest of all turns; None where nothing was broken, or where one is not known and none was too long."""
        broken = [turn for turn in self.played if turn.began is not None]
        lengths = [turn.heal_seconds for turn in broken]
        known = [length for length in lengths if length is not None]
        is_complete = len(known) == len(lengths) or any(turn.is_unhealed for turn in broken)
        return max(known) if known and is_complete else None


def header(site: DrilledCluster, turns: Sequence[ScheduledScenario], jobs: Sequence[WorkloadJob], seed: int) -> Header:
    """What is planned."""
    spec = site.spec
    facts = {
        "name": spec.name,
        "nodes": [node.name for node in spec.nodes],
        "synchronous_mode": spec.replication.synchronous_mode,
        "quorum_acknowledgements": spec.replication.quorum_acknowledgements,
        "lease_seconds": spec.patroni.ttl,
    }
    declared = {job.name: job.declared for job in jobs}
    faults = tuple(turn.scenario.name for turn in turns for _ in turn.scenario.acts)  # each has to begin
    return Header("chaos run", seed, declared, faults, expects_final_state=True, cluster=facts)


async def run(
    site: DrilledCluster,
    turns: Sequence[ScheduledScenario],
    seed: int,
    history: Path,
    progress: Progress,
    gear: RunConfig = USUAL,
) -> Run:
    """Do it all; the history is closed then. Raises DeadlinePassed if the cluster is not healthy to begin with."""
    is_bounded = not any(turn.scenario.hits_keeper for turn in turns)
    jobs = gear.jobs(site.spec, is_bounded)
    if any(turn.scenario.splits for turn in turns):  # nobody asks at the nodes' own ports then
        jobs = tuple(job for job in jobs if job.name not in all_jobs.STRAIGHT)
    await interrupts.in_thread(sweep, site.host)
    with progress.step("waiting for a healthy cluster, and making the tables"):
        primary = await site.wait_healthy(FIRST_SECONDS)
        identity = await workload_tables.identity(site.cluster, primary)
        await workload_tables.prepare(site.cluster, primary, jobs)
    done = Run(history, [PlayedScenario(turn) for turn in turns])
    with gear.recorder(history, header(site, turns, jobs, seed)) as recorder:
        staff = RunClients(recorder, site.cluster, seed, done.problems)
        with _interruptible(done, progress), run_clients.working(staff, jobs):
            await _play_all(Nemesis(site, recorder, Healing(), identity), done, progress)
        with _interruptible(done, progress):
            recorder.final_state(await _finish(site, staff, jobs, done, progress, identity, gear.last_seconds))
    return done


@contextmanager
def _interruptible(done: Run, progress: Progress) -> Iterator[None]:
    """The first Ctrl-C ends the block and not the run: what was recorded is judged all the same."""
    try:
        yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if done.is_interrupted or task is None:
            raise
        task.uncancel()
        done.is_interrupted = True
        progress.note("interrupted: what was broken is healed; now the end is looked at. Ctrl-C again ends at once")


async def _play_all(nemesis: Nemesis, done: Run, progress: Progress) -> None:
    await asyncio.sleep(WARM_UP)  # a time of quiet service, which is measured too
    for played in done.played:
        turn = played.turn
        with progress.step(f"{turn.number} of {len(done.played)}: {turn.scenario.name}: {turn.scenario.promise}"):
            await nemesis.play(played)
        progress.note(line(played))
        if played.is_unhealed:
            progress.note("the cluster does not become whole, so nothing more is broken")
            return
        await asyncio.sleep(SETTLE)


def line(played: PlayedScenario) -> str:
    """What came of a turn, for a person who waits."""
    holds = " and ".join(f"{hold:g} s" for hold in played.turn.holds)
    healed = f", whole after {played.heal_seconds:.1f} s" if played.whole and played.heal_seconds is not None else ""
    problem = f", PROBLEM: {played.problem}" if played.problem else ""
    return f"  {', then '.join(played.victims) or 'nobody'} for {holds}{healed}{problem}"


async def _finish(
    site: DrilledCluster,
    staff: RunClients,
    jobs: Sequence[WorkloadJob],
    done: Run,
    progress: Progress,
    identity: str,
    seconds: float,
) -> FinalState:
    """With all clients gone: wait until it is whole, read everything, look at everything."""
    try:
        with progress.step("waiting until the cluster is whole"):
            primary = await site.wait_healthy(seconds)
        for played in done.played:  # the one that was interrupted
            if played.healed is not None and played.whole is None and not played.is_unhealed:
                played.whole = time.monotonic()
        with progress.step("final reads, at the endpoint and at every node"):
            await workload_tables.require_identity(site.cluster, primary, identity)
            await workload_tables.replayed(site.cluster, primary)
            await _read_finals(staff, jobs)
        with progress.step("rows, pages, timelines, slots, and the validation suite"):
            return await final_state_collector.collect(site.cluster, primary, done.heal_seconds, progress.note)
    except errors.PoolkeeperError as e:
        done.problems.append(f"the end could not be looked at: {e.message}")
        progress.note(done.problems[-1])
        if isinstance(e, errors.DeadlinePassed):
            return await final_state_collector.collect_unhealthy(site.cluster, done.heal_seconds)
        return FinalState(nodes=tuple(node.name for node in site.spec.nodes), heal_seconds=done.heal_seconds)


async def _read_finals(staff: RunClients, jobs: Sequence[WorkloadJob]) -> None:
    """In a thread of its own, which Ctrl-C asks to end instead of waiting for it."""
    stop = threading.Event()
    reading = asyncio.ensure_future(interrupts.in_thread(run_clients.read_finals, staff, jobs, stop))
    try:
        await asyncio.shield(reading)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([reading])
        raise


async def clear(site: DrilledCluster, progress: Progress) -> None:
    """Drop the tables; where that fails, the next run does it."""
    try:
        await workload_tables.clear(site.cluster, await site.wait_healthy(LAST_SECONDS))
    except errors.PoolkeeperError as e:
        progress.note(f"the schema {SCHEMA} stays until the next run: {e.message}")
