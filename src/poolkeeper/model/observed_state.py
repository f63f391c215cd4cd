"""What the keeper acts by: Patroni's word in etcd, the witness of processes, Pgpool-II's and HAProxy's views.

Invariant: what could not be asked is a `Seen` without a value; nothing here guesses. Times are seconds of the monotonic
clock of the process that looked. Not promised: that all parts were seen at the same instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model.observed import Seen
from poolkeeper.model.process_state import ProcessState

NOT_READ: Seen[Any] = Seen(error="not read yet")
NOT_ASKED: Seen[Any] = Seen(error="not asked yet")


@dataclass(frozen=True)
class Lease:
    """The leader key: who holds it, and the revision of the store that last wrote it."""

    owner: str
    revision: int


@dataclass(frozen=True)
class Member:
    """What a node's Patroni last published of itself. `lsn` is the position it has received (or written), in bytes."""

    name: str
    role: str  # primary | replica | …
    state: str  # running | streaming | starting | stopped | …
    timeline: int | None
    lsn: int | None
    replication: str = ""  # streaming | in archive recovery | "" where it says nothing

    @property
    def is_running(self) -> bool:
        """Could its PostgreSQL answer a session?"""
        return self.state in ("running", "streaming")

    @property
    def is_streaming(self) -> bool:
        """Does it run and receive WAL from its primary? What it said of its replication outlives a stop."""
        return self.role != "primary" and self.is_running and "streaming" in (self.state, self.replication)


@dataclass(frozen=True)
class Replayed:
    """The position, in bytes, up to which a standby showed what was written, by its own word at that moment."""

    at: float
    lsn: int


@dataclass(frozen=True)
class NodeRecord:
    """What a node's supervisor wrote when it started: which incarnation runs, on which boot of which machine."""

    node: str
    incarnation: str
    boot: str
    revision: int


@dataclass(frozen=True)
class StoreView:
    """Everything that etcd tells of the cluster. `leader_lsn` is the leader's last published position, in bytes."""

    revision: int
    lease: Lease | None = None
    members: Mapping[str, Member] = field(default_factory=dict)
    records: Mapping[str, NodeRecord] = field(default_factory=dict)
    leader_lsn: int | None = None
    paused: bool = False


@dataclass(frozen=True)
class PoolNode:
    """A backend as a Pgpool-II tells it by its control port."""

    index: int
    name: str
    status: str  # up | waiting | down | unused
    role: str  # primary | standby

    @property
    def is_up(self) -> bool:
        """Does Pgpool use it?"""
        return self.status in ("up", "waiting")


@dataclass(frozen=True)
class Contradiction:
    """The balanced endpoint refuses every new session: it chose its main backend without one that it has as up.

    `index` is that one; `since` the first of `refusals` refusals in a row; nobody was let in between them.
    """

    index: int
    since: float
    refusals: int = 1


@dataclass(frozen=True)
class Route:
    """A server of one of HAProxy's inner ports."""

    proxy: str
    node: str
    is_up: bool
    in_maintenance: bool  # drained or in maintenance: no new session, whatever its check says


@dataclass(frozen=True)
class ObservedState:
    """All of it, at the moment `at`.

    `opened` is the holder of the lease once it has been seen to accept writes; `silent` says since when the holder's
    Patroni has given no answer; `contradiction` is None also where nobody could ask.
    """

    at: float
    store: Seen[StoreView] = NOT_READ
    sights: Mapping[str, ProcessState] = field(default_factory=dict)
    pool: Seen[tuple[PoolNode, ...]] = NOT_ASKED
    routes: Seen[tuple[Route, ...]] = NOT_ASKED
    opened: Lease | None = None
    silent: Mapping[str, float] = field(default_factory=dict)
    replayed: Mapping[str, Replayed] = field(default_factory=dict)
    contradiction: Contradiction | None = None

    def is_dead(self, node: str) -> bool:
        """Is it proven that no process of the node's latest known incarnation remains?"""
        sight, view = self.sights.get(node), self.store.value
        record = view.records.get(node) if view else None
        return bool(sight and record and sight.state == "dead" and sight.incarnation == record.incarnation)

    @property
    def primary(self) -> str | None:
        """The holder of the lease, if it is known to accept writes under this very lease."""
        view = self.store.value
        return view.lease.owner if view and view.lease and view.lease == self.opened else None
