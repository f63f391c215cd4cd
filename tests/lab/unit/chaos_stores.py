"""Simulated databases that produce histories: a serial one, and one with snapshot isolation. Both are correct.

Hypothesis provides the randomness: every choice is a number of the `choices` list, so a failure shrinks. Clients are
interleaved: a transaction begins, takes effect at one moment between its begin and its end (a snapshot-isolated one
takes its snapshot at one moment and commits at another), and ends OK, or without an answer (INFO) with or without
effect, or FAIL without effect. Time is the number of the event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

from tests.lab.unit.chaos_histories import FAIL, INFO, OK, Book

from poolkeeper_lab.chaos.history.history import Completion, History

KEYS = ("x", "y", "z")
CLIENTS = 4
Version = tuple[int, ...]


class Chance:
    """Returns the numbers in their order, and begins again after the last one."""

    def __init__(self, choices: Sequence[int]) -> None:
        self._choices = cycle([*choices, 0])

    def below(self, limit: int) -> int:
        return next(self._choices) % limit


@dataclass
class Running:
    """A transaction of a client that has begun."""

    process: int
    asked: list[list[Any]]
    began: float
    state: dict[str, Version] | None = None  # its snapshot, with its own appends
    base: dict[str, Version] = field(default_factory=dict)  # the snapshot alone
    result: list[list[Any]] = field(default_factory=list)
    completion: Completion | None = None

    def run(self, snapshot: dict[str, Version]) -> None:
        """Execute its statements on a snapshot."""
        self.base, self.state = dict(snapshot), dict(snapshot)
        for what, key, value in self.asked:
            if what == "append":
                self.state[key] = (*self.state.get(key, ()), value)
                self.result.append([what, key, value])
            else:
                self.result.append([what, key, list(self.state.get(key, ()))])

    @property
    def written(self) -> set[str]:
        return {key for what, key, _ in self.asked if what == "append"}


class ListStore:
    """A store of lists. `is_snapshot`: a transaction commits after its snapshot, unless its lists changed meanwhile."""

    def __init__(self, choices: Sequence[int], transactions: int, level: str, is_snapshot: bool) -> None:
        self.chance = Chance(choices)
        self.book = Book("list_append", level=level)
        self.is_snapshot = is_snapshot
        self.lists: dict[str, Version] = {}
        self.left = transactions
        self.now = 0.0
        self.element = 0
        self.open: dict[int, Running] = {}

    def history(self) -> History:
        """Run them all, then read everything."""
        while self.left or self.open:
            self.now += 1
            process = self.chance.below(CLIENTS)
            if process not in self.open:
                if self.left:
                    self._begin(process)
                else:
                    self._step(next(iter(self.open.values())))
            else:
                self._step(self.open[process])
        asked = [["r", key, None] for key in KEYS]
        result = [["r", key, list(self.lists.get(key, ()))] for key in KEYS]
        self.book.op("final", asked, result, at=(self.now + 1, self.now + 2), process=CLIENTS)
        return self.book.history()

    def _begin(self, process: int) -> None:
        self.left -= 1
        self.open[process] = Running(process, list(self._statements()), self.now)

    def _statements(self) -> Iterator[list[Any]]:
        for _ in range(1 + self.chance.below(3)):
            key = KEYS[self.chance.below(len(KEYS))]
            if self.chance.below(2):
                self.element += 1
                yield ["append", key, self.element]
            else:
                yield ["r", key, None]

    def _step(self, running: Running) -> None:
        """Take the snapshot, then commit, then answer."""
        if running.state is None:
            running.run(self.lists)
            if not self.is_snapshot:
                self._commit(running)
        elif running.completion is None:
            self._commit(running)
        else:
            self._end(running)

    def _commit(self, running: Running) -> None:
        fate = self.chance.below(8)
        is_conflict = any(self.lists.get(key, ()) != running.base.get(key, ()) for key in running.written)
        if is_conflict or fate == 0:
            running.completion = INFO if fate == 1 else FAIL
            return
        assert running.state is not None
        if fate != 1:
            self.lists.update({key: running.state[key] for key in running.written})
        running.completion = INFO if fate in (1, 2) else OK

    def _end(self, running: Running) -> None:
        del self.open[running.process]
        result = running.result if running.completion is OK else None
        asked, at = running.asked, (running.began, self.now)
        self.book.op("txn", asked, result, running.completion or OK, at=at, process=running.process)


def registers(choices: Sequence[int], operations: int) -> History:
    """Return the history of a linearizable register for each of two keys."""
    chance, book, now = Chance(choices), Book("register", initial=0), 0.0
    held = {"k": 0, "l": 0}
    open_: dict[int, tuple[str, str, Any, float, list[Any]]] = {}  # client → f, key, argument, began, result
    while operations or open_:
        now += 1
        process = chance.below(CLIENTS)
        if process not in open_ and operations:
            operations -= 1
            key, f = "kl"[chance.below(2)], ("read", "write", "cas")[chance.below(3)]
            argument = {"read": None, "write": chance.below(4), "cas": [chance.below(4), chance.below(4)]}[f]
            open_[process] = (f, key, argument, now, [])
            continue
        process = process if process in open_ else next(iter(open_))
        f, key, argument, began, done = open_[process]
        if not done:
            done.append(_apply(held, f, key, argument, chance))
        else:
            del open_[process]
            completion, result = done[0]
            book.op(f, [key, argument], result, completion, at=(began, now), process=process)
    return book.history()


def _apply(held: dict[str, int], f: str, key: str, argument: Any, chance: Chance) -> tuple[Completion, Any]:
    fate = chance.below(6)
    if fate == 0:
        return FAIL, None
    before = held[key]
    is_done = f != "cas" or before == argument[0]
    if f != "read" and is_done and fate != 1:
        held[key] = argument if f == "write" else argument[1]
    if fate in (1, 2):
        return INFO, None
    return OK, {"read": before, "write": None, "cas": is_done}[f]
