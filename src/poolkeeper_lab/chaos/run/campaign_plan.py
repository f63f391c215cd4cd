"""A campaign's plan: every scenario once at the least, and so many faults, in sittings that can be judged one by one.

Invariant: a pure function of the scenarios, the number of faults, the length of a sitting and the seed. A sitting is a
run of its own, with its own history, final reads and state after it all, so neither memory nor the time to judge grows
with the campaign. Scenarios that take keeper away have sittings of their own, as only in the others is the age of reads
judged; so have those that make a second primary, as only in the others is a node's own port asked for writes. After
each has had its turn, the quicker half of them fill up what is missing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from poolkeeper_lab.chaos.run.chaos_schedule import AFTER, BEFORE, ScheduledScenario, draw
from poolkeeper_lab.chaos.scenarios.scenario import Scenario

Session = tuple[ScheduledScenario, ...]


def planned(scenarios: Sequence[Scenario], faults: int, seconds: float, seed: int) -> tuple[Session, ...]:
    """Sittings of about so many `seconds` each, with `faults` faults or more in all. Raises ValueError for none."""
    if not scenarios:
        raise ValueError("there is no scenario to run")
    chance = random.Random(seed)
    chosen = list(_chosen(scenarios, faults, chance))
    kinds = itertools.product((False, True), repeat=2)
    apart = ([s for s in chosen if (s.splits, s.hits_keeper) == kind] for kind in kinds)
    cut = (sitting for kind in apart for sitting in _cut([draw(s, 0, chance) for s in kind], seconds))
    return tuple(tuple(replace(t, number=i) for i, t in enumerate(sitting, start=1)) for sitting in cut)


def _chosen(scenarios: Sequence[Scenario], faults: int, chance: random.Random) -> Iterator[Scenario]:
    quick = sorted(scenarios, key=lambda s: s.seconds / len(s.acts))[: max(1, len(scenarios) // 2)]
    injected, among = 0, scenarios
    while among is scenarios or injected < faults:
        for scenario in chance.sample(list(among), len(among)):
            if among is scenarios or injected < faults:
                injected += len(scenario.acts)
                yield scenario
        among = quick


def _cut(turns: Iterable[ScheduledScenario], seconds: float) -> Iterator[Session]:
    left, sitting = seconds - BEFORE - AFTER, list[ScheduledScenario]()
    for one in turns:
        if sitting and one.scenario.seconds > left:
            yield tuple(sitting)
            left, sitting = seconds - BEFORE - AFTER, []
        sitting.append(one)
        left -= one.scenario.seconds
    if sitting:
        yield tuple(sitting)
