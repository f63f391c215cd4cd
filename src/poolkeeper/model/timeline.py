"""The timeline of a role change: its events in the order of time, each from a line of a log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class EventKind(StrEnum):
    """The kinds of event. The first group are causes: a timeline may begin with one."""

    ASKED = "switchover asked for"
    DIED = "death observed"
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
    CLONED = "re-cloned"
    STARTED = "started"
    STREAMING = "streams"


CAUSES = frozenset(
    {EventKind.ASKED, EventKind.DIED, EventKind.DEMOTED, EventKind.STOPPED, EventKind.LOST, EventKind.RELEASED}
)


@dataclass(frozen=True)
class LogLine:
    """A line of a service's log, with the time at which the engine received it."""

    at: datetime
    service: str
    text: str


@dataclass(frozen=True)
class TimelineEvent:
    """One event: its time, the service of the log, its kind, its node ("" for none), and the text of the log."""

    at: datetime
    service: str
    kind: EventKind
    node: str
    words: str


@dataclass(frozen=True)
class Timeline:
    """The last role change: the new primary, the former one if it is known, and every event."""

    primary: str
    former: str | None
    steps: tuple[TimelineEvent, ...]

    @property
    def kind(self) -> str:
        """The kind of change: switchover if it was requested, else failover."""
        return "switchover" if any(step.kind is EventKind.ASKED for step in self.steps) else "failover"

    def offset_ms(self, step: TimelineEvent) -> int:
        """Return the milliseconds since the first event."""
        return round((step.at - self.steps[0].at).total_seconds() * 1000)
