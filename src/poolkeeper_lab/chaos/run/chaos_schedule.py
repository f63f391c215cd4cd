"""Schedule the scenarios of a run: a pure function of the scenarios, the time and the seed, so a run is repeatable.

Invariant: each round has every scenario once, shuffled, as long as the scenarios' own estimates leave time; a run has
at least one scenario. Planned scenarios run to their end even if the cluster takes longer than estimated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from poolkeeper_lab.chaos.scenarios.scenario import Scenario

IDLE_SECONDS = 5.0 + 25.0  # of a run without a fault: to warm up first, and for the final reads and checks


@dataclass(frozen=True)
class ScheduledScenario:
    """A planned scenario.

    `holds` has the seconds of each step. `phase` (0 to 1) is the moment of the first step within Patroni's loop. `pick`
    chooses among standbys.
    """

    number: int
    scenario: Scenario
    holds: tuple[float, ...]
    phase: float
    pick: int


def draw(scenario: Scenario, number: int, chance: random.Random) -> ScheduledScenario:
    """Return the scenario with its lengths, moment and victim drawn."""
    holds = tuple(round(chance.uniform(*scenario.hold), 1) for _ in scenario.steps)
    return ScheduledScenario(number, scenario, holds, chance.random(), chance.randrange(1 << 16))


def plan(scenarios: Sequence[Scenario], seconds: float, seed: int) -> tuple[ScheduledScenario, ...]:
    """Return the scenarios of a run of `seconds` seconds, in order.

    Raises:
        ValueError: without any scenario.
    """
    if not scenarios:
        raise ValueError("there is no scenario to run")
    chance, left, planned = random.Random(seed), seconds - IDLE_SECONDS, list[ScheduledScenario]()
    while True:
        before = len(planned)
        for scenario in chance.sample(list(scenarios), len(scenarios)):
            drawn = draw(scenario, len(planned) + 1, chance)
            if not planned or scenario.seconds <= left:
                planned.append(drawn)
                left -= scenario.seconds
        if len(planned) == before or left <= 0:
            return tuple(planned)


def left_out(scenarios: Sequence[Scenario], planned: Sequence[ScheduledScenario]) -> tuple[str, ...]:
    """Return the names of the scenarios for which there is no time."""
    names = {scheduled.scenario.name for scheduled in planned}
    return tuple(scenario.name for scenario in scenarios if scenario.name not in names)
