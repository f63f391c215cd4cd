"""What `doctor` looks at, and what it says: plain facts of a running cluster, and the judgement of each.

Invariant: a fact that could not be had is a `Reading` without a value, never a zero. Counters are the servers' own,
since they were last reset; the rest is of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.model.observed import Container, PatroniView
from poolkeeper.model.probe import Reading
from poolkeeper.model.verdict import Evidence, Outcome


@dataclass(frozen=True)
class PoolUse:
    """The processes of an endpoint's Pgpool-II and what they keep. The session that asked is not counted."""

    children: int
    busy: int  # that serve a client
    sessions: int  # that these processes have served since each began
    connections: int  # kept server connections, one a pool (Pgpool-II may have it to several nodes)
    uses: int  # sessions that these connections have served
    pairs: tuple[tuple[str, str], ...] = ()  # (user, database) of the connections, each once


@dataclass(frozen=True)
class Traffic:
    """A row of HAProxy's statistics: the queue and the sessions. `limit` is None where there is none."""

    proxy: str
    name: str
    queued: int
    most_queued: int
    sessions: int
    most_sessions: int
    limit: int | None


@dataclass(frozen=True)
class StandbyLag:
    """A row of pg_stat_replication."""

    application: str
    state: str
    sync_state: str
    bytes: int | None  # not yet replayed
    seconds: float | None  # replay_lag; None while nothing is written


@dataclass(frozen=True)
class SlotUse:
    """A row of pg_replication_slots. `safe_bytes` is None without a limit, `retained_bytes` on a standby."""

    name: str
    kind: str
    active: bool
    wal_status: str  # reserved | extended | unreserved | lost | ""
    safe_bytes: int | None
    retained_bytes: int | None
    xmin_age: int
    inactive_seconds: float


@dataclass(frozen=True)
class Activity:
    """What a server's sessions do. Times are in seconds; ages in transactions."""

    clients: int
    busy: int
    longest_transaction: float
    longest_idle_transaction: float
    slow_commits: int  # that have waited for a standby for more than a second
    xmin_age: int
    lock_waits: int  # for more than a second
    longest_lock_wait: float
    prepared: int
    longest_prepared: float
    prepared_age: int


@dataclass(frozen=True)
class Counters:
    """A server's counters, of all its databases, since `seconds` ago where that is known (checkpoints: always)."""

    hits: int
    reads: int
    temp_files: int
    temp_bytes: int
    deadlocks: int
    transactions: int
    checkpoints_timed: int
    checkpoints_requested: int
    seconds: float  # since the checkpointer's counters began


@dataclass(frozen=True)
class NodeLoad:
    """One PostgreSQL. `settings` are as pg_settings has them, in the parameter's own unit."""

    in_recovery: bool
    settings: Mapping[str, str]
    pending: tuple[str, ...]  # parameters that wait for a restart
    activity: Activity
    counters: Counters
    oldest_xid: tuple[str, int]  # database and age
    oldest_multixact: tuple[str, int]
    slots: tuple[SlotUse, ...] = ()
    standbys: tuple[StandbyLag, ...] = ()

    def number(self, setting: str) -> int:
        """A setting that is a whole number. Raises KeyError for one that was not asked for."""
        return int(self.settings[setting])


@dataclass(frozen=True)
class DeadRows:
    """A table with many dead rows."""

    table: str
    dead: int
    live: int


@dataclass(frozen=True)
class Vacuuming:
    """The tables of a database that autovacuum leaves alone, and those that it does not keep up with."""

    disabled: tuple[str, ...]
    behind: tuple[DeadRows, ...]


@dataclass(frozen=True)
class EtcdLoad:
    """One etcd member. `fsyncs` maps an upper bound in seconds to how many writes of the log took no longer."""

    db_bytes: int
    quota_bytes: int
    fsyncs: tuple[tuple[float, int], ...]
    heartbeat_failures: int
    leader_changes: int


@dataclass(frozen=True)
class Volume:
    """A file system in a container, in bytes."""

    path: str
    size: int
    used: int
    free: int  # for a user that is not root


@dataclass(frozen=True)
class HostLoad:
    """The machine that all containers share."""

    cores: int
    load: float  # runnable and waiting processes, mean of a minute
    memory_mb: int
    available_mb: int


@dataclass(frozen=True)
class ClusterFacts:
    """Everything that one look collected: by endpoint, node, database, etcd member, service."""

    endpoints: Mapping[str, Reading[PoolUse]] = field(default_factory=dict)
    traffic: Reading[tuple[Traffic, ...]] | None = None
    nodes: Mapping[str, Reading[NodeLoad]] = field(default_factory=dict)
    databases: Reading[tuple[str, ...]] | None = None
    vacuuming: Mapping[str, Reading[Vacuuming]] = field(default_factory=dict)
    etcd: Mapping[str, Reading[EtcdLoad]] = field(default_factory=dict)
    volumes: Mapping[str, Reading[tuple[Volume, ...]]] = field(default_factory=dict)
    host: Reading[HostLoad] | None = None
    containers: Reading[Mapping[str, Container]] | None = None
    patroni: Mapping[str, Reading[PatroniView]] = field(default_factory=dict)

    @property
    def primary(self) -> str | None:
        """The node that says it is not in recovery; None where none or several do."""
        found = [name for name, reading in self.nodes.items() if reading.value and not reading.value.in_recovery]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class DoctorFinding:
    """One question and its answer: pass (does not limit), fail (limits now), unknown (could not be looked at).

    `key` is what to change in cluster.toml ("" where nothing there helps), `query` what to run to see more.
    """

    check: str  # stable id, as endpoints.sessions
    subject: str
    outcome: Outcome
    figure: str
    threshold: str
    message: str
    key: str = ""
    advice: str = ""
    query: str = ""
    evidence: tuple[Evidence, ...] = ()
