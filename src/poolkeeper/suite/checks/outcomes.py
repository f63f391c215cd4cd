"""The words of a verdict: a check, its three endings, and what a failure says in a few words.

Invariant: a verdict's evidence is that of the readings that it was judged by, each once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from poolkeeper.cluster.reading import SomeReading
from poolkeeper.model.verdict import Evidence, Outcome, Verdict


@dataclass(frozen=True)
class Check:
    """A check by its stable id, its group (a key of GROUPS) and its title."""

    id: str
    group: int
    title: str

    def passed(self, summary: str, *judged_by: SomeReading) -> Verdict:
        """It was looked at and holds."""
        return self._verdict(Outcome.PASS, summary, judged_by)

    def failed(self, summary: str, *judged_by: SomeReading) -> Verdict:
        """It was looked at and does not hold."""
        return self._verdict(Outcome.FAIL, summary, judged_by)

    def unknown(self, summary: str, *judged_by: SomeReading) -> Verdict:
        """It could not be looked at."""
        return self._verdict(Outcome.UNKNOWN, summary, judged_by)

    def _verdict(self, outcome: Outcome, summary: str, judged_by: Iterable[SomeReading]) -> Verdict:
        return Verdict(self.id, self.group, self.title, outcome, summary, _evidence(judged_by))


def _evidence(judged_by: Iterable[SomeReading]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(reading.evidence for reading in judged_by if reading is not None))


def duration(seconds: float) -> str:
    """As "4 ms" or "2.3 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
