"""The complete live self-test: bugs caught, missed or not tried, their removal in every case, and the reports."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit.test_chaos_mutants import drilled, fake
from tests.poolkeeper.unit.test_report_html import Page
from typer.testing import CliRunner

from poolkeeper.cli.main import app
from poolkeeper.core import errors
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.mutants import all_mutants, live_self_test
from poolkeeper_lab.chaos.mutants.change import ClusterChange
from poolkeeper_lab.chaos.mutants.mutant import Catch, Mutant, Sighting
from poolkeeper_lab.chaos.report import self_test_report
from poolkeeper_lab.chaos.report.self_test_model import Bug, LiveTest, Stored
from poolkeeper_lab.chaos.run.runner import INTERRUPTED, Run


class Toy(ClusterChange):
    """A change that records its calls; its removal may fail."""

    def __init__(self, log: list[str], resists: bool = False, breaks: BaseException | None = None) -> None:
        self.log, self.resists, self.breaks, self.applied = log, resists, breaks, False

    async def apply(self, drilled: Any) -> None:
        del drilled
        self.log.append("apply")
        self.applied = True
        if self.breaks:
            raise self.breaks

    async def revert(self, drilled: Any) -> None:
        del drilled
        self.log.append("revert")
        self.applied = self.resists

    async def is_applied(self, drilled: Any) -> bool:
        del drilled
        return self.applied


class Silent:
    """Progress that keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, title: str) -> Any:
        del title
        return nullcontext()

    def note(self, text: str) -> None:
        self.notes.append(text)


def tried(
    monkeypatch: pytest.MonkeyPatch, mutants: Sequence[Mutant], seen: Sequence[Any], rounds: int = 2
) -> list[Bug]:
    """Try mutants; `seen` is the result of each round: a sighting, None, an error, or INTERRUPTED."""
    coming, bugs = list(seen), list[Bug]()

    async def play(*_: Any) -> tuple[Run, Sighting | None]:
        now = coming.pop(0)
        if isinstance(now, BaseException):
            raise now
        is_broken = now == "not injected"
        played: Any = SimpleNamespace(began=1.0, problem="it failed" * is_broken, is_unhealed=False)
        done = Run(Path("x"), [played], is_interrupted=now == INTERRUPTED)
        return done, now if isinstance(now, Sighting) else None

    monkeypatch.setattr(live_self_test, "_round", play)
    monkeypatch.setattr(live_self_test, "sweep", lambda _: None)
    monkeypatch.setattr(live_self_test.clean, "__defaults__", ((),))
    test = live_self_test.Test(drilled(fake()), rounds, 1, Path("x"), "now", cast(Any, Silent()))
    asyncio.run(live_self_test.run(test, mutants, bugs.append))
    assert not coming
    return bugs


def toy(log: list[str], **how: Any) -> Mutant:
    return Mutant("toy", "a toy", Toy(log, **how), all_mutants.MUTANTS[0].scenarios, (Catch("set", "lost"),))


SIGHT = Sighting(Catch("set", "lost"), "three are lost")


def test_a_bug_is_caught_or_missed_and_always_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    caught, missed = tried(monkeypatch, [toy(log), toy(log)], [None, SIGHT, None, None])
    assert (caught.outcome, caught.rounds, caught.caught_by) == (Outcome.PASS, 2, "set: lost")
    assert (missed.outcome, missed.rounds, missed.seconds) == (Outcome.FAIL, 2, None)
    assert log == ["apply", "revert"] * 2


def test_a_failed_fault_is_not_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    (bug,) = tried(monkeypatch, [toy([])], ["not injected"], rounds=1)
    assert (bug.outcome, bug.problem) == (Outcome.UNKNOWN, "it failed")


def test_an_error_is_not_a_catch_and_an_interruption_ends_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    trouble = [errors.Unreachable("no answer"), INTERRUPTED]
    failed, stopped, left = tried(monkeypatch, [toy(log), toy(log), toy(log)], trouble)
    assert (failed.outcome, failed.problem) == (Outcome.UNKNOWN, "no answer")
    assert (stopped.outcome, stopped.problem) == (Outcome.UNKNOWN, INTERRUPTED)
    assert (left.outcome, left.problem) == (Outcome.UNKNOWN, "not tried: interrupted")
    assert log == ["apply", "revert"] * 2


@pytest.mark.parametrize("kind", [errors.EngineFailed("no"), asyncio.CancelledError()])
def test_half_a_bug_is_removed(monkeypatch: pytest.MonkeyPatch, kind: BaseException) -> None:
    log: list[str] = []
    try:
        tried(monkeypatch, [toy(log, breaks=kind)], [])
    except asyncio.CancelledError:
        assert not isinstance(kind, Exception)
    assert log == ["apply", "revert"]


def test_a_bug_that_cannot_be_removed_ends_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    stuck, left = tried(monkeypatch, [toy(log, resists=True), toy(log)], [SIGHT])
    assert (stuck.outcome, stuck.problem) == (Outcome.UNKNOWN, "toy is still in the cluster")
    assert left.problem.startswith("not tried: the cluster is not as it was")
    assert log == ["apply", "revert"]


def test_changes_of_a_killed_test_are_removed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    mutant = toy(log)
    cast(Toy, mutant.change).applied = True
    monkeypatch.setattr(live_self_test, "sweep", lambda _: None)
    progress = Silent()
    asyncio.run(live_self_test.clean(drilled(fake()), cast(Any, progress), [mutant]))
    assert log == ["revert"]
    assert "toy" in progress.notes[0]


def sample(outcome: Outcome = Outcome.FAIL) -> LiveTest:
    """Return a test with a bug of each kind."""
    wanted = ("set: lost",)
    bugs = (
        Bug("one", "a <b>", wanted, Outcome.PASS, "scenario", "set: lost", "lost: 3 | 4", 31.2, 1, ("one-1.jsonl",)),
        Bug("two", "c", wanted, outcome, "scenario", rounds=3),
        Bug("three", "d", wanted, problem="not tried: it needs root"),
    )
    stored = Stored(76, 9, (), Outcome.PASS)
    return LiveTest("poolkeeper", "2026-11-24T20:00:00+00:00", 301.0, 7, "poolkeeper chaos self-test", stored, bugs)


RENDERERS: tuple[Callable[[LiveTest], str], ...] = (
    self_test_report.to_markdown,
    self_test_report.to_html,
    self_test_report.to_json,
)


@pytest.mark.parametrize("render", RENDERERS)
def test_a_missed_bug_is_in_every_report(render: Callable[[LiveTest], str]) -> None:
    text = render(sample()).replace("\\_", "_")
    assert "two" in text
    assert "not tried: it needs root" in text
    assert sample().outcome is Outcome.FAIL
    assert sample(Outcome.PASS).outcome is Outcome.UNKNOWN


def test_the_page_is_self_contained_and_well_formed(tmp_path: Path) -> None:
    text = self_test_report.to_html(sample())
    assert not Page(text).open
    assert not re.search(r"<script|url\(|@import|https?://", text)
    assert "a <b>" not in text
    paths = self_test_report.write_all(sample(), tmp_path)
    assert [path.name for path in paths] == ["self-test.md", "self-test.html", "self-test.json"]
    assert json.loads(paths[2].read_text())["bugs"][1]["outcome"] == "fail"


def test_the_command_lists_every_bug_and_refuses_an_unknown_one(tmp_path: Path) -> None:
    (tmp_path / ".poolkeeper").mkdir()
    (tmp_path / "cluster.toml").write_text("")
    words = ["--file", str(tmp_path / "cluster.toml"), "chaos", "self-test", "--list"]
    listed = CliRunner().invoke(app, [*words, "--json"])
    assert [bug["name"] for bug in json.loads(listed.stdout)] == list(all_mutants.NAMES)
    assert all_mutants.NAMES[0] in CliRunner().invoke(app, words).stdout
    assert CliRunner().invoke(app, ["chaos", "self-test", "--bug", "weevil"]).exit_code == 2
    assert CliRunner().invoke(app, ["chaos", "self-test", "--rounds", "0"]).exit_code == 2
