"""The actions of the keeper, each with its cause; and what it declined to do, with the reason.

Invariant: every action can be repeated without harm. The one that could do harm is the release of the lease. It
carries what must still be true in the store when the keeper executes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Verb(Enum):
    """The actions. The store: RELEASE, FENCE. Pgpool-II: PROMOTE, ATTACH, DETACH, RESTART. HAProxy: the rest."""

    RELEASE = "release the lease of"
    FENCE = "fence"
    PROMOTE = "make Pgpool-II's primary"
    ATTACH = "attach to Pgpool-II"
    DETACH = "detach from Pgpool-II"
    RESTART = "restart Pgpool-II for"
    CUT = "cut the route to"
    OPEN = "open the route to"
    CLOSE_READS = "take out of the read-only endpoint"
    OPEN_READS = "put into the read-only endpoint"


@dataclass(frozen=True)
class Decision:
    """One action on one node, with its cause.

    `proxy` is the inner port of CUT and OPEN; `index` the backend of Pgpool-II; `lease_revision`, `record_revision` and
    `incarnation` are what RELEASE compares.
    """

    verb: Verb
    node: str
    cause: str
    proxy: str = ""
    index: int = -1
    lease_revision: int = 0
    record_revision: int = 0
    incarnation: str = ""

    def __str__(self) -> str:
        where = f" ({self.proxy})" if self.proxy else ""
        return f"{self.verb.value} {self.node}{where}: {self.cause}"


@dataclass(frozen=True)
class Refusal:
    """Something useful that the keeper did not do, and why. The journal notes it once, not in every iteration."""

    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


@dataclass(frozen=True)
class Memory:
    """The keeper's memory between two iterations; all times are monotonic seconds.

    `eligible_since`: since when a standby has been eligible without a break. `progress`: the leader's positions and
    when each was first observed, oldest first. Losing it (a restart) makes the keeper slower, never wrong.
    """

    eligible_since: Mapping[str, float] = field(default_factory=dict)
    last_release: float | None = None
    progress: tuple[tuple[float, int], ...] = ()
