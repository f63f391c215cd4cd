"""All bugs that can be planted, in the order in which they are."""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper import errors
from poolkeeper.chaos.plants import of_configuration, of_keeper, of_runner
from poolkeeper.chaos.plants.plant import Plant

PLANTS = (*of_configuration.PLANTS, *of_keeper.PLANTS, *of_runner.PLANTS)
NAMES = tuple(plant.name for plant in PLANTS)


def choose(names: Sequence[str]) -> tuple[Plant, ...]:
    """The named ones in the order of the list; where none is named, all. Raises UserError."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UserError(
            f"no such bug: {', '.join(unknown)}", hint="`poolkeeper chaos self-test --list` has them."
        )
    return tuple(plant for plant in PLANTS if plant.name in names or not names)
