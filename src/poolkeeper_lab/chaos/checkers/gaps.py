"""The longest pause of each endpoint: information for people, never a verdict."""

from __future__ import annotations

from poolkeeper_lab.chaos.checkers import appends, bank_checker, grow_set_checker, read_only_checker, register_checker
from poolkeeper_lab.chaos.history.history import History, Operation
from poolkeeper_lab.drill import ledger
from poolkeeper_lab.drill.ledger import Attempt, AttemptOutcome, Gap

READS = {grow_set_checker.READ, appends.FINAL, bank_checker.READ, read_only_checker.READ, register_checker.READ}
OF_WRITES = {"rw", "balanced"}  # an endpoint that takes writes pauses when it takes none, whatever may be read there


def is_write(o: Operation) -> bool:
    """Does it change something? A transaction of lists does if it appends."""
    if o.f == appends.TRANSACTION:
        return any(step[0] == appends.APPEND for step in o.value)
    return o.f not in READS


def longest(history: History) -> dict[str, Gap]:
    """Endpoint → the longest interval without an acknowledgement, from its first invocation to the last line."""
    endpoints: dict[str, list[Operation]] = {}
    for operation in history.operations:
        if operation.endpoint not in OF_WRITES or is_write(operation):
            endpoints.setdefault(operation.endpoint, []).append(operation)
    return {
        endpoint: ledger.longest_gap(map(_attempt, asked), asked[0].began, history.last)
        for endpoint, asked in sorted(endpoints.items())
    }


def _attempt(operation: Operation) -> Attempt:
    outcome = AttemptOutcome.ACKNOWLEDGED if operation.is_ok else AttemptOutcome.AMBIGUOUS
    return Attempt(operation.number, str(operation.process), operation.began, operation.ended, outcome)
