"""Who checks the checkers: stored histories with a planted anomaly each, good ones beside them, and broken checkers.

Invariant: it passes only if every bad history fails by the name of its anomaly, every good one passes, every one that
cannot be judged is unknown, and every broken checker is exposed by at least one of them. The broken ones see the
history as a careless author would: INFO taken for OK, for FAIL, or left out; or one checker always says yes.
Pure but for `stored`, which reads the files of this package, and the stopwatch.
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

Judge = Callable[[History], run_verdict.RunEvaluation]
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class CheckerTrial:
    """A stored history and what came of it."""

    name: str
    planted: Expected
    outcome: Outcome
    is_met: bool  # the planted verdict, by the planted name
    seconds: float
    words: str  # what the checker said


@dataclass(frozen=True)
class Mutant:
    """A broken way of checking, and the histories of which it gets the verdict wrong."""

    name: str
    caught_by: tuple[str, ...]


@dataclass(frozen=True)
class SelfTest:
    """All trials and mutants."""

    trials: tuple[CheckerTrial, ...]
    mutants: tuple[Mutant, ...]

    @property
    def missed(self) -> tuple[str, ...]:
        """The histories that were judged wrongly, and the mutants that nobody noticed."""
        wrong = [trial.name for trial in self.trials if not trial.is_met]
        return (*wrong, *(f"mutant {mutant.name}" for mutant in self.mutants if not mutant.caught_by))

    @property
    def outcome(self) -> Outcome:
        """Nothing stored is unknown."""
        return Outcome.FAIL if self.missed else merge([Outcome.PASS] * len(self.trials))


def stored() -> dict[str, History]:
    """The histories of this package, by name. Raises HistoryDamaged."""
    files = resources.files("poolkeeper_lab.chaos.checkers").joinpath("histories").iterdir()
    named = {file.name.removesuffix(_SUFFIX): file for file in files if file.name.endswith(_SUFFIX)}
    return {name: jsonl.parse(named[name].read_bytes(), named[name].name) for name in sorted(named)}


def run(histories: Mapping[str, History]) -> SelfTest:
    """Judge them all, then by each mutant. Raises ValueError where one does not say what was planted in it."""
    trials = tuple(trial(name, history) for name, history in histories.items())
    return SelfTest(trials, tuple(_mutants(histories)))


def trial(name: str, history: History, judge: Judge = run_verdict.judge) -> CheckerTrial:
    """One history."""
    planted = history.header.planted
    if planted is None:
        raise ValueError(f"{name} does not say what was planted in it")
    began = time.perf_counter()
    judged = judge(history)
    seconds = time.perf_counter() - began
    named = [finding for finding in judged.of(planted.checker) if finding.names(planted.anomaly)]
    is_met = judged.outcome == planted.outcome and bool(named or not planted.anomaly)
    return CheckerTrial(name, planted, judged.outcome, is_met, seconds, _words(judged, named))


def _words(judged: run_verdict.RunEvaluation, named: list[CheckerFinding]) -> str:
    for finding in (*named, *judged.findings):
        said = [*(anomaly.text for anomaly in finding.anomalies), *finding.unknowns]
        if said:
            return said[0]
    return judged.findings[0].summary if judged.findings else ""


def _mutants(histories: Mapping[str, History]) -> Iterator[Mutant]:
    judges: dict[str, Judge] = {name: _seeing(change) for name, change in DISTORTIONS.items()}
    judges |= {f"{name} always says yes": _gullible(name) for name in run_verdict.CHECKERS}
    for name, judge in judges.items():
        yield Mutant(name, tuple(key for key, history in histories.items() if not trial(key, history, judge).is_met))


def info_as_ok(history: History) -> History:
    """Whoever was not told takes it for done."""
    return _each_info(history, Completion.OK)


def info_as_fail(history: History) -> History:
    """Whoever was not told takes it for not done."""
    return _each_info(history, Completion.FAIL)


def without_info(history: History) -> History:
    """Whoever was not told forgets that he asked."""
    return replace(history, operations=tuple(o for o in history.operations if not o.is_info))


DISTORTIONS: dict[str, Callable[[History], History]] = {
    "info taken for ok": info_as_ok,
    "info taken for fail": info_as_fail,
    "info left out": without_info,
}


def _each_info(history: History, completion: Completion) -> History:
    changed = (o.completed(o.began, completion, o.value) if o.is_info else o for o in history.operations)
    return replace(history, operations=tuple(changed))


def _seeing(change: Callable[[History], History]) -> Judge:
    return lambda history: run_verdict.judge(change(history))


def _gullible(name: str) -> Judge:
    def yes(_: History, __: Mapping[str, Any]) -> CheckerFinding:
        return CheckerFinding("yes")

    return lambda history: run_verdict.judge(history, {**run_verdict.CHECKERS, name: yes})
