"""What was seen: plain facts from each witness, and the fact that a witness did not answer.

Invariant: a `Seen` holds either a value or the reason why there is none. No judgement is made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
NODE_PARAMETER = "poolkeeper.node"  # of PostgreSQL: by it a session can ask which node serves it, at whatever endpoint


@dataclass(frozen=True)
class Seen(Generic[T]):
    """A witness's answer: `value`, or `error` when it gave none."""

    value: T | None = None
    error: str = ""

    @property
    def is_known(self) -> bool:
        """Did the witness answer?"""
        return self.value is not None


@dataclass(frozen=True)
class Container:
    """A container as the engine tells it."""

    service: str
    name: str
    identity: str  # full id
    state: str  # created | running | paused | restarting | exited | dead
    health: str  # healthy | unhealthy | starting | none
    image: str
    definition: str  # digest of the Compose service that made it
    started_at: str  # ISO 8601
    exit_code: int
    restarts: int
    oom_killed: bool = False

    @property
    def is_running(self) -> bool:
        """Is the container running and not paused?"""
        return self.state == "running"


@dataclass(frozen=True)
class PatroniMember:
    """One member as a Patroni's `/cluster` tells it. `lag_bytes` is None where Patroni does not know it."""

    name: str
    role: str  # leader | quorum_standby | sync_standby | replica | standby_leader
    state: str  # running | streaming | starting | stopped | …
    timeline: int | None
    lag_bytes: int | None
    pending_restart: bool = False

    @property
    def is_leader(self) -> bool:
        """Does Patroni say that this member holds the lease?"""
        return self.role == "leader"


@dataclass(frozen=True)
class PatroniView:
    """The cluster as one Patroni tells it."""

    members: tuple[PatroniMember, ...]
    paused: bool = False

    @property
    def leader(self) -> str | None:
        """The member that holds the lease, if any."""
        return next((m.name for m in self.members if m.is_leader), None)

    def member(self, name: str) -> PatroniMember | None:
        """The member of that name, if Patroni knows it."""
        return next((m for m in self.members if m.name == name), None)


@dataclass(frozen=True)
class WalSender:
    """A row of pg_stat_replication. Lag is bytes of WAL not yet replayed there."""

    application: str
    state: str
    sync_state: str
    lag_bytes: int | None


@dataclass(frozen=True)
class Slot:
    """A row of pg_replication_slots. `retained_bytes` is the WAL that it holds back."""

    name: str
    kind: str
    active: bool
    retained_bytes: int | None


@dataclass(frozen=True)
class Postgres:
    """What a node's PostgreSQL says of itself."""

    in_recovery: bool
    timeline: int
    version: str
    data_checksums: bool
    synchronous_standby_names: str
    senders: tuple[WalSender, ...] = ()
    slots: tuple[Slot, ...] = ()

    @property
    def role(self) -> str:
        """primary or standby."""
        return "standby" if self.in_recovery else "primary"


@dataclass(frozen=True)
class PgpoolNode:
    """A row of `SHOW pool_nodes`."""

    index: int
    hostname: str
    status: str  # up | down | waiting | unused | quarantine
    server_status: str  # up | down, as pgpool's own probe says
    role: str  # primary | standby
    server_role: str
    selects: int


@dataclass(frozen=True)
class PgpoolView:
    """The cluster as a Pgpool-II tells it."""

    version: str
    nodes: tuple[PgpoolNode, ...]

    def node(self, hostname: str) -> PgpoolNode | None:
        """The backend of that host name, if Pgpool has it."""
        return next((n for n in self.nodes if n.hostname == hostname), None)


@dataclass(frozen=True)
class Proxy:
    """A row of HAProxy's statistics: a frontend, a backend, or a server of a backend."""

    proxy: str
    name: str  # FRONTEND, BACKEND or the server's name
    status: str  # OPEN | UP | DOWN | MAINT | UP 1/2 | …
    sessions: int
    check: str = ""

    @property
    def is_up(self) -> bool:
        """OPEN, or UP without a pending change."""
        return self.status in ("OPEN", "UP") or self.status.startswith("UP ")


@dataclass(frozen=True)
class HaproxyView:
    """Everything that HAProxy tells."""

    version: str
    proxies: tuple[Proxy, ...]

    def row(self, proxy: str, name: str) -> Proxy | None:
        """The row of a proxy, if HAProxy has it."""
        return next((p for p in self.proxies if p.proxy == proxy and p.name == name), None)


@dataclass(frozen=True)
class EtcdView:
    """One etcd member."""

    version: str
    healthy: bool


@dataclass(frozen=True)
class KeeperView:
    """The keeper by its own word.

    `blind` names each source that it cannot ask, `open_matters` what it is about to mend, `last` its latest events.
    """

    healthy: bool
    primary: str | None
    blind: tuple[str, ...]
    maintenance: bool
    open_matters: tuple[str, ...]
    drift_seconds: float
    last: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class EndpointView:
    """The answer of one query through an endpoint's published port."""

    node: str  # host name of the PostgreSQL that answered
    in_recovery: bool


@dataclass(frozen=True)
class Snapshot:
    """Everything that was seen at one moment. Mappings are by service name; `endpoints` by the key of an endpoint."""

    at: str  # ISO 8601, UTC
    containers: Seen[Mapping[str, Container]] = Seen(error="not looked at")
    patroni: Mapping[str, Seen[PatroniView]] = field(default_factory=dict)
    patroni_versions: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, Seen[Postgres]] = field(default_factory=dict)
    pgpool: Seen[PgpoolView] = Seen(error="not looked at")
    haproxy: Seen[HaproxyView] = Seen(error="not looked at")
    etcd: Mapping[str, Seen[EtcdView]] = field(default_factory=dict)
    endpoints: Mapping[str, Seen[EndpointView]] = field(default_factory=dict)
    keeper: Seen[KeeperView] = Seen(error="not looked at")


def versions(seen: Snapshot) -> dict[str, str]:
    """The versions in use, as the running servers tell them: component → one version, or several with a comma."""
    found = {
        "PostgreSQL": {s.value.version for s in seen.postgres.values() if s.value},
        "Patroni": set(seen.patroni_versions.values()),
        "Pgpool-II": {seen.pgpool.value.version} if seen.pgpool.value else set(),
        "HAProxy": {seen.haproxy.value.version} if seen.haproxy.value else set(),
        "etcd": {e.value.version for e in seen.etcd.values() if e.value},
    }
    return {name: ", ".join(sorted(values)) or "unknown" for name, values in found.items()}
