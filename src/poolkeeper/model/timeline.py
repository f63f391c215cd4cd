"""The story of a role change: its steps in the order of time, each as a log told it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """What a step was. The first group are causes: a story may begin with one."""

    ASKED = "switchover asked for"
    DIED = "death seen"
    DEMOTED = "demoted"
    STOPPED = "stopping"
    LOST = "primary lost"

    RELEASED = "lease released"
    VOTED = "vote counted"
    LOCKED = "lease taken"
    PROMOTING = "promoting"
    PROMOTED = "promoted"
    ROUTE_DOWN = "route closed"
    ROUTE_UP = "route open"
    POOL_CHANGED = "Pgpool-II's view changed"
    DECIDED = "decided"
    DONE = "done"
    REWOUND = "rewound"
    CLONED = "cloned anew"
    STARTED = "started"
    STREAMING = "streams"


CAUSES = frozenset(
    {EventKind.ASKED, EventKind.DIED, EventKind.DEMOTED, EventKind.STOPPED, EventKind.LOST, EventKind.RELEASED}
)


@dataclass(frozen=True)
class LogLine:
    """A line of a service's log, and when the engine took it."""

    at: datetime
    service: str
    text: str


@dataclass(frozen=True)
class TimelineEvent:
    """One step: when, whose log told it, what it was, which node it is about ("" if none), and the log's own words."""

    at: datetime
    service: str
    kind: EventKind
    node: str
    words: str


@dataclass(frozen=True)
class Timeline:
    """The last role change: who took the lease, from whom if that is known, and every step."""

    primary: str
    former: str | None
    steps: tuple[TimelineEvent, ...]

    @property
    def kind(self) -> str:
        """switchover if somebody asked for it, else failover."""
        return "switchover" if any(step.kind is EventKind.ASKED for step in self.steps) else "failover"

    def offset_ms(self, step: TimelineEvent) -> int:
        """Milliseconds since the first step."""
        return round((step.at - self.steps[0].at).total_seconds() * 1000)
