"""Plan a campaign: every scenario at least once, and a minimum of faults, in sessions with a verdict each.

Invariant: a pure function of the scenarios, the number of faults, the length of a session and the seed. A session is a
separate run, with its own history, final reads and final state, so neither memory nor the time of the checkers grows
with the campaign. Scenarios that take keeper away have separate sessions, because only the others check the age of
reads. Scenarios that make a second primary have separate sessions too, because only the others write at a node's own
port. Once every scenario is planned, the quicker half of them supplies the missing faults.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from poolkeeper_lab.chaos.run.chaos_schedule import IDLE_SECONDS, ScheduledScenario, draw
from poolkeeper_lab.chaos.scenarios.scenario import Scenario

Session = tuple[ScheduledScenario, ...]


def planned(scenarios: Sequence[Scenario], faults: int, seconds: float, seed: int) -> tuple[Session, ...]:
    """Return sessions of about `seconds` each, with `faults` faults or more in all.

    Raises:
        ValueError: without any scenario.
    """
    if not scenarios:
        raise ValueError("there is no scenario to run")
    chance = random.Random(seed)
    chosen = list(_chosen(scenarios, faults, chance))
    kinds = itertools.product((False, True), repeat=2)
    apart = ([s for s in chosen if (s.splits, s.hits_keeper) == kind] for kind in kinds)
    cut = (session for kind in apart for session in _cut([draw(s, 0, chance) for s in kind], seconds))
    return tuple(tuple(replace(s, number=i) for i, s in enumerate(session, start=1)) for session in cut)


def _chosen(scenarios: Sequence[Scenario], faults: int, chance: random.Random) -> Iterator[Scenario]:
    quick = sorted(scenarios, key=lambda s: s.seconds / len(s.steps))[: max(1, len(scenarios) // 2)]
    injected, among = 0, scenarios
    while among is scenarios or injected < faults:
        for scenario in chance.sample(list(among), len(among)):
            if among is scenarios or injected < faults:
                injected += len(scenario.steps)
                yield scenario
        among = quick


def _cut(planned: Iterable[ScheduledScenario], seconds: float) -> Iterator[Session]:
    left, session = seconds - IDLE_SECONDS, list[ScheduledScenario]()
    for scheduled in planned:
        if session and scheduled.scenario.seconds > left:
            yield tuple(session)
            left, session = seconds - IDLE_SECONDS, []
        session.append(scheduled)
        left -= scheduled.scenario.seconds
    if session:
        yield tuple(session)
