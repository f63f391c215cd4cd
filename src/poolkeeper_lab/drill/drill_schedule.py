"""Which fault when: a pure function of the seed, so that a run can be made again.

Invariant: each fault comes in each round once, and with a baseline the two ways of a pair follow one another, so that
whatever else goes on in the machine meets both alike. What hits the keeper itself has no baseline.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from poolkeeper_lab.drill.drill_faults import Entry
from poolkeeper_lab.faults.fault_target import FaultTarget


@dataclass(frozen=True)
class ScheduledFault:
    """One injection to come. `phase` (0 to 1) is where in Patroni's round it falls, `pick` chooses among standbys."""

    entry: Entry
    number: int
    keeper: bool
    phase: float
    pick: int

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.entry.name}, round {self.number}{'' if self.keeper else ', keeper off'}"


def plan(entries: Sequence[Entry], rounds: int, baseline: bool, seed: int) -> tuple[ScheduledFault, ...]:
    """Every turn of a drill in its order: in each round every fault once, shuffled."""
    chance = random.Random(seed)
    planned: list[ScheduledFault] = []
    for number in range(1, rounds + 1):
        for entry in chance.sample(list(entries), len(entries)):
            ways = chance.sample([True, False], 2) if baseline and entry.target is not FaultTarget.KEEPER else [True]
            planned += [ScheduledFault(entry, number, way, chance.random(), chance.randrange(1 << 16)) for way in ways]
    return tuple(planned)
