"""Test the checkers with stored histories, each with one injected anomaly or none, and with mutants of the checkers.

Invariant: the test passes only if every bad history fails by the name of its anomaly, every good one passes, every one
without enough evidence is unknown, and at least one history exposes every mutant. A mutant misreads the history as a
careless author would: it takes INFO for OK or for FAIL, or ignores it; or one checker always passes.
Pure, except for `stored`, which reads the files of this package, and the stopwatch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from typing import Any

from poolkeeper.model.verdict import Outcome, merge
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.checkers.finding import CheckerFinding
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.history.history import Completion, Expected, History

Evaluate = Callable[[History], run_verdict.RunEvaluation]
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class CheckerTrial:
    """A stored history and its result."""

    name: str
    expected: Expected
    outcome: Outcome
    is_met: bool  # the expected verdict, by the expected name
    seconds: float
    words: str  # of the checker


@dataclass(frozen=True)
class CheckerMutant:
    """A broken way of checking, and the histories for which its verdict is wrong."""

    name: str
    caught_by: tuple[str, ...]


@dataclass(frozen=True)
class SelfTest:
    """All trials and mutants."""

    trials: tuple[CheckerTrial, ...]
    mutants: tuple[CheckerMutant, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """The histories with a wrong verdict, and the mutants that no history exposed."""
        wrong = [try_history.name for try_history in self.trials if not try_history.is_met]
        return (*wrong, *(f"mutant {mutant.name}" for mutant in self.mutants if not mutant.caught_by))

    @property
    def outcome(self) -> Outcome:
        """FAIL if anything was missed, else PASS; UNKNOWN without any stored history."""
        return Outcome.FAIL if self.missed else merge([Outcome.PASS] * len(self.trials))


def stored() -> dict[str, History]:
    """Return the histories of this package, by name.

    Raises:
        HistoryDamaged: if a file is not a history.
    """
    files = resources.files("poolkeeper_lab.chaos.checkers").joinpath("histories").iterdir()
    named = {file.name.removesuffix(_SUFFIX): file for file in files if file.name.endswith(_SUFFIX)}
    return {name: jsonl.parse(named[name].read_bytes(), named[name].name) for name in sorted(named)}


def run(histories: Mapping[str, History]) -> SelfTest:
    """Check all histories, then check them again by each mutant.

    Raises:
        ValueError: if a history does not declare its expected verdict.
    """
    trials = tuple(try_history(name, history) for name, history in histories.items())
    return SelfTest(trials, tuple(_mutants(histories)))


def try_history(name: str, history: History, evaluate: Evaluate = run_verdict.evaluate) -> CheckerTrial:
    """Evaluate one history and compare the verdict with the expected one.

    Raises:
        ValueError: if the history does not declare its expected verdict.
    """
    expected = history.header.expected
    if expected is None:
        raise ValueError(f"{name} does not declare its expected verdict")
    began = time.perf_counter()
    evaluation = evaluate(history)
    seconds = time.perf_counter() - began
    named = [finding for finding in evaluation.of(expected.checker) if finding.names(expected.anomaly)]
    is_met = evaluation.outcome == expected.outcome and bool(named or not expected.anomaly)
    return CheckerTrial(name, expected, evaluation.outcome, is_met, seconds, _words(evaluation, named))


def _words(evaluation: run_verdict.RunEvaluation, named: list[CheckerFinding]) -> str:
    for finding in (*named, *evaluation.findings):
        texts = [*(anomaly.text for anomaly in finding.anomalies), *finding.unknowns]
        if texts:
            return texts[0]
    return evaluation.findings[0].summary if evaluation.findings else ""


def _mutants(histories: Mapping[str, History]) -> Iterator[CheckerMutant]:
    mutants: dict[str, Evaluate] = {name: _distorted(change) for name, change in DISTORTIONS.items()}
    mutants |= {f"{name} always passes": _always_passing(name) for name in run_verdict.CHECKERS}
    for name, evaluate in mutants.items():
        trials = (try_history(key, history, evaluate) for key, history in histories.items())
        yield CheckerMutant(name, tuple(trial.name for trial in trials if not trial.is_met))


def info_as_ok(history: History) -> History:
    """Return the history with every INFO taken for OK."""
    return _each_info(history, Completion.OK)


def info_as_fail(history: History) -> History:
    """Return the history with every INFO taken for FAIL."""
    return _each_info(history, Completion.FAIL)


def without_info(history: History) -> History:
    """Return the history without its INFO operations."""
    return replace(history, operations=tuple(o for o in history.operations if not o.is_info))


DISTORTIONS: dict[str, Callable[[History], History]] = {
    "info taken for ok": info_as_ok,
    "info taken for fail": info_as_fail,
    "info left out": without_info,
}


def _each_info(history: History, completion: Completion) -> History:
    changed = (o.completed(o.began, completion, o.value) if o.is_info else o for o in history.operations)
    return replace(history, operations=tuple(changed))


def _distorted(change: Callable[[History], History]) -> Evaluate:
    return lambda history: run_verdict.evaluate(change(history))


def _always_passing(name: str) -> Evaluate:
    def accept(_: History, __: Mapping[str, Any]) -> CheckerFinding:
        return CheckerFinding("accepted")

    return lambda history: run_verdict.evaluate(history, {**run_verdict.CHECKERS, name: accept})
