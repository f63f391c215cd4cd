"""The assessment of a snapshot: its level, its findings, and a row for each node."""

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
    """The kinds of finding."""

    DOWN = "down"  # no client can write, or nothing runs
    FAULT = "fault"  # something is broken
    DRIFT = "drift"  # two components disagree
    UNKNOWN = "unknown"  # a component did not answer


@dataclass(frozen=True)
class Finding:
    """A deviation from the healthy state: its subject and a sentence."""

    kind: FindingKind
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.subject}: {self.message}"


@dataclass(frozen=True)
class NodeRow:
    """A node as each component reports it; "?" for a component that did not answer, "-" for nothing to report."""

    node: str
    container: str
    postgres: str  # primary | standby | ?
    patroni: str  # as "leader, running"
    timeline: str
    lag: str  # bytes not yet replayed, as Patroni reports
    slot: str  # active | inactive | - on the primary
    pgpool: str  # as "primary, up"
    haproxy: str  # primary | standby | out | both
    drift: bool


@dataclass(frozen=True)
class Assessment:
    """The level of a snapshot, with its findings and the rows of the nodes."""

    level: Level
    findings: tuple[Finding, ...]
    rows: tuple[NodeRow, ...]
    primary: str | None

    @property
    def is_healthy(self) -> bool:
        """Whether everything is known and healthy."""
        return self.level is Level.HEALTHY
