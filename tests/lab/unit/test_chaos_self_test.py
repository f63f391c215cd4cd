"""The verdict of a run, the stored histories, and the commands that check them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.lab.unit import chaos_histories, chaos_lists, sample_histories
from tests.lab.unit.chaos_histories import Book
from typer.testing import CliRunner

from poolkeeper.cli.main import app
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import checker_self_test, run_verdict
from poolkeeper_lab.chaos.checkers.finding import CheckerFinding
from poolkeeper_lab.chaos.history.history import Completion, History, Phase, Workload

STORED = checker_self_test.stored()
WRITE = "PYTHONPATH=src:. .venv/bin/python -m tests.lab.unit.sample_histories writes them again"


def test_the_stored_files_equal_the_sample_histories() -> None:
    made = {name: chaos_histories.text(history) for name, history in sample_histories.histories().items()}
    files = {path.stem: path.read_text(encoding="utf-8") for path in sample_histories.FOLDER.glob("*.jsonl")}
    assert files == made, WRITE


@pytest.mark.parametrize("name", STORED)
def test_each_stored_history_gets_its_expected_verdict(name: str) -> None:
    result = checker_self_test.try_history(name, STORED[name])
    assert result.is_met, result


def test_every_checker_has_a_bad_and_a_good_history() -> None:
    had: dict[str, set[str]] = {}
    for history in STORED.values():
        assert history.header.expected is not None
        had.setdefault(history.header.expected.checker, set()).add(history.header.expected.outcome)
    for checker in (*run_verdict.CHECKERS, run_verdict.FINAL_STATE):
        assert had[checker] >= {"fail", "pass"}, checker
    assert "unknown" in had["faults"]


def test_the_self_test_passes_and_every_broken_checker_is_exposed() -> None:
    result = checker_self_test.run(STORED)
    assert (result.outcome, result.missed) == (Outcome.PASS, ())
    assert {mutant.name for mutant in result.mutants} >= set(checker_self_test.DISTORTIONS)
    assert all(mutant.caught_by for mutant in result.mutants)


def test_a_missed_history_fails_the_self_test_and_none_leaves_it_unknown() -> None:
    wrong = replace(STORED["set-lost"], header=STORED["set-open-and-there"].header)
    result = checker_self_test.run({**STORED, "wrong": wrong})
    assert (result.outcome, result.missed) == (Outcome.FAIL, ("wrong",))
    without_open = {name: h for name, h in STORED.items() if not h.count(Completion.INFO)}
    assert "mutant info taken for ok" in checker_self_test.run(without_open).missed
    assert checker_self_test.SelfTest((), ()).outcome is Outcome.UNKNOWN


def _run(**workloads: Workload) -> History:
    book = Book("set")
    book.workloads = workloads
    book.op("add", 1)
    book.op("read", "final", [1])
    return book.history()


def test_a_checker_that_raises_is_unknown_with_its_message() -> None:
    def fail(_: History, __: Mapping[str, Any]) -> CheckerFinding:
        raise ZeroDivisionError("by zero")

    evaluation = run_verdict.evaluate(_run(set=Workload("set")), {"set": fail})
    assert evaluation.outcome is Outcome.UNKNOWN
    assert evaluation.findings[0].unknowns == ("the checker failed: ZeroDivisionError: by zero",)


@pytest.mark.parametrize(
    ("workloads", "words"),
    [
        ({"set": Workload("no_such")}, "KeyError"),
        ({"set": Workload("set", {"colour": "red"})}, "colour"),
        ({"set": Workload("set"), "bank": Workload("bank")}, "it did nothing"),
        ({}, "no checker was declared for it"),
    ],
)
def test_a_workload_that_cannot_be_checked_is_unknown(workloads: dict[str, Workload], words: str) -> None:
    evaluation = run_verdict.evaluate(_run(**workloads))
    assert evaluation.outcome is Outcome.UNKNOWN
    assert words in evaluation.findings[-1].unknowns[0]


def test_an_empty_run_is_unknown_and_broken_outweighs_unknown() -> None:
    assert run_verdict.evaluate(Book("set").history()).outcome is Outcome.UNKNOWN
    lost = STORED["set-lost"]
    header = replace(lost.header, workloads={**lost.header.workloads, "bank": Workload("bank")})
    assert run_verdict.evaluate(replace(lost, header=header)).outcome is Outcome.FAIL


def test_faults_have_to_begin_and_to_be_healed() -> None:
    book = chaos_lists.Lists()
    book.final("x=")
    book.faults = ("kill_node",)
    book.fault("kill_node", Phase.BEGIN, 1.0)
    (found,) = run_verdict.evaluate(book.history()).of("faults")
    assert found.unknowns == ("1 faults were not healed",)
    book.fault("kill_node", Phase.END, 2.0)
    assert run_verdict.evaluate(book.history()).of("faults")[0].outcome is Outcome.PASS


def test_a_missing_final_state_is_unknown() -> None:
    history = STORED["final_state-healthy"]
    assert run_verdict.evaluate(history).outcome is Outcome.PASS
    assert run_verdict.evaluate(replace(history, final_state=None)).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("name", "code", "first"),
    [
        ("set-open-and-there", 0, "PASS: every promise held"),
        ("list_append-G2-item", 1, "FAIL: a promise was broken"),
        ("set-no-final-read", 3, "UNKNOWN: cannot tell"),
    ],
)
def test_check_prints_the_verdict_first(name: str, code: int, first: str) -> None:
    file = str(sample_histories.FOLDER / f"{name}.jsonl")
    said = CliRunner().invoke(app, ["chaos", "check", file])
    assert (said.exit_code, said.stdout.splitlines()[0]) == (code, first)
    document = json.loads(CliRunner().invoke(app, ["chaos", "check", file, "--json"]).stdout)
    assert document["outcome"] == first.split(":", maxsplit=1)[0].lower()


def test_check_names_the_offending_transactions() -> None:
    said = CliRunner().invoke(app, ["chaos", "check", str(sample_histories.FOLDER / "list_append-G-single.jsonl")])
    assert "G-single: #1 read y empty, and #0 appended 1 after it (rw); #1 read x up to 1" in said.stdout


def test_check_reports_a_cut_line_and_refuses_damage(tmp_path: Path) -> None:
    file = tmp_path / "h.jsonl"
    file.write_text(chaos_histories.text(STORED["set-lost"]) + '{"type":"inv')
    assert "the last line was cut" in CliRunner().invoke(app, ["chaos", "check", str(file)]).stdout
    file.write_text("nonsense\n")
    assert CliRunner().invoke(app, ["chaos", "check", str(file)]).exit_code == 12


def test_the_self_test_command() -> None:
    said = CliRunner().invoke(app, ["chaos", "self-test", "--stored"])
    assert said.exit_code == 0
    assert said.stdout.startswith(f"PASS: {len(STORED)} histories, ")
    assert "caught  broken checker, info taken for ok" in said.stdout
    document = json.loads(CliRunner().invoke(app, ["chaos", "self-test", "--stored", "--json"]).stdout)
    assert document["missed"] == []
