"""Read from a history the transactions that append to lists and read them.

A transaction's value is a list of ["append", key, element] and ["r", key, null], in the order of its statements; its
result is the same list with the values of the reads. Elements are unique for each key. After Elle (Kingsbury, Alvaro
2020): a list shows all its past, so a read proves the order of the writes before it.

Invariant: `first_reads` holds the elements of other transactions that the transaction saw, without its own appends. A
later read of the same key has to be the same with its own appends after it, else the transaction contradicts itself.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolkeeper_lab.chaos.history.history import Completion, Operation

TRANSACTION, FINAL = "txn", "final"
APPEND, READ = "append", "r"

Key = str | int
Element = str | int
Version = tuple[Element, ...]


@dataclass(frozen=True)
class Transaction:
    """One transaction. The reads are known only if it was acknowledged."""

    number: int
    process: int
    began: float
    ended: float
    completion: Completion
    is_final: bool  # reads after everything else, so it has to show everything acknowledged
    appends: Mapping[Key, Version]
    reads: tuple[tuple[Key, Version], ...] = ()  # all of them, as the client received them
    first_reads: Mapping[Key, Version] = field(default_factory=dict)
    disorder: tuple[str, ...] = ()  # how it contradicts itself

    @property
    def is_ok(self) -> bool:
        """Whether it was acknowledged."""
        return self.completion is Completion.OK


def read(operations: Iterable[Operation]) -> tuple[Transaction, ...]:
    """Return the transactions of a history.

    Raises:
        ValueError: if an operation is not a transaction on lists.
    """
    return tuple(_transaction(operation) for operation in operations)


def _transaction(operation: Operation) -> Transaction:
    if operation.f not in (TRANSACTION, FINAL):
        raise ValueError(f"#{operation.number} is {operation.f!r}, which is no transaction")
    appends: dict[Key, Version] = {}
    for what, key, element in operation.value:
        if what == APPEND:
            appends[key] = (*appends.get(key, ()), element)
        elif what != READ:
            raise ValueError(f"#{operation.number} has a statement {what!r}")
    times = (operation.number, operation.process, operation.began, operation.ended, operation.completion)
    if not operation.is_ok:
        return Transaction(*times, operation.f == FINAL, appends)
    seen = _Within()
    for what, key, value in operation.result:
        seen.take(what, key, value)
    seen.close(appends)
    return Transaction(
        *times, operation.f == FINAL, appends, tuple(seen.reads), seen.first, tuple(dict.fromkeys(seen.disorder))
    )


@dataclass
class _Within:
    """The statements of a transaction, taken one after the other."""

    first: dict[Key, Version] = field(default_factory=dict)
    own: dict[Key, Version] = field(default_factory=dict)
    reads: list[tuple[Key, Version]] = field(default_factory=list)
    disorder: list[str] = field(default_factory=list)

    def take(self, what: str, key: Key, value: Any) -> None:
        if what == APPEND:
            self.own[key] = (*self.own.get(key, ()), value)
            return
        version, own = tuple(value), self.own.get(key, ())
        self.reads.append((key, version))
        others = version[: max(0, len(version) - len(own))]
        if version[len(others) :] != own:
            self.disorder.append(f"it appended {list(own)} to {key} and then read {_end(version)}")
        elif self.first.setdefault(key, others) != others:
            self.disorder.append(f"it read {_end(self.first[key])} of {key}, and later {_end(others)}")

    def close(self, appends: Mapping[Key, Version]) -> None:
        """Note reads that show the transaction's own appends before their statements."""
        for key in [key for key, version in self.first.items() if set(version) & set(appends.get(key, ()))]:
            self.disorder.append(f"it read {_end(self.first.pop(key))} of {key} before its own {list(appends[key])}")


def _end(version: Sequence[Element]) -> str:
    """Return a list in words, by its end."""
    return str(list(version)) if len(version) <= 6 else f"[… {', '.join(map(str, version[-5:]))}]"
