"""Measure the longest pause of each endpoint: information for the reader, never a verdict."""

from __future__ import annotations

from poolkeeper.model.endpoint_keys import BALANCED, RW
from poolkeeper_lab.chaos.checkers import appends, bank_checker, grow_set_checker, read_only_checker, register_checker
from poolkeeper_lab.chaos.history.history import History, Operation
from poolkeeper_lab.drill import ledger
from poolkeeper_lab.drill.ledger import Attempt, AttemptOutcome, Gap

READS = {grow_set_checker.READ, appends.FINAL, bank_checker.READ, read_only_checker.READ, register_checker.READ}
OF_WRITES = {RW, BALANCED}  # at these, only acknowledged writes end a pause, not reads


def is_write(o: Operation) -> bool:
    """Return whether the operation writes; a transaction on lists does if it appends."""
    if o.f == appends.TRANSACTION:
        return any(step[0] == appends.APPEND for step in o.value)
    return o.f not in READS


def longest(history: History) -> dict[str, Gap]:
    """Return each endpoint's longest interval without an acknowledgement.

    The time counts from the endpoint's first invocation to the last line of the history.
    """
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
