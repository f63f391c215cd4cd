"""The words of one judgement: a question with its threshold, and its three endings."""

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
    """A question about a subject: from where on it limits, what to change, and what to run to see more."""

    check: str
    subject: str
    threshold: str
    key: str = ""
    advice: str = ""
    query: str = ""

    def fine(self, figure: str, says: str, *seen: SomeReading) -> DoctorFinding:
        """It was looked at, and does not limit. Nothing is advised."""
        return self._judged(Outcome.PASS, figure, says, seen)

    def limits(self, figure: str, says: str, *seen: SomeReading) -> DoctorFinding:
        """It was looked at, and limits now."""
        return self._judged(Outcome.FAIL, figure, says, seen)

    def judged(self, is_limit: bool, figure: str, says: str, *seen: SomeReading) -> DoctorFinding:
        """One of the two."""
        return self.limits(figure, says, *seen) if is_limit else self.fine(figure, says, *seen)

    def unknown(self, *seen: SomeReading, why: str = "") -> DoctorFinding:
        """It could not be looked at; why, by the readings that have no value where nothing is said."""
        blind = [reason(reading) for reading in seen if reading is None or reading.value is None]
        return self._judged(Outcome.UNKNOWN, "?", why or "; ".join(dict.fromkeys(blind)) or "it was not asked", seen)

    def _judged(self, outcome: Outcome, figure: str, says: str, seen: tuple[SomeReading, ...]) -> DoctorFinding:
        evidence = tuple(dict.fromkeys(reading.evidence for reading in seen if reading is not None))
        advice = self.advice if outcome is Outcome.FAIL else ""
        return DoctorFinding(
            self.check, self.subject, outcome, figure, self.threshold, says, self.key, advice, self.query, evidence
        )


Decision = Callable[[Rule, NodeLoad, Reading[NodeLoad]], DoctorFinding]  # of one server


def value_of(reading: Reading[T] | None) -> T | None:
    """The value, if there is one."""
    return reading.value if reading else None


def amount(size: float) -> str:
    """Bytes as "412 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def share(part: float, whole: float) -> str:
    """As "12%"; "0%" of nothing."""
    return f"{part / whole:.0%}" if whole else "0%"


def lasting(seconds: float) -> str:
    """As "3.2 s", "12 min" or "5.0 h"."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
