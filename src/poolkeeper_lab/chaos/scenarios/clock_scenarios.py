"""Wall clocks jump: no decision may depend on them."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import WITHIN_LEASE, ScenarioStep, row
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY, STANDBY
from poolkeeper_lab.faults import clocks
from poolkeeper_lab.faults.fault_target import FaultTarget


def jumped(target: FaultTarget, seconds: int, words: str) -> ScenarioStep:
    """Return a step in which the wall clock of the target jumps."""
    sentence = f"the wall clock of {target} jumps {words}; its monotonic clock does not"
    return ScenarioStep(sentence, target, lambda host, victim, _: clocks.JumpClock(host, victim, seconds))


SCENARIOS = (
    row("clock_of_primary_forward", jumped(PRIMARY, 3600, "an hour ahead"), WITHIN_LEASE)
    >> "A primary whose clock jumps an hour ahead must keep what its lease gives it, and no more",
    row("clock_of_primary_backward", jumped(PRIMARY, -3600, "an hour back"), WITHIN_LEASE)
    >> "A primary whose clock jumps an hour back must keep what its lease gives it, and no more",
    row("clock_of_primary_beyond_lease", jumped(PRIMARY, 30, "30 s ahead"), WITHIN_LEASE)
    >> "A primary whose clock jumps just beyond its lease must treat the lease neither as ended nor as endless",
    row("clock_of_standby_forward", jumped(STANDBY, 3600, "an hour ahead"), WITHIN_LEASE)
    >> "A standby whose clock jumps an hour ahead must acknowledge and serve as usual",
    row("clock_of_standby_backward", jumped(STANDBY, -3600, "an hour back"), WITHIN_LEASE)
    >> "A standby whose clock jumps an hour back must acknowledge and serve as usual",
)
