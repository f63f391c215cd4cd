"""The scenarios that only the self-test has; the others are in scenarios/moment_scenarios.py.

In a cluster without bugs `cut_cancel_then_kill` and `lose_power_of_standby_out_of_order` keep their promise; other
promises of a run are broken in them. A cancelled wait is visible (docs/guarantees.md), so in the former only writes
that were acknowledged without a warning must be there in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.mutants import mutant_faults
from poolkeeper_lab.chaos.scenarios import endpoint_scenarios, primary_scenarios
from poolkeeper_lab.chaos.scenarios.moment_scenarios import moment
from poolkeeper_lab.chaos.scenarios.scenario import NODE, SHORT, Scenario, row, step
from poolkeeper_lab.chaos.scenarios.storage_scenarios import PREPARES
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY, STANDBY
from poolkeeper_lab.faults.power import LosePowerOutOfOrder

# Ruff would give each argument a line of its own.
# fmt: off
CUT_CANCEL_THEN_KILL = row("cut_cancel_then_kill",
    moment("every standby is cut off from the primary, commits that wait are cancelled for 3 s, then docker kill",
           PRIMARY, mutant_faults.cut_cancel_then_kill), SHORT, NODE,
    "A commit whose wait was cancelled must not count as acknowledged")
FORGETFUL = row("cut_of_standby_that_is_not_healed",
    step("every packet to and from a standby is dropped, and the healing forgets one rule", STANDBY,
         mutant_faults.ForgetfulDrop), SHORT, NODE, "A standby that was cut off must be back soon after its healing")
LOSE_POWER_OUT_OF_ORDER = row("lose_power_of_standby_out_of_order",
    step("a standby dies after a restart point; of its unflushed data, only pg_control is kept", STANDBY,
         LosePowerOutOfOrder), SHORT, PREPARES,
    "A standby that lost its power must come back with the same rows, for any order of the kernel's writes")


def _of(scenarios: Sequence[Scenario], name: str) -> Scenario:
    return next(scenario for scenario in scenarios if scenario.name == name)


KILL_PGPOOL = _of(endpoint_scenarios.SCENARIOS, "kill_pgpool")
KILL_POSTMASTER = _of(primary_scenarios.SCENARIOS, "kill_postmaster")
# fmt: on
