"""All bugs that can be planted, in the order in which they are."""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper.core import errors
from poolkeeper_lab.chaos.mutants import configuration_mutants, keeper_mutants, runner_mutants
from poolkeeper_lab.chaos.mutants.mutant import Mutant

PLANTS = (*configuration_mutants.PLANTS, *keeper_mutants.PLANTS, *runner_mutants.PLANTS)
NAMES = tuple(plant.name for plant in PLANTS)


def choose(names: Sequence[str]) -> tuple[Mutant, ...]:
    """The named ones in the order of the list; where none is named, all. Raises UsageError."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UsageError(
            f"no such bug: {', '.join(unknown)}", hint="`poolkeeper chaos self-test --list` has them."
        )
    return tuple(plant for plant in PLANTS if plant.name in names or not names)
