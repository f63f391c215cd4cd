"""The scenarios that only the self-test has; the others are in scenarios/moment_scenarios.py.

In a cluster without bugs `cut_cancel_then_kill` and `lose_power_of_standby_out_of_order` keep their promise; other
promises of a run are broken in them. A cancelled wait is visible (docs/guarantees.md), so in the former only writes
that were acknowledged without a warning must be there in the end.
"""

from __future__ import annotations

from poolkeeper_lab.chaos.mutants import mutant_faults
from poolkeeper_lab.chaos.scenarios import endpoint_scenarios, primary_scenarios
from poolkeeper_lab.chaos.scenarios.moment_scenarios import moment
from poolkeeper_lab.chaos.scenarios.scenario import SHORT, pick, row, step
from poolkeeper_lab.chaos.scenarios.storage_scenarios import PREPARES
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY, STANDBY
from poolkeeper_lab.faults.power import LosePowerOutOfOrder

_CUT_CANCEL = moment(
    "every standby is cut off from the primary, commits that wait are cancelled for 3 s, then docker kill",
    PRIMARY,
    mutant_faults.cut_cancel_then_kill,
)
_FORGETFUL = step(
    "every packet to and from a standby is dropped, and the healing forgets one rule",
    STANDBY,
    mutant_faults.ForgetfulDrop,
)
_OUT_OF_ORDER = step(
    "a standby dies after a restart point; of its unflushed data, only pg_control is kept", STANDBY, LosePowerOutOfOrder
)

SCENARIOS = (
    row("cut_cancel_then_kill", _CUT_CANCEL) >> "A commit whose wait was cancelled must not count as acknowledged",
    row("cut_of_standby_that_is_not_healed", _FORGETFUL)
    >> "A standby that was cut off must be back soon after its healing",
    row("lose_power_of_standby_out_of_order", _OUT_OF_ORDER, SHORT, PREPARES)
    >> "A standby that lost its power must come back with the same rows, for any order of the kernel's writes",
)
CUT_CANCEL_THEN_KILL = pick(SCENARIOS, "cut_cancel_then_kill")
FORGETFUL = pick(SCENARIOS, "cut_of_standby_that_is_not_healed")
LOSE_POWER_OUT_OF_ORDER = pick(SCENARIOS, "lose_power_of_standby_out_of_order")
KILL_PGPOOL = pick(endpoint_scenarios.SCENARIOS, "kill_pgpool")
KILL_POSTMASTER = pick(primary_scenarios.SCENARIOS, "kill_postmaster")
