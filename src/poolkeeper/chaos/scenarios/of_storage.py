"""The disk of a node is full, slow, broken or damaged, or loses its power."""

from __future__ import annotations

from poolkeeper.chaos.scenarios.scenario import SHORT, Act, Scenario
from poolkeeper.faults.power import LosePower, every_node
from poolkeeper.faults.target import Target

PREPARES = 60.0  # about how long it takes to move a node's data there and back, and to be whole each time


def _power(sentence: str, target: Target, **how: object) -> Act:
    return Act(sentence, target, lambda ground, victim, _: LosePower(ground, victim, **how))  # type: ignore[arg-type]


SCENARIOS = (
    Scenario(
        "lose_power_of_every_node",
        "A loss of power of all nodes must not lose what was acknowledged: it was flushed before",
        (_power("every node dies, and what its file system had not flushed is gone", Target.NODES, who=every_node),),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "lose_power_of_primary",
        "A primary that lost its power must come back with all that it had acknowledged, or rewound",
        (
            _power(
                "a standby gets the role, dies, and what its file system had not flushed is gone",
                Target.STANDBY,
                as_primary=True,
            ),
        ),
        SHORT,
        PREPARES,
    ),
    Scenario(
        "lose_power_of_standby",
        "A standby that lost its power must come back with the same rows, and cost no write",
        (_power("a standby dies, and what its file system had not flushed is gone", Target.STANDBY),),
        SHORT,
        PREPARES,
    ),
)
