"""A history: the operations of each client, their times and their results. The values, and their pairing.

Invariant: an operation is OK only if the server acknowledged it completely, FAIL only if it certainly has no effect;
everything else is INFO, also an operation without a completion. An INFO may take effect at any later time or never.
The recorded interval contains the true one, so "a ended before b began" never holds for two that overlapped.
Not promised: that the values are meaningful; each checker documents the values that it expects. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import ConfigDict

from poolkeeper_lab.chaos.history.final_state import FinalState

SCHEMA = 1


class Completion(StrEnum):
    """The effect of an operation, as far as the client can tell."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Phase(StrEnum):
    """The phase of a fault: it begins when it is injected and ends when it is healed."""

    BEGIN = "begin"
    END = "end"


@dataclass(frozen=True)
class Workload:
    """The checker of a workload and its options; both are declared before the run."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    checker: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """The verdict that a stored history must get, and the anomaly that the checker must name ("": none)."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    outcome: str  # of model.verdict.Outcome
    checker: str
    anomaly: str = ""


@dataclass(frozen=True)
class Header:
    """The plan of a run: everything that a verdict needs beside the operations."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    scenario: str
    seed: int
    workloads: Mapping[str, Workload]
    faults: tuple[str, ...] = ()  # names of the faults to inject; if one never begins, the verdict is unknown
    expects_final_state: bool = False
    cluster: Mapping[str, Any] = field(default_factory=dict)  # facts for the reader: versions, nodes, settings
    expected: Expected | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one client. Times are seconds of one monotonic clock; `ended` is infinite for INFO.

    `process` is the client, `session` the number of its connection: the pair is one session of one endpoint.
    """

    number: int
    process: int
    session: int
    workload: str
    endpoint: str  # rw | ro | balanced | the name of a node
    f: str
    value: Any
    began: float
    ended: float
    completion: Completion
    result: Any = None
    code: str = ""  # SQLSTATE or a word, of FAIL and INFO

    @property
    def is_ok(self) -> bool:
        """Whether it was acknowledged."""
        return self.completion is Completion.OK

    @property
    def is_fail(self) -> bool:
        """Whether it certainly has no effect."""
        return self.completion is Completion.FAIL

    @property
    def is_info(self) -> bool:
        """Whether it may have taken effect, or take effect later, or never."""
        return self.completion is Completion.INFO

    def completed(self, at: float, completion: Completion, result: Any = None, code: str = "") -> Operation:
        """Return the operation with its completion."""
        ended = math.inf if completion is Completion.INFO else at
        return replace(self, ended=ended, completion=completion, result=result, code=code)


def invoked(
    number: int, process: int, workload: str, endpoint: str, f: str, value: Any, at: float, session: int = 0
) -> Operation:
    """Return an operation that has no completion yet, which is INFO."""
    return Operation(number, process, session, workload, endpoint, f, value, at, math.inf, Completion.INFO)


@dataclass(frozen=True)
class NemesisEvent:
    """The begin or the end of a fault."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    fault: str
    target: str
    phase: Phase
    at: float
    detail: str = ""


@dataclass(frozen=True)
class History:
    """A complete run, or the part of one workload. Operations are in the order of their invocation."""

    header: Header
    operations: tuple[Operation, ...] = ()
    nemesis: tuple[NemesisEvent, ...] = ()
    final_state: FinalState | None = None
    is_torn: bool = False  # the last line was cut, and is not counted
    last: float = 0.0  # time of the last line

    def of(self, workload: str) -> History:
        """Return the history with only the operations of that workload."""
        return replace(self, operations=tuple(o for o in self.operations if o.workload == workload))

    def count(self, completion: Completion) -> int:
        """Return the number of operations with this completion."""
        return sum(o.completion is completion for o in self.operations)
