"""A history: what each client asked of the cluster, when, and what it was told. The values, and their pairing.

Invariant: an operation is OK only if the server acknowledged it to the end, FAIL only if it certainly has no effect;
everything else is INFO, also what has no completion at all, and an INFO may take effect at any later time or never.
The recorded interval contains the true one, so "a ended before b began" is never said of two that overlapped.
Not promised: that the values make sense; each checker says what it expects in them. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from poolkeeper_lab.chaos.history.final_state import EndState

SCHEMA = 1


class Completion(StrEnum):
    """What the client knows of an operation."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Phase(StrEnum):
    """A fault begins when it is injected and ends when it is healed."""

    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True)
class Workload:
    """Which checker judges a workload, and with what options; both are declared before the run."""

    checker: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What a stored history was made for: the verdict it must get, and the anomaly that must be named ("": none)."""

    outcome: str  # of model.verdict.Outcome
    checker: str
    anomaly: str = ""


@dataclass(frozen=True)
class Header:
    """What was planned: all that a judgement needs and the operations do not say."""

    scenario: str
    seed: int
    workloads: Mapping[str, Workload]
    faults: tuple[str, ...] = ()  # names of faults that are to be injected; one that never begins leaves it unknown
    expects_end_state: bool = False
    cluster: Mapping[str, Any] = field(default_factory=dict)  # facts for people: versions, nodes, settings
    planted: Expected | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client. Times are seconds of one monotonic clock; `ended` is infinite for INFO.

    `process` is the client, `session` the number of its connection: the pair is one session of one endpoint.
    """

    number: int
    process: int
    session: int
    workload: str
    endpoint: str  # rw | ro | pool | the name of a node
    f: str
    value: Any
    began: float
    ended: float
    completion: Completion
    result: Any = None
    code: str = ""  # SQLSTATE or a word, of FAIL and INFO

    @property
    def is_ok(self) -> bool:
        """Was it acknowledged?"""
        return self.completion is Completion.OK

    @property
    def is_fail(self) -> bool:
        """Has it certainly no effect?"""
        return self.completion is Completion.FAIL

    @property
    def is_info(self) -> bool:
        """May it have taken effect, or take it later, or never?"""
        return self.completion is Completion.INFO

    def completed(self, at: float, completion: Completion, result: Any = None, code: str = "") -> Operation:
        """The same with its completion."""
        ended = math.inf if completion is Completion.INFO else at
        return replace(self, ended=ended, completion=completion, result=result, code=code)


def invoked(
    number: int, process: int, workload: str, endpoint: str, f: str, value: Any, at: float, session: int = 0
) -> Operation:
    """An operation that has no completion yet, which is INFO."""
    return Operation(number, process, session, workload, endpoint, f, value, at, math.inf, Completion.INFO)


@dataclass(frozen=True)
class NemesisEvent:
    """A fault began or ended."""

    fault: str
    target: str
    phase: Phase
    at: float
    detail: str = ""


@dataclass(frozen=True)
class History:
    """A whole run, or the part of one workload. Operations are in the order of their invocation."""

    header: Header
    operations: tuple[Operation, ...] = ()
    nemesis: tuple[NemesisEvent, ...] = ()
    end_state: EndState | None = None
    is_torn: bool = False  # the last line was cut, and is not counted
    last: float = 0.0  # time of the last line

    def of(self, workload: str) -> History:
        """Only the operations of that workload."""
        return replace(self, operations=tuple(o for o in self.operations if o.workload == workload))

    def count(self, completion: Completion) -> int:
        """How many operations ended so."""
        return sum(o.completion is completion for o in self.operations)
