"""A check and its three outcomes.

Invariant: a verdict's evidence is that of the readings that it is based on, each once.
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

    def passed(self, summary: str, *based_on: SomeReading) -> Verdict:
        """Return the verdict of a check that holds."""
        return self._verdict(Outcome.PASS, summary, based_on)

    def failed(self, summary: str, *based_on: SomeReading) -> Verdict:
        """Return the verdict of a check that does not hold."""
        return self._verdict(Outcome.FAIL, summary, based_on)

    def unknown(self, summary: str, *based_on: SomeReading) -> Verdict:
        """Return the verdict of a check that could not be made."""
        return self._verdict(Outcome.UNKNOWN, summary, based_on)

    def _verdict(self, outcome: Outcome, summary: str, based_on: Iterable[SomeReading]) -> Verdict:
        return Verdict(self.id, self.group, self.title, outcome, summary, _evidence(based_on))


def _evidence(based_on: Iterable[SomeReading]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(reading.evidence for reading in based_on if reading is not None))


def duration(seconds: float) -> str:
    """Return a time as "4 ms" or "2.3 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"
