"""`chaos campaign`: run every scenario in sessions, each with a verdict, and sum up the figures."""

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
from poolkeeper_lab.chaos.run.campaign_plan import Session
from poolkeeper_lab.chaos.run.run_config import RunConfig
from poolkeeper_lab.chaos.scenarios import all_scenarios
from poolkeeper_lab.chaos.workloads import all_jobs
from poolkeeper_lab.cli import chaos_run
from poolkeeper_lab.faults.host import Host


@dataclass(frozen=True)
class CampaignRequest:
    """The options of the command line."""

    faults: int
    minutes: float  # of a session
    pace: float  # of the clients; 1 is that of `run`
    seed: int | None
    session: int | None  # the only one to run
    reports: Path
    as_json: bool


def perform(cluster: Cluster, request: CampaignRequest) -> Outcome:
    """Plan the campaign, run its sessions and write the reports.

    Raises:
        UsageError: if the plan does not have the requested session.
        PoolkeeperError: if the first session cannot begin.
    """
    host, seed = Host(cluster), chaos_run.seed_or_random(request.seed)
    reasons = {s.name: reason for s in all_scenarios.SCENARIOS if (reason := s.unavailable(host))}
    wanted = [s for s in all_scenarios.SCENARIOS if s.name not in reasons]
    plan = campaign_plan.planned(wanted, request.faults, request.minutes * 60, seed)
    if request.session is not None and not 1 <= request.session <= len(plan):
        raise errors.UsageError(f"the plan has no session {request.session}", hint=f"It has 1 to {len(plan)}.")
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    runs, problem = list[ChaosRun](), ""
    numbers = [request.session] if request.session else list(range(1, len(plan) + 1))
    try:
        with state.lock(cluster.folder, "drill.lock"):  # for the campaign: no other run or drill in between
            problem = _run_sessions(cluster, request, seed, plan, numbers, runs)
    except errors.PoolkeeperError as e:
        if not runs:
            raise
        problem = f"the campaign ended after {len(runs)} sessions: {e.message}"
    left = tuple(f"{name}: {reason}" for name, reason in reasons.items())
    seconds, replay = time.monotonic() - began, command(request, seed, request.session)
    done = Campaign(cluster.spec.name, started, seconds, seed, replay, len(numbers), tuple(runs), left, problem)
    written = campaign_report.write_all(done, request.reports)
    _print(done, request.as_json)
    console.ConsoleSteps().note(f"reports: {', '.join(map(str, written))}")
    return done.outcome


def _run_sessions(
    cluster: Cluster,
    request: CampaignRequest,
    seed: int,
    plan: Sequence[Session],
    numbers: Sequence[int],
    runs: list[ChaosRun],
) -> str:
    """Run the sessions in order, each with reports in its own folder; return why the campaign ended early, or ""."""
    progress, config = console.ConsoleSteps(), RunConfig(jobs=all_jobs.at_pace(request.pace))
    for number in numbers:
        progress.note(f"── session {number} of {len(plan)}")
        own = chaos_run.RunPlan(plan[number - 1], seed + number, command(request, seed, number))
        done = chaos_run.run(cluster, own, request.reports / f"session-{number:02}", progress, config)
        runs.append(done)
        progress.note(f"{wording.SYMBOLS[done.outcome]} session {number}: {done.outcome}, {done.injected} faults")
        if done.is_interrupted:
            return f"the campaign was interrupted in session {number}"
    return ""


def command(request: CampaignRequest, seed: int, session: int | None) -> str:
    """Return the command line that repeats the plan of the campaign, or of one session."""
    which = f" --session {session}" if session else ""
    common = f"--faults {request.faults} --minutes {request.minutes:g} --pace {request.pace:g} --seed {seed}"
    return f"poolkeeper chaos campaign {common}{which}"


def _print(done: Campaign, as_json: bool) -> None:
    if as_json:
        console.print_json(campaign_report.plain_document(done))
        return
    console.out.print(f"{done.outcome.upper()}: {len(done.runs)} sessions", markup=False)
    for name, figure in campaign_report.figures(done):
        console.out.print(f"  {figure:>12}  {name}", markup=False)
    if done.problem:
        console.out.print(f"! {done.problem}", markup=False)
    console.out.print(f"  again: {done.replay}", markup=False)
