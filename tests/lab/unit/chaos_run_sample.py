"""A sample chaos run: one scenario without a problem, one with an anomaly in its time, one that never began."""

from __future__ import annotations

from pathlib import Path

from tests.lab.unit.chaos_histories import FAIL, INFO, Book

from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.history.history import History, Phase
from poolkeeper_lab.chaos.report import chaos_summary
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun
from poolkeeper_lab.chaos.run.chaos_schedule import ScheduledScenario
from poolkeeper_lab.chaos.run.nemesis import PlayedScenario
from poolkeeper_lab.chaos.scenarios import all_scenarios

NAMES = ("kill_node", "switchover", "kill_keeper")
HEALTHY = FinalState(
    nodes=("pg_node1", "pg_node2"),
    rows={"pg_node1": {"t": "1 rows, 5"}, "pg_node2": {"t": "1 rows, 5"}},
    timelines={"pg_node1": 3, "pg_node2": 3},
    amcheck=(),
    checksum_failures={"pg_node1": 0, "pg_node2": 0},
    orphaned_slots=(),
    drift=(),
    suite="pass",
    heal_seconds=8.0,
)


def turns() -> list[ScheduledScenario]:
    """Return each scenario once."""
    return [
        ScheduledScenario(n, all_scenarios.choose((name,))[0], (3.0,), 0.5, 1) for n, name in enumerate(NAMES, start=1)
    ]


def history(is_broken: bool) -> History:
    """Return adds, one a second from 100 s on; faults at 105 and 120 s; and reads, of which one may be stale."""
    book = Book("set")
    for second in range(40):
        completion, code = ((FAIL, "connect: <refused>"), (INFO, "57P01"))[second % 2] if second in (6, 7) else ("", "")
        at = (100.0 + second, 100.25 + second)
        completions = (completion,) if completion else ()
        book.op("add", second, None, *completions, at=at, code=code, process=second % 2)
    book.faults = NAMES
    for name, begin in zip(NAMES, (105.0, 120.0), strict=False):
        book.fault(name, Phase.BEGIN, begin)
        book.fault(name, Phase.END, begin + 3)
    # A read at the read-write endpoint, during the switchover, lacks elements acknowledged before it.
    if is_broken:
        book.op("read", None, [0, 1], at=(125.0, 125.1), process=2)
    elements = [second for second in range(40) if second not in (6, 7)]
    book.op("read", "final", elements, at=(150.0, 150.1), process=3)
    book.final_state = HEALTHY
    return book.history(name="chaos run")


def played() -> list[PlayedScenario]:
    """Return the scenarios with their times; the third one never began."""
    first, second, third = map(PlayedScenario, turns())
    first.victims, first.began, first.healed, first.recovered, first.ended = ["pg_node1"], 105.0, 108.0, 116.0, 116.0
    second.victims, second.began, second.healed, second.recovered, second.ended = (
        ["pg_node2"],
        120.0,
        123.0,
        127.0,
        127.0,
    )
    return [first, second, third]


def made(is_broken: bool = True) -> ChaosRun:
    """Return the values of the run's report."""
    about = chaos_summary.About(
        "poolkeeper",
        "2026-01-02T03:04:05+00:00",
        61.5,
        "poolkeeper chaos run --minutes 1 --seed 0",
        str(Path("reports") / "chaos-7.jsonl"),
        left_out=("kill_everything",),
        problems=("a client of <rw> ended | badly",),
    )
    found = history(is_broken)
    return chaos_summary.made(about, found, run_verdict.evaluate(found), played())
