"""What the validation suite collected: one `Reading` a question, with its evidence.

Invariant: a reading holds a value or a failure, never both and never none. No judgement is made here; a reading that
was not taken is None, or is missing from its mapping.
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
    """unreachable: no answer in time; refused: an error came back; ambiguous: a commit without its quorum's word."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True)
class Failure:
    """Why there is no value. `code` is the SQLSTATE or HTTP status, where there was one."""

    kind: FailureKind
    code: str
    text: str

    @property
    def is_refused(self) -> bool:
        """Did the server answer, with an error?"""
        return self.kind is FailureKind.REFUSED

    @property
    def is_access(self) -> bool:
        """Was it our user, password or database that was refused? Then nothing was learnt about the server's health."""
        return self.is_refused and (self.code[:2] in ("28", "3D") or self.code in ("401", "403"))


@dataclass(frozen=True)
class Reading(Generic[T]):
    """The answer to one question, or why there is none."""

    evidence: Evidence
    value: T | None = None
    failure: Failure | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.failure is None):
            raise ValueError("a reading holds either a value or a failure")

    @property
    def answered(self) -> bool:
        """Did anybody answer, be it with an error?"""
        return self.failure is None or self.failure.kind is not FailureKind.UNREACHABLE


@dataclass(frozen=True)
class Server:
    """Which PostgreSQL answered. The start of its postmaster tells servers apart behind any number of hops."""

    started: str  # seconds since 1970 with microseconds, as text
    address: str  # its own address; "" on a local socket

    @property
    def label(self) -> str:
        """Its address, or its start where it has none."""
        return self.address or f"the server started at {self.started}"


@dataclass(frozen=True)
class NodeFacts:
    """What a node says of itself."""

    server: Server
    in_recovery: bool
    timeline: int
    version: str  # server_version, in full

    @property
    def role(self) -> str:
        """primary or standby."""
        return "standby" if self.in_recovery else "primary"


@dataclass(frozen=True)
class EndpointFacts:
    """Who answered a query through an endpoint."""

    server: Server
    in_recovery: bool


@dataclass(frozen=True)
class Sender:
    """A row of pg_stat_replication. `state` is None where our role may not see it."""

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
    """What was seen on a node of something written elsewhere. `found` is None if nothing came in time."""

    expected: str
    found: str | None
    waited: float  # seconds

    @property
    def arrived(self) -> bool:
        """Did exactly the expected thing come?"""
        return self.found == self.expected


@dataclass(frozen=True)
class WriteAttempt:
    """A write sent straight to a node. `code` is the SQLSTATE of the refusal, "" if it was accepted."""

    in_recovery: bool
    code: str
    text: str


@dataclass(frozen=True)
class ReadOnlySession:
    """A session of the read-only endpoint: who answered it, and how two writes ended.

    `first` was tried as the session came, `asked` after it had asked for a session that writes; "" if it was accepted,
    else the SQLSTATE.
    """

    server: Server
    in_recovery: bool
    first: str
    asked: str


@dataclass(frozen=True)
class ReadOnlyFacts:
    """Sessions of the read-only endpoint, all open at once, and the dashboard while they were (None: it did not answer)."""

    sessions: tuple[ReadOnlySession, ...]
    failures: tuple[Failure, ...] = ()
    counted: HaproxyView | None = None


@dataclass(frozen=True)
class Acknowledger:
    """A row of pg_stat_replication. `state` and `sync_state` are None where our role may not see them."""

    application: str
    state: str | None
    sync_state: str | None  # quorum | sync | potential | async


@dataclass(frozen=True)
class CommitFacts:
    """For whom the primary waits before it acknowledges a commit."""

    synchronous_standby_names: str
    standbys: tuple[Acknowledger, ...]


@dataclass(frozen=True)
class Balance:
    """Reads over many sessions: by Pgpool's counters before and after, and by what the servers said of themselves."""

    sessions: int
    before: tuple[PgpoolNode, ...]
    after: tuple[PgpoolNode, ...]
    served: Mapping[Server, int]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class Inserts:
    """Rows written by concurrent sessions. `intended` were tried, `acknowledged` were confirmed by the server."""

    intended: tuple[Row, ...]
    acknowledged: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class RowsSeen:
    """The rows that a node has, sorted; duplicates stay."""

    rows: tuple[Row, ...]
    waited: float  # seconds


@dataclass(frozen=True)
class PgpoolFacts:
    """What Pgpool-II says of itself."""

    version: str
    processes: int


def _none() -> Mapping[str, Reading[T]]:
    return {}


@dataclass(frozen=True)
class Readings:
    """Everything that one run collected. Mappings are by node."""

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
