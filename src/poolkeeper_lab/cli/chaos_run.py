"""What `chaos run` and `chaos list` do: plan, run under a lock, judge, report, and say it."""

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
from poolkeeper.core import errors, interrupts
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
from poolkeeper_lab.drill import drill_run as drill
from poolkeeper_lab.faults.host import Host

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class RunPlan:
    """A run to come: its turns, the command that plans them again, and the scenarios for which there is no time."""

    turns: Sequence[ScheduledScenario]
    seed: int
    replay: str
    left_out: tuple[str, ...] = ()


def perform(
    cluster: Cluster, minutes: float, seed: int | None, names: list[str], reports: Path, as_json: bool
) -> Outcome:
    """Run, judge and report. Raises what a run raises before it has begun to break anything."""
    wanted = runnable(cluster, all_scenarios.choose(names), names)
    chance = drawn(seed)
    turns = chaos_schedule.turns(wanted, minutes * 60, chance)
    plan = RunPlan(turns, chance, command(minutes, chance, names), chaos_schedule.left_out(wanted, turns))
    progress = console.ConsoleSteps()
    with state.lock(
        cluster.folder, "drill.lock"
    ):  # also against a drill: each would take the other's faults for its own
        told = run(cluster, plan, reports, progress)
    _say(told, as_json)
    return told.outcome


def drawn(seed: int | None) -> int:
    """The seed that was given, else one by chance."""
    return random.SystemRandom().randrange(1 << 16) if seed is None else seed


def run(
    cluster: Cluster, plan: RunPlan, reports: Path, progress: console.ConsoleSteps, gear: RunConfig = runner.USUAL
) -> ChaosRun:
    """One run, judged, with its reports; the caller holds the lock. Evidence is kept of one that does not pass."""
    site, began = drill.drilled(cluster), time.monotonic()
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    reports.mkdir(parents=True, exist_ok=True)
    stem = f"chaos-{started_at[:19].replace(':', '')}-{plan.seed}"
    path = reports / f"{stem}.jsonl"
    progress.note(f"seed {plan.seed}, {len(plan.turns)} scenarios planned; the history: {path}")
    if plan.left_out:
        progress.note(f"no time for {len(plan.left_out)} scenarios: {', '.join(plan.left_out)}")
    interrupts.run(live_self_test.clean(site, progress))
    done = interrupts.run(runner.run(site, plan.turns, plan.seed, path, progress, gear))
    with progress.step("judging the history"):
        history = jsonl.read(path)
        judged = run_verdict.judge(history)
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
    told = chaos_summary.made(about, history, judged, done.played)
    written = [*chaos_report.write_all(told, reports), path]
    if told.outcome is Outcome.PASS:
        interrupts.run(runner.clear(site, progress))
    else:
        written.append(evidence.keep(cluster, started_at, plan.replay, reports / f"{stem}-evidence"))
        progress.note("the tables stay for you to look at; the next run drops them")
    progress.note(f"reports: {', '.join(map(str, written))}")
    return told


def runnable(cluster: Cluster, wanted: Sequence[Scenario], named: Sequence[str]) -> tuple[Scenario, ...]:
    """Those that can be run here. Raises PermissionRefused where one cannot that was asked for by its name."""
    host = Host(cluster)
    reasons = {scenario.name: reason for scenario in wanted if (reason := scenario.unavailable(host))}
    if named and reasons:
        raise errors.PermissionRefused("; ".join(f"{name} cannot be run: {why}" for name, why in reasons.items()))
    found = tuple(scenario for scenario in wanted if scenario.name not in reasons)
    if not found:
        raise errors.PermissionRefused("no scenario can be run here")
    return found


def command(minutes: float, seed: int, names: Sequence[str]) -> str:
    """The command line that plans the same faults again."""
    which = "".join(f" --scenario {name}" for name in names)
    return f"poolkeeper chaos run --minutes {minutes:g} --seed {seed}{which}"


def catalogue(cluster: Cluster) -> list[dict[str, Any]]:
    """Every scenario for scripts."""
    host = Host(cluster)
    return [
        {
            "name": s.name,
            "promise": s.promise,
            "faults": [act.sentence for act in s.acts],
            "targets": [act.target.value for act in s.acts],
            "seconds": list(s.hold),
            "available": not s.unavailable(host),
            "reason": s.unavailable(host),
        }
        for s in all_scenarios.SCENARIOS
    ]


def table(cluster: Cluster) -> Table:
    """Every scenario for people."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("SCENARIO", "WHAT MUST HOLD", "WHAT IS DONE", "HERE"):
        made.add_column(column)
    for s in catalogue(cluster):
        made.add_row(s["name"], s["promise"], "; then ".join(s["faults"]), s["reason"] or "yes")
    return made


def _say(told: ChaosRun, as_json: bool) -> None:
    if as_json:
        console.out.print(chaos_report.to_json(told), markup=False)
        return
    for text in lines(told):
        console.out.print(text, markup=False)


def lines(told: ChaosRun) -> Iterator[str]:
    """The verdict, a line a scenario and a finding, and what needs attention."""
    yield f"{told.outcome.upper()}: {chaos_wording.headline(told)}"
    for p in told.passages:
        cells = chaos_wording.passage(p)
        times = f"lasted {cells[4]}, whole after {cells[5]}, pauses {cells[9]}"
        yield f"{wording.SYMBOLS[p.outcome]} {p.number:>3} {p.scenario}: {cells[2]}, {times}"
    for found in told.judgements:
        yield f"{wording.SYMBOLS[found.outcome]} {chaos_wording.name(found)}: {found.summary}"
    for share in told.shares:
        yield f"  {share.workload}: {share.ok:,} acknowledged, {share.fail:,} refused, {share.info:,} open"
    for text in chaos_wording.attention(told):
        yield f"! {text}"
    yield f"  again: {told.replay}"
