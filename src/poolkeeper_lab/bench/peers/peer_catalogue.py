"""The catalogue of peers: the folder of each in `peers/stacks/`, its settings, and the source of each setting. Pure.

Invariant: the list of a peer contains every setting that differs from its default, with its source. The report names a
fault that a peer does not support here, with the reason, and never counts it as a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.core import errors

NODES = ("node1", "node2", "node3")
KILL_NODE, KILL_POSTMASTER, SWITCHOVER = "kill_node", "kill_postmaster", "switchover"
FAULTS = {
    KILL_NODE: "docker kill of the primary's container; it is started again after the gap",
    KILL_POSTMASTER: "SIGKILL of the primary's postmaster; the container lives",
    SWITCHOVER: "a switchover, by the command that the cluster has for it",
}
DATA = "/var/lib/postgresql/data/pgdata"
PACKAGES = ("postgresql-17", "haproxy")


@dataclass(frozen=True)
class Setting:
    """One setting of a peer, and its source: a page of the documentation."""

    part: str
    what: str
    source: str


@dataclass(frozen=True)
class PeerCommand:
    """A program in a service's container, as the user postgres.

    `of` replaces {primary}, {standby} and {number} (the standby's position among the nodes, from 0).
    """

    service: str
    argv: tuple[str, ...]

    def of(self, primary: str, standby: str) -> PeerCommand:
        """Return the command with the names filled in."""
        names = {"primary": primary, "standby": standby, "number": str(NODES.index(standby))}
        return PeerCommand(self.service.format(**names), tuple(word.format(**names) for word in self.argv))


@dataclass(frozen=True)
class Settled:
    """A check beyond its nodes' states that a cluster is ready for a fault: the command prints `expected`."""

    command: PeerCommand
    expected: str


@dataclass(frozen=True)
class Peer:
    """A cluster that is measured beside ours. `key` is its name on the command line, `title` in reports."""

    key: str
    title: str
    folder: str  # below peers/stacks/
    packages: tuple[str, ...]
    settings: tuple[Setting, ...]
    variables: Mapping[str, str] = field(default_factory=dict)  # of its Compose file
    tries_all_nodes: bool = False  # it has no proxy: a client tries the nodes in turn
    switchover: PeerCommand | None = None
    settled: Settled | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)  # fault → why it is not possible here
    why_quick: str = ""  # how it differs, if it is quicker than ours


_PATRONICTL = PeerCommand(
    "{primary}",
    ("patronictl", "-c", "/run/patroni/patroni.yml", "switchover", "peer", "--leader", "{primary}", "--force"),
)
_PATRONI_PACKAGES = ("patroni", "etcd-server", *PACKAGES)
_PATRONI_BOTH = (
    Setting("etcd", "3 members, all else at its default", "etcd, Clustering Guide"),
    Setting(
        "Patroni", "asynchronous replication, use_pg_rewind, maximum_lag_on_failover 1 MB", "Patroni, postgres0.yml"
    ),
    Setting("Patroni", "basebackup checkpoint: fast, which shortens the start alone", "the bench's own"),
)

PATRONI = Peer(
    "patroni",
    "HAProxy + Patroni, stock",
    "patroni",
    _PATRONI_PACKAGES,
    (
        Setting("Patroni", "ttl 30, loop_wait 10, retry_timeout 10", "Patroni, Dynamic configuration: the defaults"),
        *_PATRONI_BOTH,
        Setting("Patroni", "members are advertised by address", "Patroni, docker/entrypoint.sh"),
        Setting("HAProxy", "inter 3s fall 3 rise 2 on-marked-down shutdown-sessions", "Patroni, haproxy.cfg"),
    ),
    {
        "PATRONI_TTL": "30",
        "PATRONI_LOOP_WAIT": "10",
        "PATRONI_RETRY_TIMEOUT": "10",
        "PATRONI_MEMBERS_BY": "address",
        "HAPROXY_CHECK": "inter 3s fall 3 rise 2",
    },
    switchover=_PATRONICTL,
)
PATRONI_FASTEST = Peer(
    "patroni-fastest",
    "HAProxy + Patroni, fastest legal",
    "patroni",
    _PATRONI_PACKAGES,
    (
        Setting(
            "Patroni",
            "ttl 20, loop_wait 1, retry_timeout 3",
            "Patroni, Dynamic configuration and config.py: the least that it does not raise; "
            "loop_wait + 2 × retry_timeout ≤ ttl",
        ),
        *_PATRONI_BOTH,
        Setting(
            "Patroni", "members are advertised by name: a dead one is known at once", "the bench's own, in its favour"
        ),
        Setting(
            "HAProxy",
            "inter 1s fall 2 rise 1 on-marked-down shutdown-sessions",
            "Patroni, haproxy.cfg; shorter in its favour",
        ),
    ),
    {
        "PATRONI_TTL": "20",
        "PATRONI_LOOP_WAIT": "1",
        "PATRONI_RETRY_TIMEOUT": "3",
        "PATRONI_MEMBERS_BY": "name",
        "HAPROXY_CHECK": "inter 1s fall 2 rise 1",
    },
    switchover=_PATRONICTL,
)
PG_AUTO_FAILOVER = Peer(
    "pg_auto_failover",
    "pg_auto_failover",
    "pg_auto_failover",
    ("pg-auto-failover-cli", "postgresql-17-auto-failover", "postgresql-17"),
    (
        Setting(
            "monitor and nodes",
            "every setting at its default; 3 nodes, number_sync_standbys 1",
            "pg_auto_failover, Tutorial",
        ),
        Setting(
            "parts among themselves",
            "--auth trust, --no-ssl, as none of the others encrypts",
            "its docker-compose.yml has trust",
        ),
        Setting(
            "client",
            "no proxy: tries the nodes in turn until one takes writes, 2 s each at most",
            "pg_auto_failover, multi-host connection string; libpq, target_session_attrs, connect_timeout",
        ),
    ),
    tries_all_nodes=True,
    switchover=PeerCommand(
        "monitor",
        ("env", "HOME=/var/lib/postgresql/data", "pg_autoctl", "perform", "switchover", "--pgdata", DATA),
    ),
    settled=Settled(
        PeerCommand(
            "monitor",
            (
                "psql",
                "-XAtqc",
                "SELECT count(*) FROM pgautofailover.node WHERE reportedstate = goalstate AND health = 1 "
                "AND reportedstate::text IN ('primary', 'secondary')",
                "pg_auto_failover",
            ),
        ),
        "3",
    ),
    why_quick="the demoted primary is stopped by its own agent, and a standby is promoted without a lease",
)
_POOL = (
    Setting(
        "Pgpool-II", "pgpool.conf.sample, streaming replication; every limit at its default", "Pgpool-II, sample file"
    ),
    Setting(
        "Pgpool-II",
        "health_check_period 5, health_check_timeout 30, health_check_max_retries 3",
        "Pgpool-II, Configuration Examples: Pgpool-II + Watchdog",
    ),
    Setting("Pgpool-II", "one, without watchdog: there is one endpoint in every cluster here", "the bench's own"),
)
_NO_SSH = "it needs a login by ssh from node to node, which no container here has"
REPMGR = Peer(
    "repmgr",
    "repmgr + Pgpool-II",
    "repmgr",
    ("repmgr-common", "postgresql-17-repmgr", "pgpool2", "postgresql-17"),
    (
        Setting(
            "repmgrd",
            "failover automatic, promote_command and follow_command; monitor_interval_secs 2, reconnect_attempts 6, "
            "reconnect_interval 10, the defaults",
            "repmgr, repmgrd configuration",
        ),
        Setting("PostgreSQL", "asynchronous replication with slots", "repmgr, Quick-start guide"),
        *_POOL,
        Setting(
            "Pgpool-II",
            "no failover_command: repmgr promotes, and the next check finds the new primary",
            "the bench's own",
        ),
    ),
    cannot={SWITCHOVER: f"repmgr standby switchover: {_NO_SSH}"},
)
PGPOOL = Peer(
    "pgpool",
    "Pgpool-II alone",
    "pgpool",
    ("pgpool2", "postgresql-17"),
    (
        *_POOL,
        Setting(
            "Pgpool-II",
            "failover_command: the sample failover.sh with pg_promote() in SQL where that runs pg_ctl by ssh",
            "Pgpool-II, failover.sh.sample",
        ),
        Setting(
            "Pgpool-II",
            "follow_primary_command: a standby is pointed at the new primary in SQL; the sample's pg_rewind needs ssh, "
            "so a former primary is left to the operator",
            "Pgpool-II, follow_primary.sh.sample",
        ),
        Setting("PostgreSQL", "asynchronous replication with slots", "Pgpool-II, Configuration Examples"),
    ),
    switchover=PeerCommand(
        "pgpool",
        (
            "env",
            "PCPPASSFILE=/run/pgpool/pcppass",
            "pcp_promote_node",
            "--switchover",
            "-w",
            "-h",
            "localhost",
            "-U",
            "pcp",
            "-n",
            "{number}",
        ),
    ),
    why_quick=(
        "it promotes on the first connection that fails (failover_on_backend_error), on the verdict of one Pgpool-II "
        "alone, and no commit waits for a standby: acknowledged writes can be lost, and a former primary continues as "
        "a second one"
    ),
)
PEERS = (PATRONI, PATRONI_FASTEST, PG_AUTO_FAILOVER, REPMGR, PGPOOL)
PGBOUNCER = (
    Setting("PgBouncer", "session and transaction mode; all else at its default but the sizes", "PgBouncer, config.md"),
    Setting(
        "PgBouncer",
        "default_pool_size as an endpoint's num_init_children, max_client_conn 3000",
        "the bench's own: as many as ours",
    ),
    Setting(
        "HAProxy",
        "in front of each mode, with the checks and timeouts of the cluster's own endpoint",
        "the bench's own",
    ),
)


def choose(keys: tuple[str, ...]) -> tuple[Peer, ...]:
    """Return the peers with these names; without a name, all of them.

    Raises:
        UsageError: if a name is unknown.
    """
    known = {peer.key: peer for peer in PEERS}
    if unknown := [key for key in keys if key not in known]:
        raise errors.UsageError(f"no such peer: {', '.join(unknown)}", hint=f"There are: {', '.join(known)}.")
    return tuple(peer for peer in PEERS if not keys or peer.key in keys)


def choose_faults(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the faults with these names; without a name, all of them.

    Raises:
        UsageError: if a name is unknown.
    """
    if unknown := [name for name in names if name not in FAULTS]:
        raise errors.UsageError(f"no such fault: {', '.join(unknown)}", hint=f"There are: {', '.join(FAULTS)}.")
    return tuple(name for name in FAULTS if not names or name in names)
