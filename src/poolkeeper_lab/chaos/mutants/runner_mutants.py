"""Mutants of the test itself: of a client, of a fault's healing, of a checker. The cluster does not change."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from poolkeeper_lab.chaos.checkers import checker_self_test, run_verdict
from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation
from poolkeeper_lab.chaos.history.history import Completion, History
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.mutants import mutant_scenarios
from poolkeeper_lab.chaos.mutants.change import Outside
from poolkeeper_lab.chaos.mutants.mutant import LAST_SECONDS, Catch, Mutant, Sighting, brisk
from poolkeeper_lab.chaos.run.run_config import RunConfig
from poolkeeper_lab.chaos.scenarios import moment_scenarios

FALSE_ALARM = "false alarm"


class TrustingRecorder(Recorder):
    """A recorder that treats a COMMIT as acknowledged despite any warning, as most drivers do."""

    @override
    def ok(self, number: int, result: Any = None, *, warning: str = "") -> None:
        del warning
        super().ok(number, result)


def by_ignoring_info(history: History, evaluated: RunEvaluation) -> Sighting | None:
    """Return a false alarm of checkers that leave out INFO operations, where the real ones find no anomaly."""
    if any(finding.anomalies for finding in evaluated.findings) or not history.count(Completion.INFO):
        return None
    for finding in run_verdict.evaluate(checker_self_test.without_info(history)).findings:
        for anomaly in finding.anomalies:
            return Sighting(Catch(f"{finding.checker} without info", FALSE_ALARM), f"{anomaly.name}: {anomaly.text}")
    return None


WARNING_AS_SUCCESS = Mutant(
    "warning_as_success",
    "a client treats a COMMIT with WARNING 01000 as acknowledged",
    Outside(),
    (mutant_scenarios.CUT_CANCEL_THEN_KILL,),
    (Catch("set", "lost"),),
    RunConfig(brisk, TrustingRecorder, LAST_SECONDS),
)
FORGOTTEN_RULE = Mutant(
    "forgotten_rule",
    "the healing of a cut forgets one rule of the packet filter",
    Outside(),
    (mutant_scenarios.FORGETFUL,),
    (Catch("final_state", "drift"), Catch("final_state", "heal")),
)
INFO_IGNORED = Mutant(
    "info_ignored",
    "a checker leaves out the operations whose outcome no client knows",
    Outside(),
    (mutant_scenarios.KILL_PGPOOL, moment_scenarios.LATE_COMMITS_THEN_KILL, mutant_scenarios.KILL_POSTMASTER),
    (Catch("any checker without info", FALSE_ALARM),),
    detect=by_ignoring_info,
)

MUTANTS = (WARNING_AS_SUCCESS, FORGOTTEN_RULE, INFO_IGNORED)
