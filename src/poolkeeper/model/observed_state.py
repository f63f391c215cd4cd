"""The state that the keeper decides by: Patroni's keys in etcd, the process monitor, Pgpool-II's and HAProxy's views.

Invariant: a source that could not be read is a `Seen` without a value; nothing here guesses. Times are seconds of the
monotonic clock of the process that observed. Not promised: that all parts were observed at the same instant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model import pool_node_states
from poolkeeper.model.observed import Seen
from poolkeeper.model.process_state import ProcessState

NOT_READ: Seen[Any] = Seen(error="not read yet")
NOT_ASKED: Seen[Any] = Seen(error="not asked yet")


@dataclass(frozen=True)
class Lease:
    """The leader key: its holder, and the revision of the store that last wrote it."""

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
    replication: str = ""  # streaming | in archive recovery | "" where Patroni publishes nothing

    @property
    def is_running(self) -> bool:
        """Whether its PostgreSQL could answer a session."""
        return self.state in ("running", "streaming")

    @property
    def is_streaming(self) -> bool:
        """Whether it runs and receives WAL from its primary.

        The published `replication` outlives a stop, so it counts only while PostgreSQL runs.
        """
        return self.role != "primary" and self.is_running and "streaming" in (self.state, self.replication)


@dataclass(frozen=True)
class Replayed:
    """The position, in bytes, up to which a standby has replayed, as it reported at the moment `at`."""

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
    """Everything that etcd holds of the cluster. `leader_lsn` is the leader's last published position, in bytes."""

    revision: int
    lease: Lease | None = None
    members: Mapping[str, Member] = field(default_factory=dict)
    records: Mapping[str, NodeRecord] = field(default_factory=dict)
    leader_lsn: int | None = None
    paused: bool = False


@dataclass(frozen=True)
class PoolNode:
    """A backend as Pgpool-II reports it on its control port."""

    index: int
    name: str
    status: str  # see pool_node_states
    role: str  # primary | standby

    @property
    def is_up(self) -> bool:
        """Whether Pgpool-II sends sessions to it."""
        return pool_node_states.is_in_use(self.status)


@dataclass(frozen=True)
class Contradiction:
    """The balanced endpoint refuses every new session: it chose its main backend without one that it has as up.

    `index` is that backend; `since` is the time of the first of `refusals` refusals in a row. No session was accepted
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
    in_maintenance: bool  # drained or in maintenance: no new session, whatever its health check reports


@dataclass(frozen=True)
class ObservedState:
    """Everything that the keeper has observed, at the moment `at`.

    `opened` is the lease whose holder accepted writes under it. `silent` holds, by node, since when the lease holder's
    Patroni has not answered. `contradiction` is also None while the balanced endpoint cannot be checked.
    """

    at: float
    store: Seen[StoreView] = NOT_READ
    processes: Mapping[str, ProcessState] = field(default_factory=dict)
    pool: Seen[tuple[PoolNode, ...]] = NOT_ASKED
    routes: Seen[tuple[Route, ...]] = NOT_ASKED
    opened: Lease | None = None
    silent: Mapping[str, float] = field(default_factory=dict)
    replayed: Mapping[str, Replayed] = field(default_factory=dict)
    contradiction: Contradiction | None = None

    def is_dead(self, node: str) -> bool:
        """Return whether it is proven that no process of the node's latest known incarnation remains."""
        process, view = self.processes.get(node), self.store.value
        record = view.records.get(node) if view else None
        return bool(process and record and process.state == "dead" and process.incarnation == record.incarnation)

    @property
    def lease(self) -> Lease | None:
        """The leader key as the store holds it; None if it is absent or the store is unknown."""
        return self.store.value.lease if self.store.value else None

    @property
    def primary(self) -> str | None:
        """The holder of the lease, if it is known to accept writes under this very lease."""
        return self.lease.owner if self.lease and self.lease == self.opened else None
