"""What a checker found in the history of a workload: three-valued.

Invariant: the outcome follows from what was found and cannot be set: any anomaly is a broken promise (FAIL), else
anything that could not be judged leaves it UNKNOWN, else it is PASS. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model.verdict import Outcome

_SHOWN = 8  # of a long list, in a sentence


@dataclass(frozen=True)
class Anomaly:
    """One thing that must not be. `operations` are the numbers of those that show it."""

    name: str
    text: str
    operations: tuple[int, ...] = ()


@dataclass(frozen=True)
class CheckerFinding:
    """The judgement of one checker. `checker`, `workload` and `seconds` are filled in by whoever ran it."""

    summary: str
    anomalies: tuple[Anomaly, ...] = ()
    unknowns: tuple[str, ...] = ()  # what could not be judged, and why
    permitted: tuple[Anomaly, ...] = ()  # was seen, and the declared level allows it
    figures: Mapping[str, Any] = field(default_factory=dict)
    checker: str = ""
    workload: str = ""
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """fail > unknown > pass."""
        if self.anomalies:
            return Outcome.FAIL
        return Outcome.UNKNOWN if self.unknowns else Outcome.PASS

    @property
    def counts(self) -> dict[str, int]:
        """Anomaly → how often."""
        return dict(Counter(anomaly.name for anomaly in self.anomalies))

    def names(self, anomaly: str) -> bool:
        """Was this anomaly found?"""
        return any(found.name == anomaly for found in self.anomalies)


def nothing(what: str) -> CheckerFinding:
    """The finding where there was nothing to look at."""
    return CheckerFinding(what, unknowns=(what,))


def some(values: Iterable[Any]) -> str:
    """The first of a list, in words."""
    shown = [str(value) for value in values]
    rest = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + rest
