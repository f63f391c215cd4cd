"""Check transactions on lists against an isolation level: find the anomalies, and decide which the level allows.

Operations: `txn` and `final`, as `appends` describes them; `final` only reads, after everything else, and has to show
everything acknowledged. Levels, as PostgreSQL means them:

    serializable      nothing is allowed
    repeatable-read   snapshot isolation: G2-item (write skew) is allowed, all else is not

`order` is the promise beyond the level: "real-time" (one primary, whose snapshots contain everything acknowledged
before them: the endpoint rw), "process" (a client's own order), or "none". With the former two, PostgreSQL's levels are
strong ones; docs/guarantees.md explains why, and where that ends.

Invariant: all transactions of the workload ran at that level. One that did not may cause an anomaly in any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from poolkeeper_lab.chaos.checkers import appends, cycles, dependencies, versions
from poolkeeper_lab.chaos.checkers.dependencies import ORDER, DependencyKind, Edges
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, nothing
from poolkeeper_lab.chaos.history.history import Completion, History

SERIALIZABLE, REPEATABLE_READ = "serializable", "repeatable-read"
NONE, PROCESS, REAL_TIME = "none", "process", "real-time"
_ALLOWED = {SERIALIZABLE: (), REPEATABLE_READ: ("G2-item",)}


@dataclass(frozen=True)
class ListAppendOptions:
    """The level that every transaction requested, and the order that is promised beyond it.

    Raises:
        ValueError: if the level or the order is unknown.
    """

    level: str
    order: str = REAL_TIME

    def __post_init__(self) -> None:
        if self.level not in _ALLOWED or self.order not in (NONE, PROCESS, REAL_TIME):
            raise ValueError(f"there is no level {self.level!r} with the order {self.order!r}")

    def permits(self, anomaly: str) -> bool:
        """Return whether the level allows the anomaly, also with a suffix: current snapshots allow the same skew."""
        return anomaly.removesuffix("-process").removesuffix("-realtime") in _ALLOWED[self.level]


def check(history: History, options: Mapping[str, Any]) -> CheckerFinding:
    """Check all transactions together.

    Raises:
        ValueError: if elements are not unique, or the options are unknown.
    """
    wanted = ListAppendOptions(**options)
    transactions = appends.read(history.operations)
    acknowledged = sum(t.is_ok for t in transactions)
    if not acknowledged:
        return nothing("no transaction was acknowledged")
    inferred = versions.infer(transactions)
    edges = _edges(inferred, wanted)
    losses = versions.losses(inferred, wanted.order == REAL_TIME)
    found = [*versions.direct(inferred), *losses.lost, *(_cycle(c, edges) for c in cycles.search(edges))]
    summary = f"{acknowledged} transactions acknowledged at {wanted.level}, order {wanted.order}, {len(edges)} edges"
    return CheckerFinding(
        summary,
        tuple(a for a in found if not wanted.permits(a.name)),
        tuple(_unchecked(inferred, losses.unchecked)),
        permitted=tuple(a for a in found if wanted.permits(a.name)),
        figures=_figures(transactions, inferred, edges),
    )


def _edges(inferred: versions.Versions, wanted: ListAppendOptions) -> Edges:
    edges = dependencies.data_edges(inferred)
    committed = [inferred.by_number[number] for number in inferred.committed]
    if wanted.order != NONE:
        for pair in dependencies.process_edges(committed):
            edges.setdefault(pair, {})[DependencyKind.PROCESS] = ORDER
    if wanted.order == REAL_TIME:
        for pair in dependencies.real_time_edges(committed):
            edges.setdefault(pair, {})[DependencyKind.REAL_TIME] = ORDER
    return edges


def _cycle(cycle: cycles.Cycle, edges: Edges) -> Anomaly:
    words = "; ".join(dependencies.explain(*step) for step in cycles.reasons_of(cycle, edges))
    return Anomaly(cycle.name, words, cycle.numbers)


def _unchecked(inferred: versions.Versions, unread: int) -> Iterable[str]:
    if unread:
        yield f"{unread} acknowledged transactions' appends were never read, and no read had to show them"
    if not any(inferred.order.values()):
        yield "no read shows any element, so every order is unknown"


def _figures(transactions: Iterable[appends.Transaction], inferred: versions.Versions, edges: Edges) -> dict[str, int]:
    by = {completion: [t for t in transactions if t.completion is completion] for completion in Completion}
    return {
        "acknowledged": len(by[Completion.OK]),
        "aborted": len(by[Completion.FAIL]),
        "open": len(by[Completion.INFO]),
        "open_committed": sum(t.number in inferred.committed for t in by[Completion.INFO]),
        "lists": len(inferred.order),
        "edges": len(edges),
    }
