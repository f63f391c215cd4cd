"""Slow and plain judgements of small histories by trying every order: what the quick checkers are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

from poolkeeper.chaos.history import Operation


def _orders(operations: Sequence[Operation], in_time: bool) -> Iterator[tuple[Operation, ...]]:
    """All orders of the acknowledged ones and any of the open ones; with `in_time`, those that respect time."""
    sure, open_ = [o for o in operations if o.is_ok], [o for o in operations if o.is_info]
    for count in range(len(open_) + 1):
        for chosen in combinations(open_, count):
            for order in permutations([*sure, *chosen]):
                if not in_time or all(not b.ended < a.began for a, b in combinations(order, 2)):
                    yield order


def is_serializable(operations: Sequence[Operation], in_time: bool) -> bool:
    """Does one order of whole transactions on lists explain every read?"""
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
    """Does one order of a register's operations, which respects time, explain every result?"""
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
