"""Inject one mutant after the other into a running cluster and report which checker catches it.

Invariant: before and after each mutant all health checks pass, and a check of the cluster finds nothing of it. It is
removed in every case, and Ctrl-C cannot stop that. A mutant that no checker caught is reported as missed.
After SIGKILL `clean` finds the change that was left, of any mutant. One at a time: the caller holds a lock.
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
from poolkeeper_lab.chaos.mutants.all_mutants import MUTANTS
from poolkeeper_lab.chaos.mutants.mutant import Mutant, Sighting
from poolkeeper_lab.chaos.report.self_test_model import Bug
from poolkeeper_lab.chaos.run import chaos_schedule, runner
from poolkeeper_lab.chaos.scenarios.scenario import Scenario
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.sweep import sweep

HEALTHY_SECONDS = 180.0  # before a bug and after it: a node may have to be cloned again
REVERT_SECONDS = 90.0  # until a bug is removed: there may be no primary for a while


class NotClean(errors.PoolkeeperError):
    """The cluster is not as it was before the bug; no other may be injected."""


@dataclass(frozen=True)
class Test:
    """The parameters of the test, the same for every mutant."""

    drilled: DrilledCluster
    rounds: int
    seed: int
    folder: Path  # of the histories
    stamp: str  # in their names
    progress: Progress


def untried(mutant: Mutant, problem: str = "") -> Bug:
    """Return the report of a mutant that was not tried."""
    return Bug(mutant.name, mutant.sentence, tuple(map(str, mutant.catches)), problem=problem)


def unavailable(drilled: DrilledCluster, mutant: Mutant) -> str:
    """Return why the mutant, or one of its scenarios, is impossible here; "" if all are possible."""
    node = drilled.spec.nodes[0].name
    faults = (step.make(drilled.host, node, lambda: None) for scenario in mutant.scenarios for step in scenario.steps)
    return mutant.change.unavailable(drilled) or next((reason for fault in faults if (reason := fault.available())), "")


async def clean(drilled: DrilledCluster, progress: Progress, mutants: Sequence[Mutant] = MUTANTS) -> None:
    """Remove the change that an end by SIGKILL left, of any mutant.

    Raises:
        DeadlinePassed: if it cannot be removed in time.
    """

    async def cleaned() -> None:
        try:
            await interrupts.in_thread(sweep, drilled.host)
            for mutant in mutants:
                if not mutant.change.unavailable(drilled) and await mutant.change.is_applied(drilled):
                    progress.note(f"left by a test that was killed, and removed now: {mutant.name} or a similar one")
                    await mutant.change.revert(drilled)
        except errors.PoolkeeperError as e:
            raise wait.NotYet(e.message) from e

    await wait.wait_for("a cluster without injected bugs", cleaned, seconds=REVERT_SECONDS, pause=1.0)


async def run(test: Test, mutants: Sequence[Mutant], done: Callable[[Bug], None]) -> None:
    """Try all mutants; call `done` with the report of each as it ends.

    Raises:
        DeadlinePassed: if the cluster is not healthy at first.
    """
    with test.progress.step("removing changes of an earlier test, and waiting for a healthy cluster"):
        await clean(test.drilled, test.progress)
        await test.drilled.wait_healthy(HEALTHY_SECONDS)
    for index, mutant in enumerate(mutants):
        bug = untried(mutant)
        try:
            with test.progress.step(f"{index + 1} of {len(mutants)}: {mutant.name}: {mutant.sentence}"):
                bug = await _try(test, mutant)
        except NotClean as e:
            done(replace(bug, problem=e.message))
            for left in mutants[index + 1 :]:
                done(untried(left, "not tried: the cluster is not as it was before"))
            return
        done(bug)
        if bug.problem == runner.INTERRUPTED:
            for left in mutants[index + 1 :]:
                done(untried(left, "not tried: interrupted"))
            return


async def _try(test: Test, mutant: Mutant) -> Bug:
    """Try one mutant and return its report; raise NotClean if it cannot be removed."""
    if reason := unavailable(test.drilled, mutant):
        return untried(mutant, f"not tried: {reason}")
    bug = untried(mutant)
    try:
        async with injected(test, mutant):
            bug = await _rounds(test, mutant, bug)
    except NotClean:
        raise
    except errors.PoolkeeperError as e:
        return replace(bug, outcome=Outcome.UNKNOWN, problem=e.message)
    return bug


@asynccontextmanager
async def injected(test: Test, mutant: Mutant) -> AsyncIterator[None]:
    """Run a block with the bug injected.

    Raises:
        NotClean: if the bug was in the cluster before, or cannot be removed.
    """
    drilled, change = test.drilled, mutant.change
    if await change.is_applied(drilled):
        raise NotClean(f"{mutant.name} is in the cluster before its injection")
    try:
        with test.progress.step("injecting it"):
            await change.apply(drilled)
            await drilled.wait_healthy(HEALTHY_SECONDS)
        yield
    finally:
        with interrupts.signals_blocked(), test.progress.step("removing it"):
            await _revert(drilled, mutant)
        with test.progress.step("waiting for a healthy cluster without it"):
            await _require_clean(drilled, mutant)


async def _revert(drilled: DrilledCluster, mutant: Mutant) -> None:
    async def reverted() -> None:
        try:
            await mutant.change.revert(drilled)
        except errors.PoolkeeperError as e:
            raise wait.NotYet(e.message) from e

    try:
        await wait.wait_for(f"the removal of {mutant.name}", reverted, seconds=REVERT_SECONDS, pause=1.0)
    except errors.DeadlinePassed as e:
        raise NotClean(e.message) from e


async def _require_clean(drilled: DrilledCluster, mutant: Mutant) -> None:
    try:
        await drilled.wait_healthy(HEALTHY_SECONDS)
        is_applied = await mutant.change.is_applied(drilled)
    except errors.PoolkeeperError as e:
        raise NotClean(f"after {mutant.name}: {e.message}") from e
    if is_applied:
        raise NotClean(f"{mutant.name} is still in the cluster")


async def _rounds(test: Test, mutant: Mutant, bug: Bug) -> Bug:
    """Run its scenarios in turn until a checker catches it, at most `test.rounds` times."""
    began = time.monotonic()
    for number in range(test.rounds):
        scenario = mutant.scenarios[number % len(mutant.scenarios)]
        path = test.folder / f"self-test-{test.stamp}-{mutant.name}-{number + 1}.jsonl"
        with test.progress.step(f"round {number + 1}: {scenario.name}: {scenario.promise}"):
            done, sight = await _round(test, mutant, scenario, number, path)
        bug = replace(bug, scenario=scenario.name, rounds=number + 1, histories=(*bug.histories, str(path)))
        if sight:
            test.progress.note(f"caught by {sight.catch}: {sight.text}")
            seconds = time.monotonic() - began
            bug = replace(bug, outcome=Outcome.PASS, caught_by=str(sight.catch), text=sight.text, seconds=seconds)
        if done.is_interrupted:
            return replace(bug, problem=runner.INTERRUPTED)
        if sight:
            return bug
        test.progress.note(
            f"not caught in round {number + 1}; {'; '.join(_problems(done)) or 'the run had no problem'}"
        )
    was_injected = any(p.began is not None and (p.is_unhealed or not p.problem) for p in done.played)
    return replace(bug, outcome=Outcome.FAIL if was_injected else Outcome.UNKNOWN, problem="; ".join(_problems(done)))


async def _round(
    test: Test, mutant: Mutant, scenario: Scenario, number: int, path: Path
) -> tuple[runner.Run, Sighting | None]:
    turns = chaos_schedule.plan((scenario,), 0, test.seed + number)
    done = await runner.run(test.drilled, turns, test.seed + number, path, test.progress, mutant.config)
    with test.progress.step("checking the history"):
        history = await interrupts.in_thread(jsonl.read, path)
        evaluated = await interrupts.in_thread(run_verdict.evaluate, history)
        return done, mutant.sighted(history, evaluated)


def _problems(done: runner.Run) -> list[str]:
    return [*done.problems, *(played.problem for played in done.played if played.problem)]
