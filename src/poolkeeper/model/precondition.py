"""What must be true before an operation may begin, and whether it is.

Invariant: what could not be looked at is UNKNOWN, and an unknown forbids as a failure does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class Precondition:
    """One of them: its name, what was found, and the fact. One that is not required only warns."""

    name: str
    outcome: Outcome
    fact: str
    is_required: bool = True

    @property
    def holds(self) -> bool:
        """Was it looked at, and is it so?"""
        return self.outcome is Outcome.PASS

    @property
    def forbids(self) -> bool:
        """Does it forbid the operation?"""
        return self.is_required and not self.holds

    def __str__(self) -> str:
        return f"{self.name}: {self.outcome.value}: {self.fact}"


def allowed(preconditions: Iterable[Precondition]) -> bool:
    """Does none of them forbid?"""
    return not any(precondition.forbids for precondition in preconditions)
