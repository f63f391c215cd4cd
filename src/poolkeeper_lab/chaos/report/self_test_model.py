"""A live self-test as it is reported: values only.

Invariant: `outcome` of a bug is PASS only if an anomaly that was named beforehand was found, and the cluster was clean
of the bug and healthy before and after it; FAIL if it was injected and no checker found it; UNKNOWN if it was not tried
to the end.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.model.verdict import Outcome, merge


@dataclass(frozen=True)
class Bug:
    """An injected bug and its result. `seconds` is the time from its first operation until it was caught."""

    name: str
    sentence: str
    wanted: tuple[str, ...]  # "checker: anomaly"; any of them exposes it
    outcome: Outcome = Outcome.UNKNOWN
    scenario: str = ""
    caught_by: str = ""  # "checker: anomaly"
    text: str = ""  # the checker's message
    seconds: float | None = None
    rounds: int = 0
    histories: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Stored:
    """The stored half: how many histories and broken checkers, and those that were missed."""

    histories: int
    mutants: int
    missed: tuple[str, ...]
    outcome: Outcome


@dataclass(frozen=True)
class LiveTest:
    """A self-test."""

    cluster: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    seed: int
    replay: str
    stored: Stored
    bugs: tuple[Bug, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The merged one."""
        return merge([self.stored.outcome, *(bug.outcome for bug in self.bugs)])
