"""A rule of `doctor`: a question with its threshold, and the finding for each of its three answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from poolkeeper.cluster.reading import reason
from poolkeeper.model.diagnosis import DoctorFinding, NodeLoad
from poolkeeper.model.probe import Reading
from poolkeeper.model.verdict import Outcome

T = TypeVar("T")
SomeReading = Reading[Any] | None


@dataclass(frozen=True)
class Rule:
    """A question about a subject: its threshold, the key to change, the advice, and a query that shows more."""

    check: str
    subject: str
    threshold: str
    key: str = ""
    advice: str = ""
    query: str = ""

    def passes(self, figure: str, text: str, *seen: SomeReading) -> DoctorFinding:
        """Return the finding of a subject within its threshold; it has no advice."""
        return self._finding(Outcome.PASS, figure, text, seen)

    def fires(self, figure: str, text: str, *seen: SomeReading) -> DoctorFinding:
        """Return the finding of a subject that limits the cluster now."""
        return self._finding(Outcome.FAIL, figure, text, seen)

    def finding(self, is_limiting: bool, figure: str, text: str, *seen: SomeReading) -> DoctorFinding:
        """Return the finding of a subject that does or does not limit the cluster now."""
        return self.fires(figure, text, *seen) if is_limiting else self.passes(figure, text, *seen)

    def unknown(self, *seen: SomeReading, why: str = "") -> DoctorFinding:
        """Return the finding of a subject that could not be checked.

        `why` is the reason; by default the readings without a value give it.
        """
        missing = [reason(reading) for reading in seen if reading is None or reading.value is None]
        text = why or "; ".join(dict.fromkeys(missing)) or "it was not asked"
        return self._finding(Outcome.UNKNOWN, "?", text, seen)

    def _finding(self, outcome: Outcome, figure: str, text: str, seen: tuple[SomeReading, ...]) -> DoctorFinding:
        return DoctorFinding(
            check=self.check,
            subject=self.subject,
            outcome=outcome,
            figure=figure,
            threshold=self.threshold,
            message=text,
            key=self.key,
            advice=self.advice if outcome is Outcome.FAIL else "",
            query=self.query,
            evidence=tuple(dict.fromkeys(reading.evidence for reading in seen if reading is not None)),
        )


NodeCheck = Callable[[Rule, NodeLoad, Reading[NodeLoad]], DoctorFinding]  # evaluates one server


def value_of(reading: Reading[T] | None) -> T | None:
    """Return the value of a reading, if there is one."""
    return reading.value if reading else None


def amount(size: float) -> str:
    """Return bytes as "412 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def share(part: float, total: float) -> str:
    """Return a share as "12%"; "0%" where the total is 0."""
    return f"{part / total:.0%}" if total else "0%"


def lasting(seconds: float) -> str:
    """Return a duration as "3.2 s", "12 min" or "5.0 h"."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
