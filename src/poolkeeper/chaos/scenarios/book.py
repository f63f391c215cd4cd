"""All scenarios, in the order in which they are listed.

Invariant: only what can be done and undone here is listed. The promises are those of docs/guarantees.md. The checkers
judge all of them in every scenario; the sentence says what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper import errors
from poolkeeper.chaos.scenarios import (
    of_clocks,
    of_cuts,
    of_deciders,
    of_doors,
    of_links,
    of_moments,
    of_network,
    of_operators,
    of_pressure,
    of_primary,
    of_processes,
    of_several,
    of_standby,
    of_storage,
)
from poolkeeper.chaos.scenarios.scenario import Scenario

SCENARIOS = (
    *of_primary.SCENARIOS,
    *of_standby.SCENARIOS,
    *of_deciders.SCENARIOS,
    *of_doors.SCENARIOS,
    *of_processes.SCENARIOS,
    *of_network.SCENARIOS,
    *of_cuts.SCENARIOS,
    *of_links.SCENARIOS,
    *of_pressure.SCENARIOS,
    *of_clocks.SCENARIOS,
    *of_operators.SCENARIOS,
    *of_several.SCENARIOS,
    *of_moments.SCENARIOS,
    *of_storage.SCENARIOS,
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)


def choose(names: Sequence[str]) -> tuple[Scenario, ...]:
    """The named scenarios in the order of the list; all where none is named. Raises UserError for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UserError(f"no such scenario: {', '.join(unknown)}", hint="`poolkeeper chaos list` has them.")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)
