"""`chaos run` and `chaos list`: plan a run, run it under a lock, evaluate its history, and report."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolkeeper.cli import console
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors, file_modes, interrupts
from poolkeeper.model.verdict import Outcome
from poolkeeper.report import wording
from poolkeeper.system import state
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.mutants import live_self_test
from poolkeeper_lab.chaos.report import chaos_report, chaos_summary, chaos_wording
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun
from poolkeeper_lab.chaos.run import chaos_schedule, evidence, runner
from poolkeeper_lab.chaos.run.chaos_schedule import ScheduledScenario
from poolkeeper_lab.chaos.run.run_config import RunConfig
from poolkeeper_lab.chaos.scenarios import all_scenarios
from poolkeeper_lab.chaos.scenarios.scenario import Scenario
from poolkeeper_lab.drill import drill_run
from poolkeeper_lab.faults.host import Host

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class RunPlan:
    """A planned run: its scenarios, the command that repeats the plan, and the scenarios for which there is no time."""

    scheduled: Sequence[ScheduledScenario]
    seed: int
    replay: str
    left_out: tuple[str, ...] = ()


def perform(
    cluster: Cluster, minutes: float, seed: int | None, names: list[str], reports: Path, as_json: bool
) -> Outcome:
    """Plan a run, run it, evaluate its history and report.

    Raises:
        DeadlinePassed: if the cluster is not healthy at the start.
        PermissionRefused: if a named scenario, or every scenario, cannot run here.
        StateLocked: if another run or drill is in progress.
        UsageError: if a scenario is unknown.
    """
    wanted = runnable(cluster, all_scenarios.choose(names), names)
    chosen_seed = seed_or_random(seed)
    scheduled = chaos_schedule.plan(wanted, minutes * 60, chosen_seed)
    replay, left_out = command(minutes, chosen_seed, names), chaos_schedule.left_out(wanted, scheduled)
    progress = console.ConsoleSteps()
    # The lock also excludes a drill: each would take the other's faults for its own.
    with state.lock(cluster.folder, "drill.lock"):
        done = run(cluster, RunPlan(scheduled, chosen_seed, replay, left_out), reports, progress)
    _print(done, as_json)
    return done.outcome


def seed_or_random(seed: int | None) -> int:
    """Return the given seed, or a random one."""
    return random.SystemRandom().randrange(1 << 16) if seed is None else seed


def run(
    cluster: Cluster, plan: RunPlan, reports: Path, progress: console.ConsoleSteps, config: RunConfig = runner.USUAL
) -> ChaosRun:
    """Run a plan, evaluate its history and write the reports; keep evidence of a run that does not pass.

    The caller holds the lock.

    Raises:
        ClusterNotUp: if the cluster was never started.
        DeadlinePassed: if the cluster is not healthy at the start.
    """
    site, began = drill_run.drilled(cluster), time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    file_modes.make_folder(reports)
    stem = f"chaos-{started_at[:19].replace(':', '')}-{plan.seed}"
    path = reports / f"{stem}.jsonl"
    progress.note(f"seed {plan.seed}, {len(plan.scheduled)} scenarios planned; the history: {path}")
    if plan.left_out:
        progress.note(f"no time for {len(plan.left_out)} scenarios: {', '.join(plan.left_out)}")
    interrupts.run(live_self_test.clean(site, progress))
    done = interrupts.run(runner.run(site, plan.scheduled, plan.seed, path, progress, config))
    with progress.step("checking the history"):
        history = jsonl.read(path)
        evaluation = run_verdict.evaluate(history)
    about = chaos_summary.About(
        cluster.spec.name,
        started_at,
        time.monotonic() - began,
        plan.replay,
        str(path),
        plan.left_out,
        tuple(done.problems),
        done.is_interrupted,
    )
    summary = chaos_summary.made(about, history, evaluation, done.played)
    written = [*chaos_report.write_all(summary, reports), path]
    if summary.outcome is Outcome.PASS:
        interrupts.run(runner.clear(site, progress))
    else:
        written.append(evidence.keep(cluster, started_at, plan.replay, reports / f"{stem}-evidence"))
        progress.note("the tables stay for inspection; the next run drops them")
    progress.note(f"reports: {', '.join(map(str, written))}")
    return summary


def runnable(cluster: Cluster, wanted: Sequence[Scenario], named: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the scenarios that can run here.

    Raises:
        PermissionRefused: if a scenario that the user named cannot run here, or none can.
    """
    host = Host(cluster)
    reasons = {scenario.name: reason for scenario in wanted if (reason := scenario.unavailable(host))}
    if named and reasons:
        raise errors.PermissionRefused("; ".join(f"{name} cannot be run: {why}" for name, why in reasons.items()))
    found = tuple(scenario for scenario in wanted if scenario.name not in reasons)
    if not found:
        raise errors.PermissionRefused("no scenario can be run here")
    return found


def command(minutes: float, seed: int, names: Sequence[str]) -> str:
    """Return the command line that plans the same faults again."""
    which = "".join(f" --scenario {name}" for name in names)
    return f"poolkeeper chaos run --minutes {minutes:g} --seed {seed}{which}"


def catalogue(cluster: Cluster) -> list[dict[str, Any]]:
    """Return every scenario as plain data."""
    host = Host(cluster)
    return [
        {
            "name": s.name,
            "promise": s.promise,
            "faults": [step.sentence for step in s.steps],
            "targets": [step.target.value for step in s.steps],
            "seconds": list(s.hold),
            "available": not s.unavailable(host),
            "reason": s.unavailable(host),
        }
        for s in all_scenarios.SCENARIOS
    ]


def table(cluster: Cluster) -> Table:
    """Return the table of every scenario."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("SCENARIO", "PROMISE", "FAULTS", "RUNS HERE"):
        made.add_column(column)
    for s in catalogue(cluster):
        made.add_row(s["name"], s["promise"], "; then ".join(s["faults"]), s["reason"] or "yes")
    return made


def _print(done: ChaosRun, as_json: bool) -> None:
    if as_json:
        console.out.print(chaos_report.to_json(done), markup=False)
        return
    for text in lines(done):
        console.out.print(text, markup=False)


def lines(done: ChaosRun) -> Iterator[str]:
    """Yield the verdict, a line for each scenario and each finding, and the points that need attention."""
    yield f"{done.outcome.upper()}: {chaos_wording.headline(done)}"
    for p in done.passages:
        cells = chaos_wording.passage(p)
        times = f"lasted {cells[4]}, recovered after {cells[5]}, pauses {cells[9]}"
        yield f"{wording.SYMBOLS[p.outcome]} {p.number:>3} {p.scenario}: {cells[2]}, {times}"
    for found in done.verdicts:
        yield f"{wording.SYMBOLS[found.outcome]} {chaos_wording.name(found)}: {found.summary}"
    for share in done.shares:
        yield f"  {share.workload}: {share.ok:,} acknowledged, {share.fail:,} refused, {share.info:,} open"
    for text in chaos_wording.attention(done):
        yield f"! {text}"
    yield f"  again: {done.replay}"
