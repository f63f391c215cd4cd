"""The input of the keeper's decisions: Patroni's keys in etcd, the process monitor, Pgpool-II and HAProxy.

Invariant: a source without an answer is a `Seen` without a value; nothing is guessed. Times are seconds of the
monotonic clock of the observing process. Not promised: that all parts are of the same instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model.observed import Seen
from poolkeeper.model.process_state import Sight

NOT_READ: Seen[Any] = Seen(error="not read yet")
NOT_ASKED: Seen[Any] = Seen(error="not asked yet")


@dataclass(frozen=True)
class Lease:
    """The leader key: its owner, and the revision of the store that last wrote it."""

    owner: str
    revision: int


@dataclass(frozen=True)
class Member:
    """The last publication of a node's Patroni. `lsn` is the received (or written) position, in bytes."""

    name: str
    role: str  # primary | replica | …
    state: str  # running | streaming | starting | stopped | …
    timeline: int | None
    lsn: int | None
    replication: str = ""  # streaming | in archive recovery | "" if not published

    @property
    def is_running(self) -> bool:
        """Whether its PostgreSQL may answer a session."""
        return self.state in ("running", "streaming")

    @property
    def is_streaming(self) -> bool:
        """Whether it runs and receives WAL from the primary. `replication` alone outlives a stop."""
        return self.role != "primary" and self.is_running and "streaming" in (self.state, self.replication)


@dataclass(frozen=True)
class Replayed:
    """The replay position of a standby in bytes, as it reported at that time."""

    at: float
    lsn: int


@dataclass(frozen=True)
class NodeRecord:
    """The record of a node's supervisor from its start: the incarnation, and the boot of its machine."""

    node: str
    incarnation: str
    boot: str
    revision: int


@dataclass(frozen=True)
class StoreView:
    """The cluster as etcd has it. `leader_lsn` is the leader's last published position, in bytes."""

    revision: int
    lease: Lease | None = None
    members: Mapping[str, Member] = field(default_factory=dict)
    records: Mapping[str, NodeRecord] = field(default_factory=dict)
    leader_lsn: int | None = None
    paused: bool = False


@dataclass(frozen=True)
class PoolNode:
    """A backend as a Pgpool-II reports it at its control port."""

    index: int
    name: str
    status: str  # up | waiting | down | unused
    role: str  # primary | standby

    @property
    def is_up(self) -> bool:
        """Whether Pgpool-II uses it."""
        return self.status in ("up", "waiting")


@dataclass(frozen=True)
class Contradiction:
    """The balanced endpoint refuses every new session: it chose its main backend without one that it has as up.

    `index` is that backend, `since` the time of the first of `refusals` refusals in a row. No session was accepted
    between them.
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
    in_maintenance: bool  # drained or in maintenance: no new session, regardless of its check


@dataclass(frozen=True)
class ObservedState:
    """All sources, at the time `at`.

    `opened` is the lease whose holder was observed to accept writes. `silent` maps a node to the time since which its
    Patroni has not answered. `contradiction` is None also if the check was not possible.
    """

    at: float
    store: Seen[StoreView] = NOT_READ
    sights: Mapping[str, Sight] = field(default_factory=dict)
    pool: Seen[tuple[PoolNode, ...]] = NOT_ASKED
    routes: Seen[tuple[Route, ...]] = NOT_ASKED
    opened: Lease | None = None
    silent: Mapping[str, float] = field(default_factory=dict)
    replayed: Mapping[str, Replayed] = field(default_factory=dict)
    contradiction: Contradiction | None = None

    def is_dead(self, node: str) -> bool:
        """Tell whether it is proven that no process of the node's latest known incarnation remains."""
        sight, view = self.sights.get(node), self.store.value
        record = view.records.get(node) if view else None
        return bool(sight and record and sight.state == "dead" and sight.incarnation == record.incarnation)

    @property
    def primary(self) -> str | None:
        """The holder of the lease, if it is known to accept writes under this particular lease."""
        view = self.store.value
        return view.lease.owner if view and view.lease and view.lease == self.opened else None
