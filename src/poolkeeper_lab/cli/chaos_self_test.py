"""What `chaos self-test` does: the stored half, then a bug after the other in the running cluster, and the report."""

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
from poolkeeper.core import interrupts
from poolkeeper.report import wording
from poolkeeper.system import state
from poolkeeper_lab.chaos.checkers import checker_self_test
from poolkeeper_lab.chaos.mutants import all_mutants, live_self_test
from poolkeeper_lab.chaos.report import self_test_report, self_test_wording
from poolkeeper_lab.chaos.report.self_test_model import Bug, LiveTest, Stored
from poolkeeper_lab.drill import drill_run as drill
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.host import Host

if TYPE_CHECKING:
    from rich.table import Table

    from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class SelfTestRequest:
    """What the command line says."""

    bugs: list[str]
    rounds: int
    seed: int | None
    reports: Path
    as_json: bool


def perform(cluster: Cluster, asked: SelfTestRequest) -> Outcome:
    """Both halves and the reports. Raises before anything is planted where a name is unknown or the lock is held."""
    plants = all_mutants.choose(asked.bugs)
    seed = random.SystemRandom().randrange(1 << 16) if asked.seed is None else asked.seed
    progress, began, started = console.ConsoleSteps(), time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with progress.step("the stored histories, and broken checkers"):
        stored = _stored(checker_self_test.run(checker_self_test.stored()))
    asked.reports.mkdir(parents=True, exist_ok=True)
    bugs: list[Bug] = []
    test = live_self_test.Test(
        drill.drilled(cluster), asked.rounds, seed, asked.reports, started[:19].replace(":", ""), progress
    )
    with state.lock(cluster.folder, "drill.lock"):  # also against a run and a drill
        interrupts.run(live_self_test.run(test, plants, bugs.append))
    replay = command(asked, seed)
    told = LiveTest(cluster.spec.name, started, time.monotonic() - began, seed, replay, stored, tuple(bugs))
    written = self_test_report.write_all(told, asked.reports)
    if asked.as_json:
        console.out.print(self_test_report.to_json(told), markup=False)
    else:
        for text in lines(told):
            console.out.print(text, markup=False)
    progress.note(f"reports: {', '.join(map(str, written))}")
    return told.outcome


def _stored(result: checker_self_test.SelfTest) -> Stored:
    return Stored(len(result.trials), len(result.mutants), result.missed, result.outcome)


def command(asked: SelfTestRequest, seed: int) -> str:
    """The command line that does the same again."""
    which = "".join(f" --bug {name}" for name in asked.bugs)
    return f"poolkeeper chaos self-test --seed {seed} --rounds {asked.rounds}{which}"


def lines(told: LiveTest) -> Iterator[str]:
    """The verdict, and a line a bug."""
    yield f"{told.outcome.upper()}: {self_test_wording.headline(told)}"
    yield f"{wording.SYMBOLS[told.stored.outcome]} {self_test_wording.stored(told.stored)}"
    for bug in told.bugs:
        yield f"{wording.SYMBOLS[bug.outcome]} {self_test_wording.line(bug)}"
    yield f"  again: {told.replay}"


def catalogue(cluster: Cluster) -> list[dict[str, Any]]:
    """Every bug for scripts; the cluster need not be up."""
    site = DrilledCluster(cluster, Host(cluster))
    return [
        {
            "name": plant.name,
            "bug": plant.sentence,
            "scenarios": [scenario.name for scenario in plant.scenarios],
            "caught_by": [str(catch) for catch in plant.catches],
            "available": not live_self_test.unavailable(site, plant),
            "reason": live_self_test.unavailable(site, plant),
        }
        for plant in all_mutants.PLANTS
    ]


def table(cluster: Cluster) -> Table:
    """Every bug for people."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in ("BUG", "WHAT IS WRONG THEN", "SCENARIO", "CAUGHT BY ANY OF", "HERE"):
        made.add_column(column)
    for bug in catalogue(cluster):
        scenarios, catches = ", then ".join(bug["scenarios"]), "; ".join(bug["caught_by"])
        made.add_row(bug["name"], bug["bug"], scenarios, catches, bug["reason"] or "yes")
    return made
