"""The scenarios that only the self-test has; the others that it plays are those of a run (scenarios/of_moments.py).

`cut_cancel_then_kill` and `lose_power_of_standby_out_of_order` keep their promise without a bug; others of a run are
broken in it. A cancelled wait is visible (docs/guarantees.md), so there only what was acknowledged without a warning
must be there in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.mutants import mutant_faults
from poolkeeper_lab.chaos.scenarios import endpoint_scenarios, primary_scenarios
from poolkeeper_lab.chaos.scenarios.moment_scenarios import moment
from poolkeeper_lab.chaos.scenarios.scenario import BOTH_WAYS, SHORT, Scenario, ScenarioStep
from poolkeeper_lab.chaos.scenarios.storage_scenarios import PREPARES
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.power import LosePowerOutOfOrder

CUT_CANCEL_THEN_KILL = Scenario(
    "cut_cancel_then_kill",
    "A commit whose wait was cancelled must not be taken for acknowledged",
    (
        moment(
            "every standby is cut off from the primary, commits that wait are cancelled for 3 s, then docker kill",
            FaultTarget.PRIMARY,
            mutant_faults.cut_cancel_then_kill,
        ),
    ),
)
FORGETFUL = Scenario(
    "cut_of_standby_that_is_not_healed",
    "A standby that was cut off must be back soon after its healing",
    (
        ScenarioStep(
            "every packet to and from a standby is dropped, and the healing forgets one rule",
            FaultTarget.STANDBY,
            lambda host, victim, _: mutant_faults.ForgetfulDrop(host, victim, ways=BOTH_WAYS),
        ),
    ),
    SHORT,
)
LOSE_POWER_OUT_OF_ORDER = Scenario(
    "lose_power_of_standby_out_of_order",
    "A standby that lost its power must come back with the same rows, whatever the kernel wrote out first",
    (
        ScenarioStep(
            "a standby dies after a restart point; of what its file system had not flushed, only pg_control is kept",
            FaultTarget.STANDBY,
            lambda host, victim, _: LosePowerOutOfOrder(host, victim),
        ),
    ),
    SHORT,
    PREPARES,
)


def _of(scenarios: Sequence[Scenario], name: str) -> Scenario:
    return next(scenario for scenario in scenarios if scenario.name == name)


KILL_PGPOOL = _of(endpoint_scenarios.SCENARIOS, "kill_pgpool")
KILL_POSTMASTER = _of(primary_scenarios.SCENARIOS, "kill_postmaster")
