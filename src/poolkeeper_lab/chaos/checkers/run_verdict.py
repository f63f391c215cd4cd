"""Evaluate a run: each workload by its checker, the faults, the final state, and merge their verdicts.

Invariant: fail > unknown > pass. A checker that raises is unknown with the exception's text. Also unknown: a declared
workload that did nothing, an undeclared workload, a fault that never began, an expected final state that is missing,
and a run without any finding. What could not be checked never passes. Pure, except for the stopwatch.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from poolkeeper.model import verdict
from poolkeeper_lab.chaos.checkers import (
    bank_checker,
    final_state_checker,
    gaps,
    grow_set_checker,
    list_append_checker,
    one_writer_checker,
    read_only_checker,
    register_checker,
)
from poolkeeper_lab.chaos.checkers.finding import CheckerFinding, nothing
from poolkeeper_lab.chaos.history.history import Completion, Header, History, Phase, Workload
from poolkeeper_lab.drill.ledger import Gap

Check = Callable[[History, Mapping[str, Any]], CheckerFinding]

CHECKERS: dict[str, Check] = {
    "set": grow_set_checker.check,
    "list_append": list_append_checker.check,
    "register": register_checker.check,
    "bank": bank_checker.check,
    "read_only": read_only_checker.check,
    "one_writer": one_writer_checker.check,
}
FAULTS, FINAL_STATE = "faults", "final_state"  # the two that check the run and no workload


@dataclass(frozen=True)
class RunEvaluation:
    """A run and all findings about it; `gaps` is only for information."""

    header: Header
    findings: tuple[CheckerFinding, ...]
    gaps: Mapping[str, Gap]
    counts: Mapping[str, int]  # completion → operations
    is_torn: bool

    @property
    def outcome(self) -> verdict.Outcome:
        """The merged outcome of all findings."""
        return verdict.merge(finding.outcome for finding in self.findings)

    def of(self, checker: str) -> tuple[CheckerFinding, ...]:
        """Return the findings of one checker."""
        return tuple(finding for finding in self.findings if finding.checker == checker)


def evaluate(history: History, checkers: Mapping[str, Check] = CHECKERS) -> RunEvaluation:
    """Evaluate everything that the header declares."""
    counts = {completion.value: history.count(completion) for completion in Completion}
    return RunEvaluation(
        history.header, tuple(_findings(history, checkers)), gaps.longest(history), counts, history.is_torn
    )


def _findings(history: History, checkers: Mapping[str, Check]) -> Iterator[CheckerFinding]:
    declared = history.header.workloads
    for name, workload in declared.items():
        yield check_workload(history, name, workload, checkers)
    for name in dict.fromkeys(o.workload for o in history.operations):
        if name not in declared:
            yield replace(nothing("no checker was declared for it"), workload=name, checker="none")
    if history.header.faults:
        yield replace(_faults(history), checker=FAULTS)
    if history.final_state or history.header.expects_final_state:
        yield replace(final_state_checker.check(history.final_state), checker=FINAL_STATE)


def check_workload(
    history: History, name: str, workload: Workload, checkers: Mapping[str, Check] = CHECKERS
) -> CheckerFinding:
    """Check one workload by its checker; never raises."""
    began = time.perf_counter()
    try:
        own = history.of(name)
        found = checkers[workload.checker](own, workload.options) if own.operations else nothing("it did nothing")
    except Exception as e:  # noqa: BLE001 (an error of one checker must not hide the findings of the others)
        found = nothing(f"the checker failed: {type(e).__name__}: {e}")
    return replace(found, checker=workload.checker, workload=name, seconds=time.perf_counter() - began)


def _faults(history: History) -> CheckerFinding:
    """Check that each fault was injected as often as planned: a run without its fault proves nothing about it."""
    began = [event.fault for event in history.nemesis if event.phase is Phase.BEGIN]
    missing = Counter(history.header.faults) - Counter(began)
    ended = sum(event.phase is Phase.END for event in history.nemesis)
    unknowns = tuple(
        f"{fault} was planned and {'began less often' if fault in began else 'never began'}" for fault in missing
    )
    if ended < len(began):
        unknowns += (f"{len(began) - ended} faults were not healed",)
    return CheckerFinding(f"{len(began)} faults injected, {ended} healed", unknowns=unknowns)
