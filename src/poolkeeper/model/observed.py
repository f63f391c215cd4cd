"""The observed state of a cluster: plain facts from each component, or the fact that it did not answer.

Invariant: a `Seen` holds either a value or the reason for its absence. This module makes no assessment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")
NODE_PARAMETER = "poolkeeper.node"  # of PostgreSQL: with it a session at any endpoint can ask which node serves it


@dataclass(frozen=True)
class Seen(Generic[T]):
    """A component's answer: `value`, or `error` without one."""

    value: T | None = None
    error: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the component answered."""
        return self.value is not None


@dataclass(frozen=True)
class Container:
    """A container as the engine reports it."""

    service: str
    name: str
    identity: str  # full id
    state: str  # created | running | paused | restarting | exited | dead
    health: str  # healthy | unhealthy | starting | none
    image: str
    definition: str  # digest of the Compose service that created it
    started_at: str  # ISO 8601
    exit_code: int
    restarts: int
    oom_killed: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the container runs and is not paused."""
        return self.state == "running"


@dataclass(frozen=True)
class PatroniMember:
    """One member as a Patroni's `/cluster` reports it. `lag_bytes` is None if Patroni does not know it."""

    name: str
    role: str  # leader | quorum_standby | sync_standby | replica | standby_leader
    state: str  # running | streaming | starting | stopped | …
    timeline: int | None
    lag_bytes: int | None
    pending_restart: bool = False

    @property
    def is_leader(self) -> bool:
        """Whether Patroni reports that this member holds the lease."""
        return self.role == "leader"


@dataclass(frozen=True)
class PatroniView:
    """The cluster as one Patroni reports it."""

    members: tuple[PatroniMember, ...]
    paused: bool = False

    @property
    def leader(self) -> str | None:
        """The member that holds the lease, if any."""
        return next((m.name for m in self.members if m.is_leader), None)

    def member(self, name: str) -> PatroniMember | None:
        """Return the member of that name, None if Patroni does not know it."""
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
    """A row of pg_replication_slots. `retained_bytes` is the WAL that it retains."""

    name: str
    kind: str
    active: bool
    retained_bytes: int | None


@dataclass(frozen=True)
class Postgres:
    """A node's PostgreSQL as it reports itself."""

    in_recovery: bool
    timeline: int
    version: str
    data_checksums: bool
    synchronous_standby_names: str
    senders: tuple[WalSender, ...] = ()
    slots: tuple[Slot, ...] = ()

    @property
    def role(self) -> str:
        """The role: primary or standby."""
        return "standby" if self.in_recovery else "primary"


@dataclass(frozen=True)
class PgpoolNode:
    """A row of `SHOW pool_nodes`."""

    index: int
    hostname: str
    status: str  # up | down | waiting | unused | quarantine
    server_status: str  # up | down, by the probe of Pgpool-II
    role: str  # primary | standby
    server_role: str
    selects: int


@dataclass(frozen=True)
class PgpoolView:
    """The cluster as a Pgpool-II reports it."""

    version: str
    nodes: tuple[PgpoolNode, ...]

    def node(self, hostname: str) -> PgpoolNode | None:
        """Return the backend of that host name, None if Pgpool-II has none."""
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
        """Whether the status is OPEN, or UP without a pending change."""
        return self.status in ("OPEN", "UP") or self.status.startswith("UP ")


@dataclass(frozen=True)
class HaproxyView:
    """The version and the statistics of HAProxy."""

    version: str
    proxies: tuple[Proxy, ...]

    def row(self, proxy: str, name: str) -> Proxy | None:
        """Return the row of a proxy, None if HAProxy has none."""
        return next((p for p in self.proxies if p.proxy == proxy and p.name == name), None)


@dataclass(frozen=True)
class EtcdView:
    """One etcd member."""

    version: str
    healthy: bool


@dataclass(frozen=True)
class KeeperView:
    """The keeper as it reports itself.

    `blind` names each source that does not answer, `open_matters` the pending repairs, `last` the latest events.
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
    """The answer to a query through an endpoint's published port."""

    node: str  # host name of the PostgreSQL that answered
    in_recovery: bool


@dataclass(frozen=True)
class Snapshot:
    """All observations of one moment. Mappings are by service name, `endpoints` by the key of an endpoint."""

    at: str  # ISO 8601, UTC
    containers: Seen[Mapping[str, Container]] = Seen(error="not checked")
    patroni: Mapping[str, Seen[PatroniView]] = field(default_factory=dict)
    patroni_versions: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, Seen[Postgres]] = field(default_factory=dict)
    pgpool: Seen[PgpoolView] = Seen(error="not checked")
    haproxy: Seen[HaproxyView] = Seen(error="not checked")
    etcd: Mapping[str, Seen[EtcdView]] = field(default_factory=dict)
    endpoints: Mapping[str, Seen[EndpointView]] = field(default_factory=dict)
    keeper: Seen[KeeperView] = Seen(error="not checked")
    failed_starts: Mapping[str, str] = field(default_factory=dict)  # node → why its PostgreSQL does not start


def versions(seen: Snapshot) -> dict[str, str]:
    """Return the versions that the servers report: component → one version, or several separated by commas."""
    found = {
        "PostgreSQL": {s.value.version for s in seen.postgres.values() if s.value},
        "Patroni": set(seen.patroni_versions.values()),
        "Pgpool-II": {seen.pgpool.value.version} if seen.pgpool.value else set(),
        "HAProxy": {seen.haproxy.value.version} if seen.haproxy.value else set(),
        "etcd": {e.value.version for e in seen.etcd.values() if e.value},
    }
    return {name: ", ".join(sorted(values)) or "unknown" for name, values in found.items()}
