"""What the facts amount to: one level, the findings behind it, and one row a node."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """The exit codes of `status`. UNKNOWN is never reported as HEALTHY."""

    HEALTHY = 0
    DEGRADED = 1
    DOWN = 2
    UNKNOWN = 3


class FindingKind(StrEnum):
    """What a finding says."""

    DOWN = "down"  # nobody can write, or nothing runs
    FAULT = "fault"  # something is broken
    DRIFT = "drift"  # two witnesses disagree
    UNKNOWN = "unknown"  # a witness could not be asked


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be: about whom, and a sentence."""

    kind: FindingKind
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.subject}: {self.message}"


@dataclass(frozen=True)
class NodeRow:
    """A node by each witness, side by side; "?" where a witness did not answer, "-" where there is nothing."""

    node: str
    container: str
    postgres: str  # primary | standby | ?
    patroni: str  # as "leader, running"
    timeline: str
    lag: str  # bytes not yet replayed, as Patroni says
    slot: str  # active | inactive | - on the primary
    pgpool: str  # as "primary, up"
    haproxy: str  # primary | standby | out | both
    drift: bool


@dataclass(frozen=True)
class Assessment:
    """The judgement of a snapshot."""

    level: Level
    findings: tuple[Finding, ...]
    rows: tuple[NodeRow, ...]
    primary: str | None

    @property
    def is_healthy(self) -> bool:
        """Is everything known, and good?"""
        return self.level is Level.HEALTHY
