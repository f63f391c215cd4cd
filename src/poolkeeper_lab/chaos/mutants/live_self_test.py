"""Plants one bug after the other in a running cluster and sees who catches it.

Invariant: before and after each bug every witness says green and the cluster is clean of it, by a look at the cluster;
it is taken away whatever happens, Ctrl-C included, which cannot stop that. A bug that nobody caught is told as such.
After SIGKILL `clean` finds what was left, whichever bug it was. One at a time: the caller holds a lock.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from poolkeeper.core import errors, interrupts, wait
from poolkeeper.core.progress import Progress
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.mutants.all_mutants import PLANTS
from poolkeeper_lab.chaos.mutants.mutant import Mutant, Sighting
from poolkeeper_lab.chaos.report.self_test_model import Bug
from poolkeeper_lab.chaos.run import chaos_schedule, runner
from poolkeeper_lab.chaos.scenarios.scenario import Scenario
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.sweep import sweep

HEALTHY_SECONDS = 180.0  # before a bug and after it: a node may have to be cloned anew
AWAY_SECONDS = 90.0  # until a bug is taken away: there may be no primary for a while


class NotClean(errors.PoolkeeperError):
    """The cluster is not as it was before the bug; nothing more may be planted."""


@dataclass(frozen=True)
class Test:
    """What every bug is tried with."""

    site: DrilledCluster
    rounds: int
    seed: int
    folder: Path  # of the histories
    stamp: str  # in their names
    progress: Progress


def blank(plant: Mutant, problem: str = "") -> Bug:
    """A bug that was not tried."""
    return Bug(plant.name, plant.sentence, tuple(map(str, plant.catches)), problem=problem)


def unavailable(site: DrilledCluster, plant: Mutant) -> str:
    """Why it cannot be planted, or its scenarios not played, here; "" if they can."""
    node = site.spec.nodes[0].name
    faults = (act.make(site.host, node, lambda: None) for scenario in plant.scenarios for act in scenario.steps)
    return plant.change.unavailable(site) or next((reason for fault in faults if (reason := fault.available())), "")


async def clean(site: DrilledCluster, progress: Progress, plants: Sequence[Mutant] = PLANTS) -> None:
    """Take away what an end by SIGKILL left, of whichever bug. Raises DeadlinePassed for what stays."""

    async def look() -> str | None:
        try:
            await interrupts.in_thread(sweep, site.host)
            for plant in plants:
                if not plant.change.unavailable(site) and await plant.change.is_there(site):
                    progress.note(f"left by a test that was killed, and taken away now: {plant.name} or its like")
                    await plant.change.take_away(site)
        except errors.PoolkeeperError as e:
            return e.message
        return None

    await wait.wait_until("a cluster without planted bugs", look, seconds=AWAY_SECONDS, pause=1.0)


async def run(test: Test, plants: Sequence[Mutant], done: Callable[[Bug], None]) -> None:
    """Try them all; `done` is given each as it ends. Raises DeadlinePassed where the cluster is not healthy first."""
    with test.progress.step("looking for what an earlier test left, and for a healthy cluster"):
        await clean(test.site, test.progress)
        await test.site.wait_healthy(HEALTHY_SECONDS)
    for index, plant in enumerate(plants):
        bug = blank(plant)
        try:
            with test.progress.step(f"{index + 1} of {len(plants)}: {plant.name}: {plant.sentence}"):
                bug = await _try(test, plant)
        except NotClean as e:
            done(replace(bug, problem=e.message))
            for left in plants[index + 1 :]:
                done(blank(left, "not tried: the cluster is not as it was before"))
            return
        done(bug)
        if bug.problem == runner.INTERRUPTED:
            for left in plants[index + 1 :]:
                done(blank(left, "not tried: interrupted"))
            return


async def _try(test: Test, plant: Mutant) -> Bug:
    """One bug. Raises NotClean."""
    if reason := unavailable(test.site, plant):
        return blank(plant, f"not tried: {reason}")
    bug = blank(plant)
    try:
        async with planted(test, plant):
            bug = await _rounds(test, plant, bug)
    except NotClean:
        raise
    except errors.PoolkeeperError as e:
        return replace(bug, outcome=Outcome.UNKNOWN, problem=e.message)
    return bug


@asynccontextmanager
async def planted(test: Test, plant: Mutant) -> AsyncIterator[None]:
    """A block in which the bug is there. Raises NotClean where it cannot be taken away, or was there before."""
    site, change = test.site, plant.change
    if await change.is_there(site):
        raise NotClean(f"{plant.name} is there before it was planted")
    try:
        with test.progress.step("planting it"):
            await change.apply(site)
            await site.wait_healthy(HEALTHY_SECONDS)
        yield
    finally:
        with interrupts.signals_blocked(), test.progress.step("taking it away"):
            await _take_away(site, plant)
        with test.progress.step("healthy, and clean of it"):
            await _as_before(site, plant)


async def _take_away(site: DrilledCluster, plant: Mutant) -> None:
    async def look() -> str | None:
        try:
            await plant.change.take_away(site)
        except errors.PoolkeeperError as e:
            return e.message
        return None

    try:
        await wait.wait_until(f"{plant.name} taken away", look, seconds=AWAY_SECONDS, pause=1.0)
    except errors.DeadlinePassed as e:
        raise NotClean(e.message) from e


async def _as_before(site: DrilledCluster, plant: Mutant) -> None:
    try:
        await site.wait_healthy(HEALTHY_SECONDS)
        is_there = await plant.change.is_there(site)
    except errors.PoolkeeperError as e:
        raise NotClean(f"after {plant.name}: {e.message}") from e
    if is_there:
        raise NotClean(f"{plant.name} is still there")


async def _rounds(test: Test, plant: Mutant, bug: Bug) -> Bug:
    """Play its scenarios in turn until somebody sees it, at most so often."""
    began = time.monotonic()
    for number in range(test.rounds):
        scenario = plant.scenarios[number % len(plant.scenarios)]
        path = test.folder / f"self-test-{test.stamp}-{plant.name}-{number + 1}.jsonl"
        with test.progress.step(f"round {number + 1}: {scenario.name}: {scenario.promise}"):
            done, sight = await _round(test, plant, scenario, number, path)
        bug = replace(bug, scenario=scenario.name, rounds=number + 1, histories=(*bug.histories, str(path)))
        if sight:
            test.progress.note(f"caught by {sight.catch}: {sight.text}")
            seconds = time.monotonic() - began
            bug = replace(bug, outcome=Outcome.PASS, caught_by=str(sight.catch), text=sight.text, seconds=seconds)
        if done.is_interrupted:
            return replace(bug, problem=runner.INTERRUPTED)
        if sight:
            return bug
        test.progress.note(f"not caught in round {number + 1}; {'; '.join(_problems(done)) or 'the run went well'}")
    was_put_to_it = any(p.began is not None and (p.is_unhealed or not p.problem) for p in done.played)
    return replace(bug, outcome=Outcome.FAIL if was_put_to_it else Outcome.UNKNOWN, problem="; ".join(_problems(done)))


async def _round(
    test: Test, plant: Mutant, scenario: Scenario, number: int, path: Path
) -> tuple[runner.Run, Sighting | None]:
    turns = chaos_schedule.plan((scenario,), 0, test.seed + number)
    done = await runner.run(test.site, turns, test.seed + number, path, test.progress, plant.gear)
    with test.progress.step("judging"):
        history = await interrupts.in_thread(jsonl.read, path)
        judged = await interrupts.in_thread(run_verdict.evaluate, history)
        return done, plant.sighted(history, judged)


def _problems(done: runner.Run) -> list[str]:
    return [*done.problems, *(played.problem for played in done.played if played.problem)]
