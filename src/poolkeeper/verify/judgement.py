"""The words of a verdict: a check, its three endings, and what a failure says in a few words.

Invariant: a verdict's evidence is that of the readings that it was judged by, each once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from poolkeeper.model.probe import Failure, Reading
from poolkeeper.model.verdict import Evidence, Outcome, Verdict

SomeReading = Reading[Any] | None

_LONGEST = 160  # characters of a server's message in a summary; the whole of it is in the evidence
# What psycopg and libpq put around a message when a session fails to open.
_WRAPPING = re.compile(r"^\S+@\S+: |connection failed: |connection to server at .*? failed: | Is the server running.*$")


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


def reason(reading: SomeReading) -> str:
    """Why there is no value, in a few words."""
    if reading is None:
        return "it was not tried"
    return brief(reading.failure) if reading.failure else ""


def brief(failure: Failure) -> str:
    """A failure in a few words, with its code."""
    text = _WRAPPING.sub("", failure.text).strip()
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"{short} ({failure.code})" if failure.code not in ("", "08004") else short


def duration(seconds: float) -> str:
    """As "4 ms" or "2.3 s"."""
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def listed(names: Iterable[str]) -> str:
    """As "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
