"""All mutants, in the order of their injection."""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper.core import errors
from poolkeeper_lab.chaos.mutants import configuration_mutants, keeper_mutants, runner_mutants
from poolkeeper_lab.chaos.mutants.mutant import Mutant

MUTANTS = (*configuration_mutants.MUTANTS, *keeper_mutants.MUTANTS, *runner_mutants.MUTANTS)
NAMES = tuple(mutant.name for mutant in MUTANTS)


def choose(names: Sequence[str]) -> tuple[Mutant, ...]:
    """Return the named mutants in the order of the list; all of them if no name is given.

    Raises:
        UsageError: if a name is unknown.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise errors.UsageError(
            f"no such bug: {', '.join(unknown)}", hint="`poolkeeper chaos self-test --list` has them."
        )
    return tuple(mutant for mutant in MUTANTS if mutant.name in names or not names)
