"""The scenarios that only the self-test has; the others that it plays are those of a run (scenarios/of_moments.py).

`cut_cancel_then_kill` keeps its promise without a bug; others of a run are broken in it. A cancelled wait is visible
(docs/guarantees.md), so there only what was acknowledged without a warning must be there in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper.chaos.plants import deeds
from poolkeeper.chaos.scenarios import of_doors, of_primary, of_storage
from poolkeeper.chaos.scenarios.of_moments import moment
from poolkeeper.chaos.scenarios.scenario import (
    BOTH_WAYS,
    SHORT,
    Act,
    Scenario,
)
from poolkeeper.faults.target import Target

CUT_CANCEL_THEN_KILL = Scenario(
    "cut_cancel_then_kill",
    "A commit whose wait was cancelled must not be taken for acknowledged",
    (
        moment(
            "every standby is cut off from the primary, commits that wait are cancelled for 3 s, then docker kill",
            Target.PRIMARY,
            deeds.cut_cancel_then_kill,
        ),
    ),
)
FORGETFUL = Scenario(
    "cut_of_standby_that_is_not_healed",
    "A standby that was cut off must be back soon after its healing",
    (
        Act(
            "every packet to and from a standby is dropped, and the healing forgets one rule",
            Target.STANDBY,
            lambda ground, victim, _: deeds.ForgetfulDrop(ground, victim, ways=BOTH_WAYS),
        ),
    ),
    SHORT,
)


def _of(scenarios: Sequence[Scenario], name: str) -> Scenario:
    return next(scenario for scenario in scenarios if scenario.name == name)


KILL_PGPOOL = _of(of_doors.SCENARIOS, "kill_pgpool")
KILL_POSTMASTER = _of(of_primary.SCENARIOS, "kill_postmaster")
LOSE_POWER = _of(of_storage.SCENARIOS, "lose_power_of_every_node")
