"""`chaos self-test`: check the stored histories, test each bug in the running cluster, and report."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolkeeper.cli import console
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import file_modes, interrupts
from poolkeeper.report import wording
from poolkeeper.system import state
from poolkeeper_lab.chaos.checkers import checker_self_test
from poolkeeper_lab.chaos.mutants import all_mutants, live_self_test
from poolkeeper_lab.chaos.report import self_test_report, self_test_wording
from poolkeeper_lab.chaos.report.self_test_model import Bug, LiveTest, Stored
from poolkeeper_lab.drill import drill_run
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.host import Host

if TYPE_CHECKING:
    from rich.table import Table

    from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class SelfTestRequest:
    """The options of the command line."""

    bugs: list[str]
    rounds: int
    seed: int | None
    reports: Path
    as_json: bool


def perform(cluster: Cluster, request: SelfTestRequest) -> Outcome:
    """Test the checkers with the stored histories, then with bugs in the running cluster, and write the reports.

    Raises:
        StateLocked: if another run or drill is in progress; no bug is injected then.
        UsageError: if a bug is unknown; no bug is injected then.
    """
    mutants = all_mutants.choose(request.bugs)
    seed = random.SystemRandom().randrange(1 << 16) if request.seed is None else request.seed
    progress, began, started = console.ConsoleSteps(), time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with progress.step("the stored histories, and broken checkers"):
        stored = _stored(checker_self_test.run(checker_self_test.stored()))
    file_modes.make_folder(request.reports)
    bugs: list[Bug] = []
    test = live_self_test.Test(
        drill_run.drilled(cluster), request.rounds, seed, request.reports, started[:19].replace(":", ""), progress
    )
    with state.lock(cluster.folder, "drill.lock"):  # excludes a run and a drill too
        interrupts.run(live_self_test.run(test, mutants, bugs.append))
    replay = command(request, seed)
    done = LiveTest(cluster.spec.name, started, time.monotonic() - began, seed, replay, stored, tuple(bugs))
    written = self_test_report.write_all(done, request.reports)
    if request.as_json:
        console.out.print(self_test_report.to_json(done), markup=False)
    else:
        for text in lines(done):
            console.out.print(text, markup=False)
    progress.note(f"reports: {', '.join(map(str, written))}")
    return done.outcome


def _stored(result: checker_self_test.SelfTest) -> Stored:
    return Stored(len(result.trials), len(result.mutants), result.missed, result.outcome)


def command(request: SelfTestRequest, seed: int) -> str:
    """Return the command line that repeats the test."""
    which = "".join(f" --bug {name}" for name in request.bugs)
    return f"poolkeeper chaos self-test --seed {seed} --rounds {request.rounds}{which}"


def lines(done: LiveTest) -> Iterator[str]:
    """Yield the verdict, and a line for each bug."""
    yield f"{done.outcome.upper()}: {self_test_wording.headline(done)}"
    yield f"{wording.SYMBOLS[done.stored.outcome]} {self_test_wording.stored(done.stored)}"
    for bug in done.bugs:
        yield f"{wording.SYMBOLS[bug.outcome]} {self_test_wording.line(bug)}"
    yield f"  again: {done.replay}"


def catalogue(cluster: Cluster) -> list[dict[str, Any]]:
    """Return every bug as plain data; the cluster need not be up."""
    site = DrilledCluster(cluster, Host(cluster))
    return [
        {
            "name": mutant.name,
            "bug": mutant.sentence,
            "scenarios": [scenario.name for scenario in mutant.scenarios],
            "caught_by": [str(catch) for catch in mutant.catches],
            "available": not live_self_test.unavailable(site, mutant),
            "reason": live_self_test.unavailable(site, mutant),
        }
        for mutant in all_mutants.MUTANTS
    ]


def table(cluster: Cluster) -> Table:
    """Return the table of every bug."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("BUG", "EFFECT", "SCENARIOS", "CAUGHT BY ANY OF", "RUNS HERE"):
        made.add_column(column)
    for bug in catalogue(cluster):
        scenarios, catches = ", then ".join(bug["scenarios"]), "; ".join(bug["caught_by"])
        made.add_row(bug["name"], bug["bug"], scenarios, catches, bug["reason"] or "yes")
    return made
