"""Draw the dependencies between committed transactions: edges from an earlier to a later one, each with its reason.

    ww          the later one's append follows the earlier one's       (a write depends on a write)
    wr          the later one read the earlier one's append            (a read depends on a write)
    rw          the earlier one read the list before the append        (an anti-dependency)
    process     the same client invoked the later one afterwards
    real-time   the earlier one was acknowledged before the later one began

The last two hold only where that order is promised, so they are separate. Invariant: an edge is drawn only from what
the reads prove; an acknowledged append that no read shows comes after everything that any read shows, because the list
only grows. Real-time edges are the smallest set whose transitive closure is the complete order. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from poolkeeper_lab.chaos.checkers.appends import Element, Key, Transaction, Version
from poolkeeper_lab.chaos.checkers.versions import Versions


class DependencyKind(StrEnum):
    """The kind of an edge."""

    WW = "ww"
    WR = "wr"
    RW = "rw"
    PROCESS = "process"
    REAL_TIME = "real-time"


@dataclass(frozen=True, slots=True)
class Why:
    """The reason of an edge: the list, its last element `before`, and the next element `after`."""

    key: Key | None = None
    before: Element | None = None
    after: Element | None = None


Edges = dict[tuple[int, int], dict[DependencyKind, Why]]
ORDER = Why()


def data_edges(versions: Versions) -> Edges:
    """Return all ww, wr and rw edges."""
    edges: Edges = {}
    for key, order in versions.order.items():
        _write_edges(edges, versions, key, order)
    for number in versions.committed:
        transaction = versions.by_number[number]
        for key, version in transaction.first_reads.items():
            _read_edges(edges, versions, transaction, key, version)
    return edges


def _draw(edges: Edges, begin: int | None, kind: DependencyKind, end: int | None, why: Why) -> None:
    if begin is not None and end is not None and begin != end:
        edges.setdefault((begin, end), {}).setdefault(kind, why)


def _write_edges(edges: Edges, versions: Versions, key: Key, order: Version) -> None:
    last: tuple[int, Element] | None = None
    for element in order:
        writer = versions.writer(key, element)
        if writer is None:
            continue
        if last:
            _draw(edges, last[0], DependencyKind.WW, writer, Why(key, last[1], element))
        last = (writer, element)
    if last:
        for number in versions.unread.get(key, ()):
            _draw(edges, last[0], DependencyKind.WW, number, Why(key, last[1]))


def _read_edges(edges: Edges, versions: Versions, reader: Transaction, key: Key, version: Version) -> None:
    order = versions.order[key]
    if version != order[: len(version)]:
        return  # reported as incompatible-order; the edges depend on which of the two orders is true
    last = version[-1] if version else None
    if last is not None:
        _draw(edges, versions.writer(key, last), DependencyKind.WR, reader.number, Why(key, last))
    following = next((e for e in order[len(version) :] if versions.writer(key, e) not in (None, reader.number)), None)
    if following is not None:
        _draw(edges, reader.number, DependencyKind.RW, versions.writer(key, following), Why(key, last, following))
        return
    for number in versions.unread.get(key, ()):
        _draw(edges, reader.number, DependencyKind.RW, number, Why(key, last))


def process_edges(transactions: Iterable[Transaction]) -> Iterator[tuple[int, int]]:
    """Yield the edges from each acknowledged transaction to the next of the same client."""
    last: dict[int, Transaction] = {}
    for transaction in sorted(transactions, key=lambda t: t.began):
        before = last.get(transaction.process)
        if before and before.ended < transaction.began:
            yield before.number, transaction.number
        if transaction.is_ok:
            last[transaction.process] = transaction


def real_time_edges(transactions: Iterable[Transaction]) -> Iterator[tuple[int, int]]:
    """Yield the edges from each acknowledged transaction to those that began after it, unless another lies between."""
    transactions = list(transactions)
    marks = [(t.began, 0, t) for t in transactions] + [(t.ended, 1, t) for t in transactions if t.is_ok]
    latest: set[int] = set()  # ended, and before no other that ended
    before: dict[int, frozenset[int]] = {}
    for _, is_end, transaction in sorted(marks, key=lambda mark: mark[:2]):
        if is_end:
            latest -= before.pop(transaction.number)
            latest.add(transaction.number)
        else:
            before[transaction.number] = frozenset(latest)
            yield from ((number, transaction.number) for number in latest)


def explain(begin: int, kind: DependencyKind, end: int, why: Why) -> str:
    """Return an edge in words."""
    after = "later" if why.after is None else f"{why.after} after it"
    match kind:
        case DependencyKind.WW:
            return f"#{begin} appended {why.before} to {why.key}, and #{end} appended {after} (ww)"
        case DependencyKind.WR:
            return f"#{end} read {why.key} up to {why.before}, which #{begin} appended (wr)"
        case DependencyKind.RW:
            seen = "empty" if why.before is None else f"up to {why.before}"
            return f"#{begin} read {why.key} {seen}, and #{end} appended {after} (rw)"
        case DependencyKind.PROCESS:
            return f"#{end} came after #{begin} in the same client (process)"
        case DependencyKind.REAL_TIME:
            return f"#{begin} was acknowledged before #{end} began (real-time)"
