"""Record a history to disk while clients work; threads share one recorder.

Invariant: when `invoke` returns, the operating system has the line, so the file has every statement that is sent
afterwards, even if this process is killed. The time of an invocation is taken before its line is written, and that of a
completion after the answer arrived, so the recorded interval contains the true one. Lines are complete, in one new
file. After half a line nothing more is written.
Not promised: that the file survives a crash of the machine, which would need a flush to the disk for each line.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from poolkeeper.core import file_modes
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.history.history import Completion, Header, NemesisEvent, Phase, invoked
from poolkeeper_lab.drill import ledger

UNSURE_COMMIT = "01000"  # a COMMIT whose wait for the quorum was cancelled is "successful", with this warning


class Recorder:
    """An open history.

    Raises:
        FileExistsError: when it is created and the file exists.
        OSError: if a line cannot be written.
    """

    def __init__(
        self,
        path: Path,
        header: Header,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
        self._file = file_modes.open_file(path, flags, file_modes.SHARED_FILE)
        self._clock, self._wall = clock, wall
        self._lock = threading.Lock()
        self._next = 0
        self._open: set[int] = set()
        self._is_writable = True
        with self._lock:
            self._write(jsonl.header_document(header))

    def invoke(self, process: int, workload: str, endpoint: str, f: str, value: Any = None, *, session: int = 0) -> int:
        """Record an operation before any part of it is sent; return its number, for the completion."""
        with self._lock:
            number, self._next = self._next, self._next + 1
            operation = invoked(number, process, workload, endpoint, f, value, self._clock(), session)
            self._write(jsonl.invoke_document(operation, self._wall()))
            self._open.add(number)
            return number

    def ok(self, number: int, result: Any = None, *, warning: str = "") -> None:
        """Record an acknowledgement. `warning` is the SQLSTATE that came with it: 01000 makes it INFO, never OK."""
        if warning == UNSURE_COMMIT:
            self._complete(number, Completion.INFO, result, warning)
        else:
            self._complete(number, Completion.OK, result)

    def fail(self, number: int, code: str) -> None:
        """Record that the operation certainly has no effect."""
        self._complete(number, Completion.FAIL, None, code)

    def info(self, number: int, code: str) -> None:
        """Record that the effect of the operation is unknown."""
        self._complete(number, Completion.INFO, None, code)

    def failed(self, number: int, code: str, *, sent: bool) -> None:
        """Record FAIL or INFO by the code. `sent`: the statement that makes it permanent (COMMIT) was sent."""
        is_open = ledger.outcome_of(code, sent) is ledger.AttemptOutcome.AMBIGUOUS
        self._complete(number, Completion.INFO if is_open else Completion.FAIL, None, code)

    def nemesis(self, fault: str, target: str, phase: Phase, detail: str = "") -> None:
        """Record that a fault begins (call it before the injection) or has ended (call it after the healing)."""
        with self._lock:
            self._write(jsonl.nemesis_document(NemesisEvent(fault, target, phase, self._clock(), detail), self._wall()))

    def final_state(self, state: FinalState) -> None:
        """Record the final state of the cluster."""
        with self._lock:
            self._write(jsonl.final_state_document(state, self._clock(), self._wall()))

    def close(self) -> None:
        """Close the file; open operations stay without a completion."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file, self._is_writable = -1, False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _complete(self, number: int, completion: Completion, result: Any, code: str = "") -> None:
        with self._lock:
            if number not in self._open:
                raise ValueError(f"operation {number} was never invoked, or is completed already")
            at, wall = self._clock(), self._wall()
            self._write(jsonl.completion_document(number, completion, result, code, at, wall))
            self._open.remove(number)

    def _write(self, document: Mapping[str, Any]) -> None:
        """Write one line in one call. A line after half a line would be unreadable, so a failure ends the file."""
        if not self._is_writable:
            raise OSError("the history is closed")
        data = jsonl.line(document).encode()  # raises before anything is written
        self._is_writable = os.write(self._file, data) == len(data)
        if not self._is_writable:
            raise OSError("a line of the history was written in part")
