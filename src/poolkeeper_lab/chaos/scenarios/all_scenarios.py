"""All scenarios, in the order in which they are listed.

Invariant: every listed fault can be injected and healed by this program. The promises are those of docs/guarantees.md.
The checkers check all of them in every scenario; the promise of a scenario names the one that it stresses most.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper.core import errors
from poolkeeper_lab.chaos.scenarios import (
    clock_scenarios,
    combined_scenarios,
    control_plane_scenarios,
    cut_scenarios,
    endpoint_scenarios,
    link_scenarios,
    moment_scenarios,
    network_scenarios,
    operator_scenarios,
    pressure_scenarios,
    primary_scenarios,
    process_scenarios,
    standby_scenarios,
    storage_scenarios,
)
from poolkeeper_lab.chaos.scenarios.scenario import Scenario

SCENARIOS = (
    *primary_scenarios.SCENARIOS,
    *standby_scenarios.SCENARIOS,
    *control_plane_scenarios.SCENARIOS,
    *endpoint_scenarios.SCENARIOS,
    *process_scenarios.SCENARIOS,
    *network_scenarios.SCENARIOS,
    *cut_scenarios.SCENARIOS,
    *link_scenarios.SCENARIOS,
    *pressure_scenarios.SCENARIOS,
    *clock_scenarios.SCENARIOS,
    *operator_scenarios.SCENARIOS,
    *combined_scenarios.SCENARIOS,
    *moment_scenarios.SCENARIOS,
    *storage_scenarios.SCENARIOS,
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)


def choose(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Return the named scenarios in the order of the list; all of them if no name is given.

    Raises:
        UsageError: if a name is unknown.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UsageError(f"no such scenario: {', '.join(unknown)}", hint="`poolkeeper chaos list` has them.")
    return tuple(scenario for scenario in SCENARIOS if not names or scenario.name in names)
