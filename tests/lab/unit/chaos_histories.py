"""Build histories by hand: operations one after the other, or at given times, and a history's text."""

from __future__ import annotations

from typing import Any

from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.history.history import (
    Completion,
    Expected,
    Header,
    History,
    NemesisEvent,
    Operation,
    Phase,
    Workload,
    invoked,
)

OK, FAIL, INFO = Completion


class Book:
    """A history that is being written. Without times, each operation begins a second after the one before has begun."""

    def __init__(self, checker: str, workload: str = "", **options: Any) -> None:
        self.workload = workload or checker
        self.workloads = {self.workload: Workload(checker, options)}
        self.operations: list[Operation] = []
        self.nemesis: list[NemesisEvent] = []
        self.final_state: FinalState | None = None
        self.faults: tuple[str, ...] = ()

    def op(
        self,
        f: str,
        value: Any = None,
        result: Any = None,
        completion: Completion = OK,
        *,
        at: tuple[float, float] | None = None,
        process: int = 0,
        session: int = 0,
        endpoint: str = "rw",
        code: str = "",
        workload: str = "",
    ) -> int:
        """Add an operation and return its number. `at` has its begin and end."""
        number = len(self.operations)
        began, ended = at or (number + 1.0, number + 1.5)
        asked = invoked(number, process, workload or self.workload, endpoint, f, value, began, session)
        self.operations.append(asked.completed(ended, completion, result, code))
        return number

    def fault(self, fault: str, phase: Phase, at: float, target: str = "pg_node1") -> None:
        """Add the begin or the end of a fault."""
        self.nemesis.append(NemesisEvent(fault, target, phase, at))

    def history(self, expected: Expected | None = None, name: str = "by hand") -> History:
        """Return the history so far."""
        header = Header(name, 0, self.workloads, self.faults, self.final_state is not None, {}, expected)
        operations = tuple(sorted(self.operations, key=lambda o: (o.began, o.number)))
        last = max([0.0, *(t for o in operations for t in (o.began, o.ended) if t < float("inf"))])
        return History(header, operations, tuple(self.nemesis), self.final_state, last=last)


def text(history: History) -> str:
    """Return the text that a recorder would have written: INFO without a completion, the wall clock beginning at 0."""
    header = jsonl.line(jsonl.header_document(history.header))
    marks: list[tuple[float, int, dict[str, Any]]] = []
    for o in history.operations:
        marks.append((o.began, 0, jsonl.invoke_document(o, o.began)))
        if not o.is_info:
            done = jsonl.completion_document(o.number, o.completion, o.result, o.code, o.ended, o.ended)
            marks.append((o.ended, 1, done))
    marks += [(event.at, 2, jsonl.nemesis_document(event, event.at)) for event in history.nemesis]
    lines = [jsonl.line(document) for _, _, document in sorted(marks, key=lambda mark: mark[:2])]
    if history.final_state:
        lines.append(jsonl.line(jsonl.final_state_document(history.final_state, history.last, history.last)))
    return "".join([header, *lines])
