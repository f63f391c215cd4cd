"""The finding of a checker about the history of a workload, with one of three outcomes.

Invariant: the outcome follows from the finding and cannot be set: any anomaly is a broken promise (FAIL), else anything
that could not be checked leaves it UNKNOWN, else it is PASS. Pure.
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
    """One violation of a promise. `operations` are the numbers of the operations that show it."""

    name: str
    text: str
    operations: tuple[int, ...] = ()


@dataclass(frozen=True)
class CheckerFinding:
    """The finding of one checker. `run_verdict` fills in `checker`, `workload` and `seconds`."""

    summary: str
    anomalies: tuple[Anomaly, ...] = ()
    unknowns: tuple[str, ...] = ()  # the parts that could not be checked, and why
    permitted: tuple[Anomaly, ...] = ()  # observed, and allowed by the declared level
    figures: Mapping[str, Any] = field(default_factory=dict)
    checker: str = ""
    workload: str = ""
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """The outcome: fail > unknown > pass."""
        if self.anomalies:
            return Outcome.FAIL
        return Outcome.UNKNOWN if self.unknowns else Outcome.PASS

    @property
    def counts(self) -> dict[str, int]:
        """The number of occurrences by anomaly."""
        return dict(Counter(anomaly.name for anomaly in self.anomalies))

    def names(self, anomaly: str) -> bool:
        """Return whether this anomaly was found."""
        return any(found.name == anomaly for found in self.anomalies)


def nothing(what: str) -> CheckerFinding:
    """Return the finding for a history that has nothing to check, which is unknown."""
    return CheckerFinding(what, unknowns=(what,))


def some(values: Iterable[Any]) -> str:
    """Return the first values of a list, in words."""
    shown = [str(value) for value in values]
    rest = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + rest
