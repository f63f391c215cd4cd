"""The input and the output of `doctor`: plain facts of a running cluster, and the findings about them.

Invariant: a fact that could not be read is a `Reading` without a value, never a zero. Counters are the servers' own,
since their last reset; all other facts are momentary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.model.observed import Container, PatroniView
from poolkeeper.model.probe import Reading
from poolkeeper.model.verdict import Evidence, Outcome


@dataclass(frozen=True)
class PoolUse:
    """The processes of an endpoint's Pgpool-II and the connections that they keep.

    The session that asked is not counted.
    """

    children: int
    busy: int  # processes that serve a client
    sessions: int  # that these processes have served, each since its start
    connections: int  # kept server connections, one per pool (Pgpool-II may have it to several nodes)
    uses: int  # sessions that these connections have served
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
    slow_commits: int  # commits that have waited for a standby for more than a second
    xmin_age: int
    lock_waits: int  # for more than a second
    longest_lock_wait: float
    prepared: int
    longest_prepared: float
    prepared_age: int


@dataclass(frozen=True)
class Counters:
    """A server's counters over all its databases.

    The start of the checkpoint counters is known (`seconds` ago); that of the others is not.
    """

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
    """The load of one PostgreSQL. `settings` are those of pg_settings, in the parameter's own unit."""

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
        """Return an integer setting.

        Raises:
            KeyError: if the setting was not read.
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
    """The tables of a database without autovacuum, and those with many dead rows."""

    disabled: tuple[str, ...]
    behind: tuple[DeadRows, ...]


@dataclass(frozen=True)
class EtcdLoad:
    """One etcd member. `fsyncs` pairs an upper bound in seconds with the number of log writes within it."""

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
    """All facts of one check, by endpoint, node, database, etcd member or service."""

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
    failed_starts: Mapping[str, str] = field(default_factory=dict)  # node → why its PostgreSQL does not start

    @property
    def primary(self) -> str | None:
        """The one node that reports that it is not in recovery; None where no node or several nodes do."""
        found = [name for name, reading in self.nodes.items() if reading.value and not reading.value.in_recovery]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class DoctorFinding:
    """The result of one rule: pass (no limit), fail (limits the cluster now) or unknown (could not be checked).

    `message` is the result in words. `key` is the key to change in cluster.toml ("" where no key helps), and `query` a
    command or statement that shows more.
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
