"""The number of sessions that each endpoint should serve at once, and the connections that they need.

Invariants: the pooled connections of the three endpoints with a Pgpool-II, the sessions of the direct endpoints and the
reserved ones are within `max_connections`; with more clients no endpoint and no `max_connections` gets smaller. With a
number of clients every endpoint gets a new size, also where the file has another number; without one all sizes stay.

The module does not know which endpoint a client uses: each must hold its full part, so all of them together hold more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper.model import endpoint_keys, proxies
from poolkeeper.model.endpoint_keys import BALANCED, DIRECT_RO, DIRECT_RW, RO, RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint
from poolkeeper.model.tuning import Choice, Wish, WorkloadKind

# The part of all clients that each endpoint must be able to take at once. One endpoint takes all or half of them.
SHARES: dict[WorkloadKind, dict[str, float]] = {
    WorkloadKind.OLTP: {RW: 1, RO: 0.25, BALANCED: 0.25},
    WorkloadKind.MIXED: {RW: 0.5, RO: 0.5, BALANCED: 0.5},
    WorkloadKind.REPORTING: {RW: 0.25, RO: 1, BALANCED: 0.25},
}
# A direct endpoint takes the part of the endpoint with the same role: an application uses the one or the other.
LIKE = {DIRECT_RW: RW, DIRECT_RO: RO}
LEAST_SESSIONS = 4

POOL_DOCS = "Pgpool-II 4.6, Managing Client Connections"
DIRECT_DOCS = "docs/endpoints.md, The direct endpoints"
KEPT = "no --clients was given, so it stays"


@dataclass(frozen=True)
class Capacity:
    """The sessions that the endpoints serve at once, and their server connections."""

    children: dict[str, int]  # processes of Pgpool-II, by endpoint
    pools: dict[str, int]  # connections that each of them keeps
    direct: dict[str, int]  # sessions of each direct endpoint that has a port
    max_connections: int  # of a node
    opened: int  # on the complete machine, when every endpoint is full

    @property
    def pooled(self) -> int:
        """Connections that Pgpool-II may have to one node."""
        return sum(self.children[key] * self.pools[key] for key in endpoint_keys.POOLED)

    @property
    def sessions(self) -> int:
        """Statements that can run at once: a session runs one, on one node."""
        return sum(self.children.values()) + sum(self.direct.values())


def endpoints(spec: ClusterSpec, wish: Wish) -> Capacity:
    """Return the sizes of all endpoints. They may exceed what the spec allows: the caller checks that."""
    endpoints, parts, count = declared(spec), SHARES[wish.workload], len(spec.nodes)
    children = {key: endpoint.num_init_children for key, endpoint in endpoints.items()}
    if wish.clients is not None:
        children = {key: _children(wish.clients * parts[key]) for key in endpoint_keys.POOLED}
    pools = {key: endpoint.max_pool if wish.pairs is None else wish.pairs for key, endpoint in endpoints.items()}
    pooled = {key: children[key] * pools[key] for key in endpoint_keys.POOLED}
    direct = _wanted(spec, wish)
    limit = _max_connections(spec, sum(pooled.values()) + sum(direct.values()))
    if wish.clients is None:
        direct = _shared(spec, direct, limit - sum(pooled.values()))
    # Behind 9999 each session is connected to every node; at the other endpoints it uses one server.
    opened = pooled[RW] + pooled[RO] + count * pooled[BALANCED] + sum(direct.values())
    return Capacity(children, pools, direct, limit, opened + count * spec.postgresql.admin_connections)


def declared(spec: ClusterSpec) -> dict[str, Endpoint]:
    """Return the endpoints with a Pgpool-II, by their key."""
    return {key: getattr(spec.endpoints, key) for key in endpoint_keys.POOLED}


def _children(clients: float) -> int:
    """Return as many processes as clients, plus those that HAProxy leaves free."""
    return max(LEAST_SESSIONS, math.ceil(clients) + proxies.SPARE_CHILDREN)


def _wanted(spec: ClusterSpec, wish: Wish) -> dict[str, int]:
    """Return the sessions that each direct endpoint must have, at the least."""
    if wish.clients is None:
        now = spec.direct_sessions()
        return {
            key: endpoint.max_sessions or max(LEAST_SESSIONS, now[key])
            for key, endpoint in spec.direct_endpoints().items()
        }
    parts = SHARES[wish.workload]
    return {key: max(LEAST_SESSIONS, math.ceil(wish.clients * parts[LIKE[key]])) for key in spec.direct_endpoints()}


def _shared(spec: ClusterSpec, wanted: dict[str, int], available: int) -> dict[str, int]:
    """Add an even share of the remaining connections to each endpoint without a number of its own in the file."""
    sharing = [key for key, endpoint in spec.direct_endpoints().items() if not endpoint.max_sessions]
    left = available - _reserved(spec) - sum(n for key, n in wanted.items() if key not in sharing)
    return {**wanted, **{key: left // len(sharing) for key in sharing}}


def _reserved(spec: ClusterSpec) -> int:
    return spec.postgresql.admin_connections + spec.postgresql.superuser_reserved_connections


def _max_connections(spec: ClusterSpec, sessions: int) -> int:
    """Return the budget, rounded up to tens; a present value hardly above it stays, because a change is a restart."""
    now, needed = spec.postgresql.max_connections, sessions + _reserved(spec)
    rounded = max(20, math.ceil(needed / 10) * 10)
    return now if needed <= now <= rounded + 10 else rounded


def choices(spec: ClusterSpec, wish: Wish, sizes: Capacity) -> Iterator[Choice]:
    """Return the proposals for the keys of [endpoints]."""
    parts = SHARES[wish.workload]
    for key, endpoint in declared(spec).items():
        n, p = sizes.children[key], sizes.pools[key]
        spare = f"{proxies.SPARE_CHILDREN} that HAProxy leaves free"
        grown = f"{parts[key]:.0%} of {wish.clients} clients ({wish.workload.value}) + {spare} = {n}"
        why = f"A session holds one process of Pgpool-II to its end: {KEPT if wish.clients is None else grown}."
        yield Choice(("endpoints", key, "num_init_children"), endpoint.num_init_children, n, why, POOL_DOCS)
        reason = "no --pairs was given, so it stays" if wish.pairs is None else str(p)
        why = f"A process keeps one server connection for each pair of user and database: {reason}."
        yield Choice(("endpoints", key, "max_pool"), endpoint.max_pool, p, why, POOL_DOCS)
    for key, direct in spec.direct_endpoints().items():
        n, part = sizes.direct[key], parts[LIKE[key]]
        if wish.clients is not None:
            proposed = n
            reason = f"{part:.0%} of {wish.clients} clients, as at endpoints.{LIKE[key]}, at least {LEAST_SESSIONS}"
        else:
            proposed = direct.max_sessions
            share = f" at an even share of what max_connections leaves, {n} (at least {LEAST_SESSIONS})"
            reason = KEPT + ("" if proposed else share)
        why = f"Without a pool a session is one connection to a server: {reason}."
        yield Choice(("endpoints", key, "max_sessions"), direct.max_sessions, proposed, why, DIRECT_DOCS)


def connections_formula(spec: ClusterSpec, sizes: Capacity) -> str:
    """Return the terms of `max_connections`."""
    pooled = " + ".join(f"{sizes.children[key]}×{sizes.pools[key]}" for key in endpoint_keys.POOLED)
    direct = f" + {' + '.join(map(str, sizes.direct.values()))} direct" if sizes.direct else ""
    server = spec.postgresql
    return (
        f"{pooled}{direct} + {server.admin_connections} for administration + "
        f"{server.superuser_reserved_connections} reserved"
    )
