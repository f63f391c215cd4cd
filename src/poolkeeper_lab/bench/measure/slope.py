"""What one transaction costs, from two runs of different length and an idle while. Pure.

A run has a beginning and an end that cost something by themselves (sessions are opened, server processes start), and
something goes on beside it (checks, Patroni). The difference of a long and a short run has no beginning, and what went
on beside it is taken out by the rate of the idle while.
Invariant: a cost is never negative; where noise is larger than the cost it is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poolkeeper.core import errors

What = tuple[str, str]  # a part of the path, and what it spent


@dataclass(frozen=True)
class Spent:
    """What was spent in a while; `transactions` of clients meanwhile, none when idle."""

    transactions: int
    seconds: float
    amounts: Mapping[What, float]


def per_transaction(short: Spent, long: Spent, idle: Spent) -> dict[What, float]:
    """Each amount of the long run, a transaction. Raises EngineFailed where the runs cannot be told apart."""
    more = long.transactions - short.transactions
    if more <= 0 or idle.seconds <= 0:
        raise errors.EngineFailed(
            f"{long.transactions} transactions after {short.transactions}, idle for {idle.seconds:.1f} s: "
            "what one transaction costs cannot be told from that"
        )
    return {what: max(0.0, _beyond(what, short, long, idle)) / more for what in sorted({*long.amounts, *short.amounts})}


def _beyond(what: What, short: Spent, long: Spent, idle: Spent) -> float:
    rate = idle.amounts.get(what, 0.0) / idle.seconds
    ran = long.seconds - short.seconds
    return long.amounts.get(what, 0.0) - short.amounts.get(what, 0.0) - rate * ran
