"""What `chaos campaign` does: every scenario, in sittings that are run and judged one after the other; and the sum."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from poolkeeper.cli import console
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model.verdict import Outcome
from poolkeeper.report import wording
from poolkeeper.system import state
from poolkeeper_lab.chaos.report import campaign_report
from poolkeeper_lab.chaos.report.campaign_model import Campaign
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun
from poolkeeper_lab.chaos.run import campaign_plan
from poolkeeper_lab.chaos.run.campaign_plan import Sitting
from poolkeeper_lab.chaos.run.run_config import RunConfig
from poolkeeper_lab.chaos.scenarios import all_scenarios
from poolkeeper_lab.chaos.workloads import all_jobs
from poolkeeper_lab.cli import chaos_run
from poolkeeper_lab.faults.host import Host


@dataclass(frozen=True)
class CampaignRequest:
    """What the command line says. `sitting`: only this one of the plan; `pace`: of the clients, 1 is that of `run`."""

    faults: int
    minutes: float  # of a sitting
    pace: float
    seed: int | None
    sitting: int | None
    reports: Path
    as_json: bool


def perform(cluster: Cluster, asked: CampaignRequest) -> Outcome:
    """Plan, run and sum up. Raises UserError for a sitting that is not in the plan."""
    host, seed = Host(cluster), chaos_run.drawn(asked.seed)
    reasons = {s.name: reason for s in all_scenarios.SCENARIOS if (reason := s.unavailable(host))}
    wanted = [s for s in all_scenarios.SCENARIOS if s.name not in reasons]
    plan = campaign_plan.planned(wanted, asked.faults, asked.minutes * 60, seed)
    if asked.sitting is not None and not 1 <= asked.sitting <= len(plan):
        raise errors.UserError(f"the plan has no sitting {asked.sitting}", hint=f"It has 1 to {len(plan)}.")
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    runs, problem = list[ChaosRun](), ""
    numbers = [asked.sitting] if asked.sitting else list(range(1, len(plan) + 1))
    try:
        with state.lock(cluster.folder, "drill.lock"):  # for all of it: nobody else breaks things in between
            problem = _sit(cluster, asked, seed, plan, numbers, runs)
    except errors.PoolkeeperError as e:
        if not runs:
            raise
        problem = f"the campaign ended after {len(runs)} sittings: {e.message}"
    left = tuple(f"{name}: {reason}" for name, reason in reasons.items())
    seconds, again = time.monotonic() - began, command(asked, seed, asked.sitting)
    told = Campaign(cluster.spec.name, started, seconds, seed, again, len(numbers), tuple(runs), left, problem)
    written = campaign_report.write_all(told, asked.reports)
    _say(told, asked.as_json)
    console.ConsoleSteps().note(f"reports: {', '.join(map(str, written))}")
    return told.outcome


def _sit(
    cluster: Cluster,
    asked: CampaignRequest,
    seed: int,
    plan: Sequence[Sitting],
    numbers: Sequence[int],
    runs: list[ChaosRun],
) -> str:
    """One sitting after the other, each with its reports in a folder of its own; why it ended early, or ""."""
    progress, gear = console.ConsoleSteps(), RunConfig(jobs=all_jobs.at_pace(asked.pace))
    for number in numbers:
        progress.note(f"── sitting {number} of {len(plan)}")
        own = chaos_run.RunPlan(plan[number - 1], seed + number, command(asked, seed, number))
        runs.append(chaos_run.run(cluster, own, asked.reports / f"sitting-{number:02}", progress, gear))
        told = runs[-1]
        progress.note(f"{wording.SYMBOLS[told.outcome]} sitting {number}: {told.outcome}, {told.injected} faults")
        if told.is_interrupted:
            return f"the campaign was interrupted in sitting {number}"
    return ""


def command(asked: CampaignRequest, seed: int, sitting: int | None) -> str:
    """The command line that plans the same again: all of it, or one sitting."""
    which = f" --sitting {sitting}" if sitting else ""
    common = f"--faults {asked.faults} --minutes {asked.minutes:g} --pace {asked.pace:g} --seed {seed}"
    return f"poolkeeper chaos campaign {common}{which}"


def _say(told: Campaign, as_json: bool) -> None:
    if as_json:
        console.print_json(campaign_report.plain_document(told))
        return
    console.out.print(f"{told.outcome.upper()}: {len(told.runs)} sittings", markup=False)
    for name, figure in campaign_report.figures(told):
        console.out.print(f"  {figure:>12}  {name}", markup=False)
    if told.problem:
        console.out.print(f"! {told.problem}", markup=False)
    console.out.print(f"  again: {told.replay}", markup=False)
