"""The declared cluster: one pydantic class for each table of `cluster.toml`.

Invariant: every `ClusterSpec` obeys all rules of single keys (types, ranges, name patterns). The rules between keys are
in `rules.py`; `source.load` applies both. Every field has a default and a description: `docs/configuration.md` is
generated from them. Not promised: that the machine can run the cluster; preflight checks that.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Literal

from pydantic import Field, Strict

from poolkeeper.model.endpoint_keys import DIRECT_RO, DIRECT_RW
from poolkeeper.model.grammar import (
    Address,
    BindAddress,
    ClusterName,
    Command,
    HostPort,
    ImageName,
    ImagePrefix,
    Milliseconds,
    RoleName,
    Seconds,
    ServiceName,
    Subnet,
)
from poolkeeper.model.spec_endpoints import DirectEndpoint, Endpoint, Endpoints, Haproxy, Pgpool
from poolkeeper.model.spec_postgresql import Etcd, Node, Patroni, Postgresql, Replication
from poolkeeper.model.spec_table import SpecTable

KEEPER_PORT = 8407  # inside keeper's container
PGPOOL_PORT = 9999  # inside a Pgpool-II's container


class Network(SpecTable):
    """The private network of the containers, and the host address of the published ports."""

    subnet: Subnet = Field(IPv4Network("10.8.0.0/24"), description="The cluster's private network.")
    bind_address: BindAddress = Field(
        IPv4Address("127.0.0.1"), description="Host address that every published port binds to; 0.0.0.0 is the world."
    )


class Keeper(SpecTable):
    """The agent that reconciles Pgpool-II and HAProxy with Patroni. Without it the cluster is correct, only slower."""

    service: ServiceName = Field("keeper", description="Service and container name.")
    address: Address = Field(IPv4Address("10.8.0.30"), description="Its address in the network.")
    port: HostPort = Field(8407, description="Host port of its API and metrics; it only reads.")
    tick_ms: Milliseconds = Field(
        1000, ge=100, le=60_000, description="Pause between two checks when no event comes, in ms."
    )
    attach_after_seconds: Seconds = Field(
        3, ge=0, description="Pgpool-II gets a standby back after it was eligible for so long, in seconds."
    )
    early_release: bool = Field(
        True, description="Release the lease of a primary that is proven dead, so that the election starts at once."
    )
    release_interval_seconds: Seconds = Field(
        10, ge=0, description="At most one early release in this many seconds; then the lease decides."
    )
    fence_command: Command = Field(
        "",
        description="Program and arguments, run in keeper's container when a primary's machine is silent; `{node}` is"
        " its name. Exit code 0 means that the machine is off. Empty: only deaths on this machine are proven.",
    )
    fence_after_seconds: Seconds = Field(
        5, ge=1, description="A primary is fenced after it was silent for so long, in seconds."
    )
    read_fallback: Literal["refuse", "primary"] = Field(
        "refuse",
        description="Without an eligible standby, the read-only endpoint refuses sessions, or reads from the primary.",
    )
    max_read_staleness_seconds: Seconds = Field(
        30, ge=5, description="A standby with a greater known lag serves no reads, in seconds."
    )


class Roles(SpecTable):
    """Roles that the first start creates, with generated passwords."""

    superuser: RoleName = Field("postgres", description="Superuser of PostgreSQL.")
    replication: RoleName = Field("replicator", description="Role of the standbys.")
    rewind: RoleName = Field("rewinder", description="Role of pg_rewind; no superuser.")
    check: RoleName = Field("poolkeeper_check", description="Role of health and replication checks; pg_monitor only.")
    app: RoleName = Field("app", description="Role for your application.")
    app_database: RoleName = Field("app", description="Its database, which it owns.")
    pcp: RoleName = Field("pcp", description="User of Pgpool's control port.")
    rest: RoleName = Field("patroni", description="User of Patroni's REST API, for calls that change something.")


class Images(SpecTable):
    """The images of the containers."""

    base: ImageName = Field("debian:trixie-slim", description="Base image; bootstrapped if no registry provides it.")
    suite: Literal["trixie"] = Field("trixie", description="Debian suite of the bootstrapped base.")
    pgpool_suite: Literal["trixie", "forky"] = Field(
        "forky", description="Debian suite of Pgpool-II: 4.6 in trixie, 4.7 in forky."
    )
    prefix: ImagePrefix = Field("poolkeeper", description="Images are named PREFIX/ROLE.")


class Timeouts(SpecTable):
    """Deadlines of Poolkeeper's own waits, in seconds."""

    up: Seconds = Field(120, ge=10, description="From the start of the containers until all health checks pass.")
    query: Seconds = Field(5, ge=1, description="One connection or query of status and the validation suite.")
    stop: Seconds = Field(30, ge=1, description="A container may take this long to stop; then the engine kills it.")


def _default_nodes() -> tuple[Node, ...]:
    return tuple(Node(name=f"pg_node{i}", address=IPv4Address(f"10.8.0.1{i}"), port=5610 + i) for i in (1, 2, 3))


class ClusterSpec(SpecTable):
    """All of `cluster.toml`."""

    name: ClusterName = Field(
        "poolkeeper",
        description="Name of the cluster. Unless it is poolkeeper, it is the prefix of each container's name.",
    )
    network: Network = Field(Network(), description="")
    nodes: Annotated[tuple[Node, ...], Strict(False)] = Field(
        default_factory=_default_nodes, description="The nodes; the first is the first primary."
    )
    etcd: Etcd = Field(Etcd(), description="")
    patroni: Patroni = Field(Patroni(), description="")
    replication: Replication = Field(Replication(), description="")
    postgresql: Postgresql = Field(Postgresql(), description="")
    pgpool: Pgpool = Field(Pgpool(), description="")
    endpoints: Endpoints = Field(Endpoints(), description="")
    haproxy: Haproxy = Field(Haproxy(), description="")
    keeper: Keeper = Field(Keeper(), description="")
    roles: Roles = Field(Roles(), description="")
    images: Images = Field(Images(), description="")
    timeouts: Timeouts = Field(Timeouts(), description="")

    @property
    def standby_count(self) -> int:
        """The number of standbys of a healthy cluster."""
        return len(self.nodes) - 1

    @property
    def project(self) -> str:
        """The Compose project and prefix of the volumes. It begins with poolkeeper, unlike those of other projects."""
        return self.name if self.name == "poolkeeper" else f"poolkeeper-{self.name}"

    def container_name(self, service: str) -> str:
        """Return the container of a service: its bare name in the default cluster, `NAME_service` in any other."""
        return service if self.name == "poolkeeper" else f"{self.name}_{service}"

    def endpoint_by_service(self) -> dict[str, Endpoint]:
        """Return the three endpoints with a Pgpool-II, by its service name."""
        return {
            endpoint.service: endpoint for endpoint in (self.endpoints.rw, self.endpoints.ro, self.endpoints.balanced)
        }

    def direct_endpoints(self) -> dict[str, DirectEndpoint]:
        """Return the direct endpoints that have a port, by their key."""
        endpoints = {DIRECT_RW: self.endpoints.direct_rw, DIRECT_RO: self.endpoints.direct_ro}
        return {key: endpoint for key, endpoint in endpoints.items() if endpoint.port}

    def direct_sessions(self) -> dict[str, int]:
        """Return how many sessions each direct endpoint serves at once; 0 if the connection budget leaves none."""
        server, endpoints = self.postgresql, self.direct_endpoints()
        taken = self.pooled_connections + server.admin_connections + server.superuser_reserved_connections
        left = server.max_connections - taken - sum(endpoint.max_sessions for endpoint in endpoints.values())
        sharing = sum(1 for endpoint in endpoints.values() if not endpoint.max_sessions)
        return {key: endpoint.max_sessions or max(0, left // sharing) for key, endpoint in endpoints.items()}

    @property
    def pooled_connections(self) -> int:
        """Server connections that the Pgpool-II of the three endpoints may have at once."""
        return sum(endpoint.num_init_children * endpoint.max_pool for endpoint in self.endpoint_by_service().values())

    def addresses(self) -> dict[str, IPv4Address]:
        """Return each service's address in the network, in the order of the Compose file."""
        members = [(m.name, m.address) for m in self.etcd.members]
        nodes = [(n.name, n.address) for n in self.nodes]
        endpoints = [(name, endpoint.address) for name, endpoint in self.endpoint_by_service().items()]
        haproxy, keeper = self.haproxy, self.keeper
        return dict(
            [*members, *nodes, *endpoints, (haproxy.service, haproxy.address), (keeper.service, keeper.address)]
        )

    def published_ports(self) -> dict[str, dict[int, int]]:
        """Return the published ports of each service: host port → container port."""
        ports: dict[str, dict[int, int]] = {node.name: {node.port: 5432} for node in self.nodes}
        ports[self.endpoints.balanced.service] = {self.endpoints.balanced.port: PGPOOL_PORT}
        direct = (endpoint.port for endpoint in self.direct_endpoints().values())
        endpoints = (self.endpoints.rw.port, self.endpoints.ro.port, *direct, self.haproxy.stats_port)
        ports[self.haproxy.service] = {port: port for port in endpoints}
        ports[self.keeper.service] = {self.keeper.port: KEEPER_PORT}
        return ports
