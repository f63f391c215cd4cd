"""Schedule the faults of a drill: a pure function of the seed, so that a drill is repeatable.

Invariant: each round has each fault once. With a baseline, the two variants of a pair follow one another, so other load
on the machine affects both alike. A fault of the keeper itself has no baseline.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from poolkeeper_lab.drill.drill_faults import DrillFault
from poolkeeper_lab.faults.fault_target import FaultTarget


@dataclass(frozen=True)
class ScheduledFault:
    """A planned injection. `phase` (0 to 1) is its moment within Patroni's loop; `pick` chooses among standbys."""

    entry: DrillFault
    number: int
    keeper: bool
    phase: float
    pick: int

    @property
    def title(self) -> str:
        """The name of the injection for messages."""
        return f"{self.entry.name}, round {self.number}{'' if self.keeper else ', keeper off'}"


def plan(entries: Sequence[DrillFault], rounds: int, baseline: bool, seed: int) -> tuple[ScheduledFault, ...]:
    """Return every injection of a drill in its order: in each round every fault once, shuffled."""
    chance = random.Random(seed)
    planned: list[ScheduledFault] = []
    for number in range(1, rounds + 1):
        for entry in chance.sample(list(entries), len(entries)):
            has_baseline = baseline and entry.target is not FaultTarget.KEEPER
            variants = chance.sample([True, False], 2) if has_baseline else [True]
            planned += [
                ScheduledFault(entry, number, keeper, chance.random(), chance.randrange(1 << 16)) for keeper in variants
            ]
    return tuple(planned)
