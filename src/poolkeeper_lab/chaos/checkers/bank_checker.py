"""Check a bank: transfers move money between its rows, and no snapshot shows more or less money in all.

Operations: `transfer`, whose value names from, to and amount (one transaction); `read`, whose result maps every row's
name to its balance (one statement, on any endpoint: a standby may show an old snapshot, but a complete one).

Not promised: to detect a lost transfer, because it leaves the total unchanged. The set and the list-append workloads
detect that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing, some
from poolkeeper_lab.chaos.history.history import History, Operation

TRANSFER, READ = "transfer", "read"
WRONG_TOTAL, NEGATIVE, ACCOUNTS = "wrong-total", "negative", "accounts"


@dataclass(frozen=True)
class BankOptions:
    """The names of the balances, their total, and whether a balance may fall below zero."""

    accounts: tuple[str, ...]
    total: int
    negative: bool = False


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Check each snapshot separately.

    Raises:
        KeyError: if the names of the balances are not declared.
        TypeError: if the total is not declared.
    """
    wanted = BankOptions(**{**options, "accounts": tuple(map(str, options["accounts"]))})
    reads = [o for o in history.operations if o.f == READ and o.is_ok]
    moved = sum(o.f == TRANSFER and o.is_ok for o in history.operations)
    if not reads:
        return nothing("no read was answered")
    anomalies = tuple(found for read in reads for found in _check_snapshot(read, wanted))
    unknowns = () if moved else ("no transfer was acknowledged, so nothing moved",)
    summary = f"{len(reads)} snapshots of {wanted.total} in all, {moved} transfers acknowledged"
    by_endpoint = {
        f"reads_{endpoint}": sum(r.endpoint == endpoint for r in reads)
        for endpoint in sorted({r.endpoint for r in reads})
    }
    return CheckerFinding(summary, anomalies, unknowns, figures={"transfers": moved, **by_endpoint})


def _check_snapshot(read: Operation, wanted: BankOptions) -> Iterator[Anomaly]:
    balances: dict[str, int] = read.result
    where = f"read #{read.number} on {read.endpoint}"
    other = set(balances) ^ set(wanted.accounts)
    if other:
        yield Anomaly(ACCOUNTS, f"{where} lacks or invents accounts: {some(sorted(other))}", (read.number,))
    total = sum(balances.values())
    if total != wanted.total:
        yield Anomaly(WRONG_TOTAL, f"{where} sums up to {total} instead of {wanted.total}", (read.number,))
    below = sorted(name for name, balance in balances.items() if balance < 0)
    if below and not wanted.negative:
        yield Anomaly(NEGATIVE, f"{where} shows a negative balance of {some(below)}", (read.number,))
