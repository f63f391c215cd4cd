"""Slow and simple checks of small histories by trying every order; the quick checkers have to agree with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

from poolkeeper_lab.chaos.history.history import Operation


def _orders(operations: Sequence[Operation], in_time: bool) -> Iterator[tuple[Operation, ...]]:
    """Yield all orders of the acknowledged and any open operations; with `in_time`, only those that respect time."""
    sure, open_ = [o for o in operations if o.is_ok], [o for o in operations if o.is_info]
    for count in range(len(open_) + 1):
        for chosen in combinations(open_, count):
            for order in permutations([*sure, *chosen]):
                if not in_time or all(not b.ended < a.began for a, b in combinations(order, 2)):
                    yield order


def is_serializable(operations: Sequence[Operation], in_time: bool) -> bool:
    """Return whether one order of complete transactions on lists explains every read."""
    return any(_explains_lists(order) for order in _orders(operations, in_time))


def _explains_lists(order: Sequence[Operation]) -> bool:
    lists: dict[Any, list[Any]] = {}
    for transaction in order:
        for what, key, value in transaction.result if transaction.is_ok else transaction.value:
            if what == "append":
                lists.setdefault(key, []).append(value)
            elif value is not None and value != lists.get(key, []):
                return False
    return True


def is_linearizable(operations: Sequence[Operation], initial: Any) -> bool:
    """Return whether one order of a register's operations, which respects time, explains every result."""
    return any(_explains_register(order, initial) for order in _orders(operations, in_time=True))


def _explains_register(order: Sequence[Operation], held: Any) -> bool:
    for o in order:
        argument = o.value[1]
        if o.f == "read" and o.is_ok and o.result != held:
            return False
        if o.f == "cas" and o.is_ok and o.result != (held == argument[0]):
            return False
        if o.f == "write":
            held = argument
        elif o.f == "cas" and held == argument[0]:
            held = argument[1]
    return True


def is_snapshot_isolated(operations: Sequence[Operation], in_time: bool) -> bool:
    """Return whether one order of snapshots and commits explains every read.

    Of two overlapping writers of a list, one aborts.
    """
    sure, open_ = [o for o in operations if o.is_ok], [o for o in operations if o.is_info]
    chosen = (combinations(open_, count) for count in range(len(open_) + 1))
    return any(_interleaved({}, {}, [*sure, *some], in_time) for subsets in chosen for some in subsets)


Lists = dict[Any, tuple[Any, ...]]


def _interleaved(lists: Lists, running: dict[int, Lists], left: Sequence[Operation], in_time: bool) -> bool:
    """Try every next event: the snapshot of a transaction without one, or the commit of one with a snapshot.

    `running` maps a transaction to its snapshot; `left` are those that have not committed.
    """
    if not left:
        return True
    for transaction in left:
        rest = [o for o in left if o is not transaction]
        snapshot = running.get(transaction.number)
        if snapshot is None:
            is_late = in_time and any(o.ended < transaction.began for o in rest)
            began = {**running, transaction.number: dict(lists)}
            if not is_late and _sees(transaction, lists) and _interleaved(lists, began, left, in_time):
                return True
        elif all(lists.get(key, ()) == snapshot.get(key, ()) for key, _ in _appends(transaction)):
            after = dict(lists)
            for key, element in _appends(transaction):
                after[key] = (*after.get(key, ()), element)
            if _interleaved(after, running, rest, in_time):
                return True
    return False


def _appends(transaction: Operation) -> list[tuple[Any, Any]]:
    return [(key, element) for what, key, element in transaction.value if what == "append"]


def _sees(transaction: Operation, snapshot: Lists) -> bool:
    own = dict(snapshot)
    for what, key, value in transaction.result if transaction.is_ok else transaction.value:
        if what == "append":
            own[key] = (*own.get(key, ()), value)
        elif transaction.is_ok and tuple(value) != own.get(key, ()):
            return False
    return True
