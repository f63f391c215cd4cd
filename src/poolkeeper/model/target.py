"""The target of the validation suite: the endpoints that clients use, with the roles for the connections.

Invariant: a target does not name the primary; the nodes report it. The text form of a target has no password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.model.dsn import Dsn


@dataclass(frozen=True)
class OwnCluster:
    """The parts of a cluster that only a `cluster.toml` declares; clients do not use these connections."""

    patroni: Mapping[str, str]  # name → address of its Patroni's REST API
    keeper: tuple[str, int]  # host and port of the keeper's API
    read_sessions: int  # that the suite may open at once at the read-only endpoint
    acknowledgements: int  # standbys that must have flushed a commit, as declared; 0: synchronous replication is off
    direct: Mapping[str, Dsn] = field(default_factory=dict)  # key of a direct endpoint with a port → as the worker


@dataclass(frozen=True)
class Target:
    """A cluster, reached by its published ports.

    The worker is a role that may create a schema in its database; the monitor is one with pg_monitor. For a cluster
    that Poolkeeper did not start, both may be the same role.
    """

    cluster: str
    nodes: Mapping[str, Dsn]  # name → directly to that node, as the worker
    monitors: Mapping[str, Dsn]  # name → directly to that node, as the monitor; the same names
    balanced: Dsn  # the balancing Pgpool-II, as the worker
    rw: Dsn  # HAProxy's read-write endpoint, as the worker
    ro: Dsn  # HAProxy's read-only endpoint, as the worker
    stats_url: str  # HAProxy's dashboard, without a query
    stats_auth: tuple[str, str] | None = field(default=None, repr=False)
    proxies: tuple[tuple[str, str], ...] = ()  # (proxy, FRONTEND or BACKEND) that must be up; empty: all
    timeout: float = 5.0  # seconds, of one answer or of one arrival
    own: OwnCluster | None = None  # None: Poolkeeper did not start this cluster

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes, in the order in which they were declared."""
        return tuple(self.nodes)

    @property
    def is_foreign(self) -> bool:
        """Whether Poolkeeper did not start it. Then application names, slots and the read-only endpoint may differ."""
        return self.own is None
