"""Which scenario when: a pure function of the scenarios, the time and the seed, so that a run can be made again.

Invariant: in each round every scenario comes once, shuffled, as long as there is time by the scenarios' own estimates;
there is always one. What was planned is run to its end even if the cluster takes longer than estimated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from poolkeeper_lab.chaos.scenarios.scenario import Scenario

BEFORE, AFTER = 5.0, 25.0  # seconds of a run without a fault: first to warm up, in the end to read and to look around


@dataclass(frozen=True)
class ScheduledScenario:
    """A scenario to come. `holds`: seconds of each act; `phase` (0 to 1): where in Patroni's round the first one falls.

    `pick` chooses among standbys.
    """

    number: int
    scenario: Scenario
    holds: tuple[float, ...]
    phase: float
    pick: int


def draw(scenario: Scenario, number: int, chance: random.Random) -> ScheduledScenario:
    """A turn with its lengths, moment and victim drawn."""
    holds = tuple(round(chance.uniform(*scenario.hold), 1) for _ in scenario.acts)
    return ScheduledScenario(number, scenario, holds, chance.random(), chance.randrange(1 << 16))


def plan(scenarios: Sequence[Scenario], seconds: float, seed: int) -> tuple[ScheduledScenario, ...]:
    """Every turn of a run of so many seconds. Raises ValueError without any scenario."""
    if not scenarios:
        raise ValueError("there is no scenario to run")
    chance, left, planned = random.Random(seed), seconds - BEFORE - AFTER, list[ScheduledScenario]()
    while True:
        fitted = len(planned)
        for scenario in chance.sample(list(scenarios), len(scenarios)):
            drawn = draw(scenario, len(planned) + 1, chance)
            if not planned or scenario.seconds <= left:
                planned.append(drawn)
                left -= scenario.seconds
        if len(planned) == fitted or left <= 0:
            return tuple(planned)


def left_out(scenarios: Sequence[Scenario], planned: Sequence[ScheduledScenario]) -> tuple[str, ...]:
    """The scenarios for which there is no time."""
    names = {draw.scenario.name for draw in planned}
    return tuple(scenario.name for scenario in scenarios if scenario.name not in names)
