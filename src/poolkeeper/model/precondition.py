"""The preconditions of an operation, and whether they hold.

Invariant: a precondition that could not be checked is UNKNOWN. It forbids the operation as a failed one does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class Precondition:
    """A precondition: its name, its outcome and the observed fact. One that is not required only warns."""

    name: str
    outcome: Outcome
    fact: str
    is_required: bool = True

    @property
    def holds(self) -> bool:
        """Whether it was checked and holds."""
        return self.outcome is Outcome.PASS

    @property
    def forbids(self) -> bool:
        """Whether it forbids the operation."""
        return self.is_required and not self.holds

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome.value}: {self.fact}"


def allowed(preconditions: Iterable[Precondition]) -> bool:
    """Tell whether none of the preconditions forbids the operation."""
    return not any(precondition.forbids for precondition in preconditions)
