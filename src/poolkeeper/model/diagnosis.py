"""The facts that `doctor` collects from a running cluster, and the finding for each.

Invariant: a fact that could not be read is a `Reading` without a value, never a zero. Counters are those of the servers
since their last reset; the other facts are of the moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.model.observed import Container, PatroniView
from poolkeeper.model.probe import Reading
from poolkeeper.model.verdict import Evidence, Outcome


@dataclass(frozen=True)
class PoolUse:
    """The processes of an endpoint's Pgpool-II and their connections. The session of the query is not counted."""

    children: int
    busy: int  # with a client
    sessions: int  # that these processes served since each started
    connections: int  # kept server connections, one for each pool (Pgpool-II may have it to several nodes)
    uses: int  # sessions that these connections served
    pairs: tuple[tuple[str, str], ...] = ()  # (user, database) of the connections, each once


@dataclass(frozen=True)
class Traffic:
    """A row of HAProxy's statistics: the queue and the sessions. `limit` is None without one."""

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
    seconds: float | None  # replay_lag; None while no client writes


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
    """The activity of a server's sessions. Times are in seconds, ages in transactions."""

    clients: int
    busy: int
    longest_transaction: float
    longest_idle_transaction: float
    slow_commits: int  # that wait for a standby for more than a second
    xmin_age: int
    lock_waits: int  # for more than a second
    longest_lock_wait: float
    prepared: int
    longest_prepared: float
    prepared_age: int


@dataclass(frozen=True)
class Counters:
    """The counters of all databases of a server. Those of the checkpoints began `seconds` ago."""

    hits: int
    reads: int
    temp_files: int
    temp_bytes: int
    deadlocks: int
    transactions: int
    checkpoints_timed: int
    checkpoints_requested: int
    seconds: float  # since the reset of the checkpointer's counters


@dataclass(frozen=True)
class NodeLoad:
    """One PostgreSQL. `settings` are those of pg_settings, in the unit of each parameter."""

    in_recovery: bool
    settings: Mapping[str, str]
    pending: tuple[str, ...]  # parameters that need a restart
    activity: Activity
    counters: Counters
    oldest_xid: tuple[str, int]  # database and age
    oldest_multixact: tuple[str, int]
    slots: tuple[SlotUse, ...] = ()
    standbys: tuple[StandbyLag, ...] = ()

    def number(self, setting: str) -> int:
        """Return a setting that is an integer.

        Raises:
            KeyError: for a setting that was not read.
        """
        return int(self.settings[setting])


@dataclass(frozen=True)
class DeadRows:
    """A table with many dead rows."""

    table: str
    dead: int
    live: int


@dataclass(frozen=True)
class Vacuuming:
    """The tables of a database that autovacuum skips, and those with more dead rows than it removes in time."""

    disabled: tuple[str, ...]
    behind: tuple[DeadRows, ...]


@dataclass(frozen=True)
class EtcdLoad:
    """One etcd member. `fsyncs` maps an upper bound in seconds to the number of log writes within it."""

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
    free: int  # for a user other than root


@dataclass(frozen=True)
class HostLoad:
    """The machine that all containers share."""

    cores: int
    load: float  # runnable and waiting processes, mean of a minute
    memory_mb: int
    available_mb: int


@dataclass(frozen=True)
class ClusterFacts:
    """The facts of one collection: by endpoint, node, database, etcd member and service."""

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
        """The node that reports that it is not in recovery; None if no node or several nodes report that."""
        found = [name for name, reading in self.nodes.items() if reading.value and not reading.value.in_recovery]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class DoctorFinding:
    """The result of one check: pass (no limit), fail (a limit now) or unknown (it could not be checked).

    `key` is the key of cluster.toml to change ("" if none helps), `query` a command that shows more.
    """

    check: str  # stable id, such as endpoints.sessions
    subject: str
    outcome: Outcome
    figure: str
    threshold: str
    message: str
    key: str = ""
    advice: str = ""
    query: str = ""
    evidence: tuple[Evidence, ...] = ()
