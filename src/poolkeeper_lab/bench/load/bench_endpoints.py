"""The endpoints that are measured side by side: the cluster's own, and those of peers that run beside it.

A container in the cluster's network uses them at their own addresses: no published port and no proxy of the engine is
in between. A peer's endpoint comes from a provider: `PROVIDERS` names modules with
`endpoints(cluster, progress) -> context manager of a sequence of BenchEndpoint`, which start and remove the peer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from poolkeeper.core import errors
from poolkeeper.model import endpoint_keys, proxies
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint
from poolkeeper_lab.bench.load import pgbench
from poolkeeper_lab.bench.report.bench_model import BenchTable

DIRECT = "direct"
POOLED_PORT = 9999  # of Pgpool-II inside its container
POSTGRES_PORT = 5432
# Peer → the module that provides its endpoints.
PROVIDERS: dict[str, str] = {"pgbouncer": "poolkeeper_lab.bench.peers.pgbouncer"}


def chosen(names: tuple[str, ...]) -> dict[str, str]:
    """Return the providers with these names; without a name, all of them.

    Raises:
        UsageError: if a name is unknown.
    """
    if unknown := [name for name in names if name not in PROVIDERS]:
        known = ", ".join(PROVIDERS)
        raise errors.UsageError(f"no such peer on the path: {', '.join(unknown)}", hint=f"There are: {known}.")
    return {name: module for name, module in PROVIDERS.items() if not names or name in names}


@dataclass(frozen=True)
class BenchEndpoint:
    """A port. `capacity`: the most sessions at once; `pids`: a peer's own containers (name → host process id)."""

    key: str  # its name in reports: "direct", "5100", "PgBouncer, session"
    host: str
    port: int
    capacity: int
    takes_writes: bool = True
    is_peer: bool = False
    pids: Mapping[str, int] = field(default_factory=dict)
    about: BenchTable | None = None  # a peer's version and settings

    def refuses(self, load: pgbench.PgbenchLoad) -> str:
        """Return why it cannot serve a load; "" if it can. A session for each transaction may wait for its turn."""
        if load.writes and not self.takes_writes:
            return f"{self.key} takes no writes"
        if not load.is_fresh and load.clients > self.capacity:
            return f"{self.key} serves {self.capacity} sessions at once, {load.clients} kept ones are too many"
        return ""


def own(spec: ClusterSpec, primary: str) -> tuple[BenchEndpoint, ...]:
    """Return the cluster's endpoints, the primary's own port first."""
    server, haproxy = spec.postgresql, str(spec.haproxy.address)
    children = sum(endpoint.num_init_children for endpoint in spec.endpoint_by_service().values())
    free = server.max_connections - server.admin_connections - server.superuser_reserved_connections - children
    sessions, direct = spec.direct_sessions(), spec.direct_endpoints()
    found = [BenchEndpoint(DIRECT, str(spec.addresses()[primary]), POSTGRES_PORT, max(0, free))]
    for key, straight_key in zip(endpoint_keys.POOLED_BEHIND_HAPROXY, endpoint_keys.DIRECT, strict=True):
        endpoint: Endpoint = getattr(spec.endpoints, key)
        found.append(
            BenchEndpoint(str(endpoint.port), haproxy, endpoint.port, spare_of(endpoint), takes_writes=key == RW)
        )
        if straight := direct.get(straight_key):
            capacity = sessions[straight_key]
            found.append(BenchEndpoint(str(straight.port), haproxy, straight.port, capacity, takes_writes=key == RW))
    pool = spec.endpoints.balanced
    return (*found, BenchEndpoint(str(pool.port), str(pool.address), POOLED_PORT, spare_of(pool)))


def spare_of(endpoint: Endpoint) -> int:
    """Return the number of a Pgpool-II's sessions that remain for clients, without those of the checks."""
    return endpoint.num_init_children - proxies.SPARE_CHILDREN


def part_of(spec: ClusterSpec, service: str) -> str:
    """Return the part of the path to which a service's CPU time is added."""
    if service in [node.name for node in spec.nodes]:
        return "PostgreSQL, Patroni"
    if service in spec.endpoint_by_service():
        return "Pgpool-II"
    return "HAProxy" if service == spec.haproxy.service else "etcd, keeper"
