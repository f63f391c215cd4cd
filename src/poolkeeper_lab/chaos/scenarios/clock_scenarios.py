"""Clocks jump: nothing that decides may follow them."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import WITHIN_LEASE, Scenario, ScenarioStep
from poolkeeper_lab.faults import clocks
from poolkeeper_lab.faults.fault_target import FaultTarget


def jumped(target: FaultTarget, seconds: int, words: str) -> ScenarioStep:
    sentence = f"the wall clock of {target} jumps {words}; its monotonic clock does not"
    return ScenarioStep(sentence, target, lambda host, victim, _: clocks.JumpClock(host, victim, seconds))


SCENARIOS = (
    Scenario(
        "clock_of_primary_forward",
        "A primary whose clock jumps an hour ahead must keep what its lease gives it, and no more",
        (jumped(FaultTarget.PRIMARY, 3600, "an hour ahead"),),
        WITHIN_LEASE,
    ),
    Scenario(
        "clock_of_primary_backward",
        "A primary whose clock jumps an hour back must keep what its lease gives it, and no more",
        (jumped(FaultTarget.PRIMARY, -3600, "an hour back"),),
        WITHIN_LEASE,
    ),
    Scenario(
        "clock_of_primary_beyond_lease",
        "A primary whose clock jumps just beyond its lease must not take it for ended, nor for endless",
        (jumped(FaultTarget.PRIMARY, 30, "30 s ahead"),),
        WITHIN_LEASE,
    ),
    Scenario(
        "clock_of_standby_forward",
        "A standby whose clock jumps an hour ahead must acknowledge and serve as ever",
        (jumped(FaultTarget.STANDBY, 3600, "an hour ahead"),),
        WITHIN_LEASE,
    ),
    Scenario(
        "clock_of_standby_backward",
        "A standby whose clock jumps an hour back must acknowledge and serve as ever",
        (jumped(FaultTarget.STANDBY, -3600, "an hour back"),),
        WITHIN_LEASE,
    ),
)
