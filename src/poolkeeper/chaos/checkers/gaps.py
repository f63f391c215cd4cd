"""The longest pause of each door: information for people, never a verdict."""

from __future__ import annotations

from poolkeeper.chaos.history import History, Operation
from poolkeeper.drill import ledger
from poolkeeper.drill.ledger import Attempt, Gap, Outcome


def longest(history: History) -> dict[str, Gap]:
    """Door → the longest interval without an acknowledged operation, from its first invocation to the last line."""
    doors: dict[str, list[Operation]] = {}
    for operation in history.operations:
        doors.setdefault(operation.door, []).append(operation)
    return {
        door: ledger.longest_gap(map(_attempt, asked), asked[0].began, history.last)
        for door, asked in sorted(doors.items())
    }


def _attempt(operation: Operation) -> Attempt:
    outcome = Outcome.ACKNOWLEDGED if operation.is_ok else Outcome.AMBIGUOUS
    return Attempt(operation.number, str(operation.process), operation.began, operation.ended, outcome)
