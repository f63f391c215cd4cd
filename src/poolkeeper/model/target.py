"""What the validation suite is run against: the endpoints that users use, and as whom to knock.

Invariant: nothing here tells who is primary; the nodes say that themselves. A target's text form holds no password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.model.dsn import Dsn


@dataclass(frozen=True)
class OwnCluster:
    """What only a cluster of a `cluster.toml` has, and is reached by other ways than users take."""

    patroni: Mapping[str, str]  # name → address of its Patroni's REST API
    keeper: tuple[str, int]  # host and port of the keeper's API
    read_sessions: int  # that the read-only endpoint can well spare at once
    acknowledgements: int  # standbys that must have flushed a commit, as declared; 0: synchronous replication is off
    direct: Mapping[str, Dsn] = field(default_factory=dict)  # direct endpoint that has an endpoint → as the worker


@dataclass(frozen=True)
class Target:
    """A cluster as the suite reaches it: by its published ports.

    The worker is a role that may create a schema in its database; the monitor is one with pg_monitor. For a cluster
    that Poolkeeper did not start, both may be the same role.
    """

    cluster: str
    nodes: Mapping[str, Dsn]  # name → straight to that node, as the worker
    monitors: Mapping[str, Dsn]  # name → straight to that node, as the monitor; the same names
    balanced: Dsn  # the balancing Pgpool-II, as the worker
    rw: Dsn  # HAProxy's read-write endpoint, as the worker
    ro: Dsn  # HAProxy's read-only endpoint, as the worker
    stats_url: str  # HAProxy's dashboard, without a query
    stats_auth: tuple[str, str] | None = field(default=None, repr=False)
    proxies: tuple[tuple[str, str], ...] = ()  # (proxy, FRONTEND or BACKEND) that must be up; empty: all that there are
    timeout: float = 5.0  # seconds, of one answer or of one arrival
    own: OwnCluster | None = None  # None: somebody else set this cluster up

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes, in the order in which they were declared."""
        return tuple(self.nodes)

    @property
    def is_foreign(self) -> bool:
        """Did somebody else set this cluster up? Then application names, slots and the read-only endpoint may differ."""
        return self.own is None
