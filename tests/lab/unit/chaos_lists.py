"""Transactions on lists in words, for histories by hand."""

from __future__ import annotations

from typing import Any

from tests.lab.unit.chaos_histories import OK, Book

from poolkeeper_lab.chaos.history.history import Completion

Statement = tuple[str, str, Any]


class Lists(Book):
    """Transactions in words: "x+1" appends 1 to x, "x=1,2" reads it."""

    def __init__(self, level: str = "serializable", order: str = "real-time") -> None:
        super().__init__("list_append", level=level, order=order)

    def txn(self, words: str, at: tuple[float, float] | None, completion: Completion = OK, process: int = 0) -> int:
        """Add one transaction."""
        done = [_statement(word) for word in words.split()]
        asked = [[what, key, value if what == "append" else None] for what, key, value in done]
        result = [list(statement) for statement in done] if completion is OK else None
        return self.op("txn", asked, result, completion, at=at, process=process)

    def together(self, *transactions: str) -> Lists:
        """Add transactions at the same time, each by a separate client."""
        for process, words in enumerate(transactions, start=1):
            self.txn(words, (1.0 + process / 10, 5.0 + process / 10), process=process)
        return self

    def final(self, words: str, at: tuple[float, float] = (90.0, 91.0)) -> Lists:
        """Add the final read."""
        done = [list(_statement(word)) for word in words.split()]
        self.op("final", [[what, key, None] for what, key, _ in done], done, at=at, process=99)
        return self


def _statement(word: str) -> Statement:
    if "+" in word:
        key, element = word.split("+")
        return ("append", key, int(element))
    key, read = word.split("=")
    return ("r", key, [int(element) for element in read.split(",") if element])
