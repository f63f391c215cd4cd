"""Write a history as text, one JSON object a line, and read it back.

    {"type":"header","schema":1,"scenario":…,"seed":…,"workloads":{NAME:{"checker":…,"options":{…}}},…}   the first line
    {"type":"invoke","id":0,"process":3,"session":0,"workload":…,"endpoint":"rw","f":…,"value":…,"at":…,"wall":…}
    {"type":"ok","id":0,"value":…,"code":"","at":…,"wall":…}                                      or "fail", or "info"
    {"type":"nemesis","fault":…,"target":…,"phase":"begin","detail":"","at":…,"wall":…}            or "end"
    {"type":"final_state","state":{…},"at":…,"wall":…}

`at` is the monotonic clock, the only time that checkers use; `wall` helps to compare the history with logs.
Invariant: a last line without its line feed was cut by a crash; it is ignored and noted, because its writer stopped
there. Any other line that cannot be read is damage, because it may hide anything. Pure, except for `read`.

Pydantic converts the header, the faults and the final state. Operations are mapped by hand, because no line is an
`Operation`: two lines, an invocation and its completion, make one, and the errors name the line that does not match.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from poolkeeper.core import errors
from poolkeeper_lab.chaos.history import final_state
from poolkeeper_lab.chaos.history.history import (
    SCHEMA,
    Completion,
    Header,
    History,
    NemesisEvent,
    Operation,
    invoked,
)

_HEADER, _NEMESIS = TypeAdapter(Header), TypeAdapter(NemesisEvent)


def line(document: Mapping[str, Any]) -> str:
    """Return one line with its line feed.

    Raises:
        TypeError: if JSON has no such type.
        ValueError: if a number is not finite.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def header_document(header: Header) -> dict[str, Any]:
    """Return the first line's object."""
    return {"type": "header", "schema": SCHEMA, **_HEADER.dump_python(header)}


def invoke_document(operation: Operation, wall: float) -> dict[str, Any]:
    """Return an invocation's object."""
    names = ("process", "session", "workload", "endpoint", "f", "value")
    asked = {name: getattr(operation, name) for name in names}
    return {"type": "invoke", "id": operation.number, **asked, "at": operation.began, "wall": wall}


def completion_document(
    number: int, completion: Completion, result: Any, code: str, at: float, wall: float
) -> dict[str, Any]:
    """Return a completion's object."""
    return {"type": completion.value, "id": number, "value": result, "code": code, "at": at, "wall": wall}


def nemesis_document(event: NemesisEvent, wall: float) -> dict[str, Any]:
    """Return the object of a fault's begin or end."""
    return {"type": "nemesis", **_NEMESIS.dump_python(event), "wall": wall}


def final_state_document(state: final_state.FinalState, at: float, wall: float) -> dict[str, Any]:
    """Return the object of the final state."""
    return {"type": "final_state", "state": final_state.document(state), "at": at, "wall": wall}


def read(path: Path) -> History:
    """Read a history from a file.

    Raises:
        HistoryDamaged: if the file cannot be read or is not a history.
    """
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as e:
        raise errors.HistoryDamaged(str(path), None, f"it cannot be read: {e.strerror or e}") from e


def parse(data: bytes, where: str = "the history") -> History:
    """Return the history of these bytes.

    Raises:
        HistoryDamaged: with the number of the first damaged line.
    """
    lines = data.split(b"\n")
    found = _Reading(is_torn=bool(lines.pop()))
    for number, text in enumerate(lines, start=1):
        try:
            found.take(json.loads(text), number == 1)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise errors.HistoryDamaged(where, number, _what(e)) from e
    if found.header is None:
        raise errors.HistoryDamaged(where, None, "it is empty: even its first line is incomplete")
    operations = tuple(sorted(found.operations.values(), key=lambda o: (o.began, o.number)))
    return History(found.header, operations, tuple(found.nemesis), found.final_state, found.is_torn, found.last)


def _what(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "this is not a line of JSON"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, not {first['input']!r}"
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


@dataclass
class _Reading:
    """The lines read so far; each `_take_*` raises ValueError, KeyError or TypeError on damage."""

    is_torn: bool
    header: Header | None = None
    operations: dict[int, Operation] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    nemesis: list[NemesisEvent] = field(default_factory=list)
    final_state: final_state.FinalState | None = None
    last: float = 0.0

    def take(self, read: Any, is_first: bool) -> None:
        if not isinstance(read, dict):
            raise ValueError("this is no JSON object")
        kind = read["type"]
        if is_first != (kind == "header"):
            raise ValueError("the first line, and no other, is the header")
        takers: dict[str, Callable[[dict[str, Any]], None]] = {
            "header": self._take_header,
            "invoke": self._take_invoke,
            "nemesis": self._take_nemesis,
            "final_state": self._take_end_state,
            **{completion.value: self._take_completion for completion in Completion},
        }
        if kind not in takers:
            raise ValueError(f"there is no line of type {kind!r}")
        takers[kind](read)
        self.last = max(self.last, float(read.get("at", self.last)))

    def _take_header(self, read: dict[str, Any]) -> None:
        if read["schema"] != SCHEMA:
            raise ValueError(f"schema {read['schema']!r} is not {SCHEMA}, the one that this version reads")
        self.header = _HEADER.validate_python(_without(read, "type", "schema"))

    def _take_invoke(self, read: dict[str, Any]) -> None:
        number = read["id"]
        if number in self.operations:
            raise ValueError(f"operation {number} was invoked before")
        asked = {name: read[name] for name in ("process", "workload", "endpoint", "f", "value")}
        self.operations[number] = invoked(number, **asked, at=float(read["at"]), session=read.get("session", 0))

    def _take_completion(self, read: dict[str, Any]) -> None:
        number, at = read["id"], float(read["at"])
        if number not in self.operations or number in self.closed:
            raise ValueError(f"operation {number} has no open invocation")
        operation = self.operations[number]
        if at < operation.began:
            raise ValueError(f"operation {number} is completed before it was invoked")
        self.closed.add(number)
        completion = Completion(read["type"])
        self.operations[number] = operation.completed(at, completion, read["value"], read.get("code", ""))

    def _take_nemesis(self, read: dict[str, Any]) -> None:
        self.nemesis.append(_NEMESIS.validate_python(_without(read, "type", "wall")))

    def _take_end_state(self, read: dict[str, Any]) -> None:
        self.final_state = final_state.of_document(read["state"])


def _without(read: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in read.items() if name not in names}
