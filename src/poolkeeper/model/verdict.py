"""The three-valued verdict of a check, with its evidence.

Invariant: UNKNOWN never counts as PASS, and a suite without verdicts is UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """pass: checked, and it holds; fail: checked, and it does not hold; unknown: it could not be checked."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst outcome: fail, else unknown, else pass. No outcome at all is unknown."""
    found = set(outcomes)
    for outcome in (Outcome.FAIL, Outcome.UNKNOWN, Outcome.PASS):
        if outcome in found:
            return outcome
    return Outcome.UNKNOWN


@dataclass(frozen=True)
class Evidence:
    """One command or query: where it ran, its text, its result, and its duration in seconds."""

    where: str
    ran: str
    returned: str
    seconds: float


@dataclass(frozen=True)
class Verdict:
    """The verdict of one check. `seconds` is the sum of its evidence."""

    check: str  # stable id, such as "node_status.pg_node1"
    group: int  # a key of GROUPS
    title: str
    outcome: Outcome
    summary: str
    evidence: tuple[Evidence, ...] = ()

    @property
    def seconds(self) -> float:
        """Time spent collecting this check's evidence."""
        return sum(e.seconds for e in self.evidence)


GROUPS: dict[int, str] = {
    1: "Node Status",
    2: "PgPool-II Connection",
    3: "HAProxy Connectivity",
    4: "Streaming Replication",
    5: "Write Isolation",
    6: "DDL Replication",
    7: "Load Balancing",
    8: "Version Consistency",
    9: "WAL Streaming",
    10: "Replication Slots",
    11: "Concurrent Writes",
    12: "PgPool-II Version",
    13: "HAProxy Stats",
    14: "Read-Only Endpoint",
    15: "No Drift",
    16: "Quorum Commit",
    17: "Keeper",
    18: "Direct Endpoints",
}
# The promises of a cluster that Poolkeeper started. The other groups apply to any such cluster.
OWN_GROUPS = frozenset({14, 15, 16, 17, 18})


@dataclass(frozen=True)
class Suite:
    """One run of the validation suite. `changes` are the differences from the run before; empty without one."""

    cluster: str
    started_at: str  # ISO 8601, UTC
    seconds: float  # wall time of the run
    verdicts: tuple[Verdict, ...]
    versions: dict[str, str] = field(default_factory=dict)  # component → version
    topology: tuple[tuple[str, str, str], ...] = ()  # (service, where, role)
    changes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The merged outcome of all checks."""
        return merge(v.outcome for v in self.verdicts)

    def count(self, outcome: Outcome) -> int:
        """Return how many checks have this outcome."""
        return sum(v.outcome is outcome for v in self.verdicts)

    def by_group(self) -> dict[int, tuple[Verdict, ...]]:
        """Return the verdicts of each group that ran, in order."""
        groups = sorted({v.group for v in self.verdicts})
        return {g: tuple(v for v in self.verdicts if v.group == g) for g in groups}


def compare(before: dict[str, str], after: tuple[Verdict, ...]) -> tuple[str, ...]:
    """Return the changes since the last run. `before` maps a check's id to its outcome."""
    now = {v.check: v.outcome.value for v in after}
    changed = [f"{c}: {before[c]} → {now[c]}" for c in now if c in before and before[c] != now[c]]
    added = [f"{c}: new, {now[c]}" for c in now if c not in before]
    gone = [f"{c}: no longer run, was {before[c]}" for c in before if c not in now]
    return (*changed, *added, *gone)
