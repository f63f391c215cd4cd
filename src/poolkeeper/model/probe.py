"""The readings of the validation suite: a `Reading` for each question, with its evidence.

Invariant: a reading holds either a value or a failure. This module makes no verdict. A reading that was not taken is
None, or is missing from its mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from poolkeeper.model.observed import HaproxyView, KeeperView, PatroniView, PgpoolNode
from poolkeeper.model.verdict import Evidence

T = TypeVar("T")
Row = tuple[int, int]  # (session, number) of a row of the concurrent writes


class FailureKind(StrEnum):
    """unreachable: no answer in time; refused: an error as answer; ambiguous: a commit that no quorum acknowledged."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True)
class Failure:
    """The reason for a missing value. `code` is the SQLSTATE or HTTP status, "" without one."""

    kind: FailureKind
    code: str
    text: str

    @property
    def is_refused(self) -> bool:
        """Whether the server answered with an error."""
        return self.kind is FailureKind.REFUSED

    @property
    def is_access(self) -> bool:
        """Whether the server refused the user, password or database. That shows nothing about its health."""
        return self.is_refused and (self.code[:2] in ("28", "3D") or self.code in ("401", "403"))


@dataclass(frozen=True)
class Reading(Generic[T]):
    """The answer to one question, or the reason for its absence."""

    evidence: Evidence
    value: T | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.failure is None):
            raise ValueError("a reading holds either a value or a failure")

    @property
    def answered(self) -> bool:
        """Whether a server answered, also with an error."""
        return self.failure is None or self.failure.kind is not FailureKind.UNREACHABLE


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that answered. The start time of its postmaster identifies it behind any number of proxies."""

    started: str  # seconds since 1970 with microseconds, as text
    address: str  # its own address; "" on a local socket

    @property
    def label(self) -> str:
        """Its address, or its start time without one."""
        return self.address or f"the server started at {self.started}"


@dataclass(frozen=True)
class NodeFacts:
    """A node as it reports itself."""

    server: Server
    in_recovery: bool
    timeline: int
    version: str  # server_version, in full

    @property
    def role(self) -> str:
        """The role: primary or standby."""
        return "standby" if self.in_recovery else "primary"


@dataclass(frozen=True)
class EndpointFacts:
    """The server that answered a query through an endpoint."""

    server: Server
    in_recovery: bool


@dataclass(frozen=True)
class Sender:
    """A row of pg_stat_replication. `state` is None if the role may not read it."""

    application: str
    state: str | None


@dataclass(frozen=True)
class SlotFacts:
    """A row of pg_replication_slots."""

    name: str
    kind: str
    active: bool


@dataclass(frozen=True)
class Arrival:
    """The observation on a node of a write on another one. `found` is None if nothing arrived in time."""

    expected: str
    found: str | None
    waited: float  # seconds

    @property
    def arrived(self) -> bool:
        """Whether exactly the expected value arrived."""
        return self.found == self.expected


@dataclass(frozen=True)
class WriteAttempt:
    """A write sent directly to a node. `code` is the SQLSTATE of the refusal, "" if it was accepted."""

    in_recovery: bool
    code: str
    text: str


@dataclass(frozen=True)
class ReadOnlySession:
    """A session of the read-only endpoint: its server, and the results of two writes.

    `first` is the write of the new session, `asked` the one after the session requested to be read-write. A result is
    "" for an accepted write, else the SQLSTATE.
    """

    server: Server
    in_recovery: bool
    first: str
    asked: str


@dataclass(frozen=True)
class ReadOnlyFacts:
    """Simultaneous sessions of the read-only endpoint, with HAProxy's statistics meanwhile (None: no answer)."""

    sessions: tuple[ReadOnlySession, ...]
    failures: tuple[Failure, ...] = ()
    counted: HaproxyView | None = None


@dataclass(frozen=True)
class Acknowledger:
    """A row of pg_stat_replication. `state` and `sync_state` are None if the role may not read them."""

    application: str
    state: str | None
    sync_state: str | None  # quorum | sync | potential | async


@dataclass(frozen=True)
class CommitFacts:
    """The standbys that the primary waits for before it acknowledges a commit."""

    synchronous_standby_names: str
    standbys: tuple[Acknowledger, ...]


@dataclass(frozen=True)
class Balance:
    """Reads over many sessions: Pgpool-II's counters before and after, and the servers as they report themselves."""

    sessions: int
    before: tuple[PgpoolNode, ...]
    after: tuple[PgpoolNode, ...]
    served: Mapping[Server, int]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Inserts:
    """Rows of concurrent sessions. `intended` were sent, `acknowledged` were confirmed by the server."""

    intended: tuple[Row, ...]
    acknowledged: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class RowsSeen:
    """The rows of a node, sorted, with duplicates."""

    rows: tuple[Row, ...]
    waited: float  # seconds


@dataclass(frozen=True)
class PgpoolFacts:
    """Pgpool-II as it reports itself."""

    version: str
    processes: int


def _none() -> Mapping[str, Reading[T]]:
    return {}


@dataclass(frozen=True)
class Readings:
    """All readings of one run. Mappings are by node."""

    nodes: Mapping[str, Reading[NodeFacts]] = field(default_factory=_none)
    senders: Mapping[str, Reading[tuple[Sender, ...]]] = field(default_factory=_none)  # of nodes not in recovery
    slots: Mapping[str, Reading[tuple[SlotFacts, ...]]] = field(default_factory=_none)  # of nodes not in recovery
    balanced: Reading[EndpointFacts] | None = None
    rw: Reading[EndpointFacts] | None = None
    ro: Reading[EndpointFacts] | None = None
    backends: Reading[tuple[PgpoolNode, ...]] | None = None
    pgpool: Reading[PgpoolFacts] | None = None
    stats: Reading[HaproxyView] | None = None
    balance: Reading[Balance] | None = None
    workspace: Reading[str] | None = None  # the schema's name
    inserted: Reading[str] | None = None  # the value written through Pgpool-II
    arrivals: Mapping[str, Reading[Arrival]] = field(default_factory=_none)
    altered: Reading[str] | None = None  # the type of the column added through Pgpool-II
    columns: Mapping[str, Reading[Arrival]] = field(default_factory=_none)
    attempts: Mapping[str, Reading[WriteAttempt]] = field(default_factory=_none)
    inserts: Reading[Inserts] | None = None
    rows: Mapping[str, Reading[RowsSeen]] = field(default_factory=_none)
    read_only: Reading[ReadOnlyFacts] | None = None
    patroni: Mapping[str, Reading[PatroniView]] = field(default_factory=_none)
    commit: Mapping[str, Reading[CommitFacts]] = field(default_factory=_none)  # of nodes not in recovery
    session_commit: Reading[str] | None = None  # synchronous_commit of a session through the read-write endpoint
    keeper: Reading[KeeperView] | None = None
    direct_rw: Reading[EndpointFacts] | None = None
    direct_ro: Reading[ReadOnlyFacts] | None = None
