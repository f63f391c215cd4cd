"""The cost of one transaction, from two runs of different length and an idle period. Pure.

The beginning and the end of a run have a cost of their own (sessions open, server processes start). Background work
runs beside it (checks, Patroni). The difference of a long and a short run removes the cost of beginning and end.
The rate of the idle period removes the background work.
Invariant: a cost is never negative; it is 0 if the noise is larger than the cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poolkeeper.core import errors

What = tuple[str, str]  # a part of the path, and a quantity that it spent


@dataclass(frozen=True)
class Spent:
    """The amounts that were spent in a period; `transactions` of clients meanwhile, 0 for the idle period."""

    transactions: int
    seconds: float
    amounts: Mapping[What, float]


def per_transaction(short: Spent, long: Spent, idle: Spent) -> dict[What, float]:
    """Return each amount for one transaction.

    Raises:
        EngineFailed: if the lengths of the runs do not allow a difference.
    """
    more = long.transactions - short.transactions
    if more <= 0 or idle.seconds <= 0:
        raise errors.EngineFailed(
            f"{long.transactions} transactions after {short.transactions}, idle for {idle.seconds:.1f} s: "
            "the cost of one transaction cannot be computed"
        )
    return {what: max(0.0, _beyond(what, short, long, idle)) / more for what in sorted({*long.amounts, *short.amounts})}


def _beyond(what: What, short: Spent, long: Spent, idle: Spent) -> float:
    rate = idle.amounts.get(what, 0.0) / idle.seconds
    ran = long.seconds - short.seconds
    return long.amounts.get(what, 0.0) - short.amounts.get(what, 0.0) - rate * ran
