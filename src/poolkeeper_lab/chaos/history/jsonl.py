"""A history as text: one JSON object a line, and back.

    {"type":"header","schema":1,"scenario":…,"seed":…,"workloads":{NAME:{"checker":…,"options":{…}}},…}   the first line
    {"type":"invoke","id":0,"process":3,"session":0,"workload":…,"endpoint":"rw","f":…,"value":…,"at":…,"wall":…}
    {"type":"ok","id":0,"value":…,"code":"","at":…,"wall":…}                                      or "fail", or "info"
    {"type":"nemesis","fault":…,"target":…,"phase":"begin","detail":"","at":…,"wall":…}            or "end"
    {"type":"end_state","state":{…},"at":…,"wall":…}

`at` is the monotonic clock, which alone is judged by; `wall` is for people who compare it with logs. Invariant: a last
line without its line feed was cut by a crash; it is left out and noted, because whoever wrote it went no further. Any
other line that cannot be understood is damage, for it may hide anything. Pure but for `read`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from poolkeeper.core import errors
from poolkeeper_lab.chaos.history import final_state
from poolkeeper_lab.chaos.history.history import (
    SCHEMA,
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


def line(document: Mapping[str, Any]) -> str:
    """One line with its line feed. Raises ValueError and TypeError on what JSON does not have."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def header_document(header: Header) -> dict[str, Any]:
    """The first line's object."""
    return {"type": "header", "schema": SCHEMA, **asdict(header)}


def invoke_document(operation: Operation, wall: float) -> dict[str, Any]:
    """An invocation's object."""
    names = ("process", "session", "workload", "endpoint", "f", "value")
    asked = {name: getattr(operation, name) for name in names}
    return {"type": "invoke", "id": operation.number, **asked, "at": operation.began, "wall": wall}


def completion_document(
    number: int, completion: Completion, result: Any, code: str, at: float, wall: float
) -> dict[str, Any]:
    """A completion's object."""
    return {"type": completion.value, "id": number, "value": result, "code": code, "at": at, "wall": wall}


def nemesis_document(event: NemesisEvent, wall: float) -> dict[str, Any]:
    """The object of a fault's begin or end."""
    return {"type": "nemesis", **asdict(event), "wall": wall}


def end_state_document(state: final_state.EndState, at: float, wall: float) -> dict[str, Any]:
    """The object of the state after it all."""
    return {"type": "end_state", "state": final_state.document(state), "at": at, "wall": wall}


def read(path: Path) -> History:
    """Read a history from a file. Raises HistoryDamaged."""
    try:
        return parse(path.read_bytes(), str(path))
    except OSError as e:
        raise errors.HistoryDamaged(str(path), None, f"it cannot be read: {e.strerror or e}") from e


def parse(data: bytes, where: str = "the history") -> History:
    """A history of its bytes. Raises HistoryDamaged, with the line's number."""
    lines = data.split(b"\n")
    found = _Reading(is_torn=bool(lines.pop()))
    for number, text in enumerate(lines, start=1):
        try:
            found.take(json.loads(text), number == 1)
        except (ValueError, KeyError, TypeError, AttributeError) as e:
            raise errors.HistoryDamaged(where, number, _what(e)) from e
    if found.header is None:
        raise errors.HistoryDamaged(where, None, "it is empty: not even its first line is whole")
    operations = tuple(sorted(found.operations.values(), key=lambda o: (o.began, o.number)))
    return History(found.header, operations, tuple(found.nemesis), found.end_state, found.is_torn, found.last)


def _what(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "this is not a line of JSON"
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


@dataclass
class _Reading:
    """What was read so far; each `_take_*` raises ValueError, KeyError or TypeError on damage."""

    is_torn: bool
    header: Header | None = None
    operations: dict[int, Operation] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    nemesis: list[NemesisEvent] = field(default_factory=list)
    end_state: final_state.EndState | None = None
    last: float = 0.0

    def take(self, read: Any, is_first: bool) -> None:
        """One line's object."""
        if not isinstance(read, dict):
            raise ValueError("this is no JSON object")
        kind = read["type"]
        if is_first != (kind == "header"):
            raise ValueError("the first line, and no other, is the header")
        takers: dict[str, Callable[[dict[str, Any]], None]] = {
            "header": self._take_header,
            "invoke": self._take_invoke,
            "nemesis": self._take_nemesis,
            "end_state": self._take_end_state,
            **{completion.value: self._take_completion for completion in Completion},
        }
        if kind not in takers:
            raise ValueError(f"there is no line of type {kind!r}")
        takers[kind](read)
        self.last = max(self.last, float(read.get("at", self.last)))

    def _take_header(self, read: dict[str, Any]) -> None:
        if read["schema"] != SCHEMA:
            raise ValueError(f"schema {read['schema']!r} is not {SCHEMA}, the one that this version reads")
        fields = {name: value for name, value in read.items() if name not in ("type", "schema")}
        fields["workloads"] = {name: Workload(**declared) for name, declared in fields["workloads"].items()}
        fields["faults"] = tuple(fields.get("faults", ()))
        fields["planted"] = Expected(**fields["planted"]) if fields.get("planted") else None
        self.header = Header(**fields)

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
        phase, detail = Phase(read["phase"]), read.get("detail", "")
        self.nemesis.append(NemesisEvent(read["fault"], read["target"], phase, float(read["at"]), detail))

    def _take_end_state(self, read: dict[str, Any]) -> None:
        self.end_state = final_state.of_document(read["state"])
