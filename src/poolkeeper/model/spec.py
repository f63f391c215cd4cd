"""The declared cluster: one pydantic class a table of `cluster.toml`.

Invariant: a `ClusterSpec` that exists obeys every rule of a single key (types, ranges, name patterns); the rules that
tie keys together are in `rules.py`, and `source.load` applies both. Every field has a default and a description:
`docs/configuration.md` is generated from them. Not promised: that the machine can run it; that is preflight's matter.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from poolkeeper.model.grammar import (
    Address,
    BindAddress,
    ByteCount,
    ClusterName,
    Command,
    HostPort,
    ImageName,
    ImagePrefix,
    Milliseconds,
    OptionalPort,
    PgpoolParameter,
    PostgresqlParameter,
    RoleName,
    Seconds,
    ServiceName,
    Setting,
    Subnet,
)

KEEPER_PORT = 8407  # inside keeper's container
PGPOOL_PORT = 9999  # inside a Pgpool-II's container


class SpecTable(BaseModel):
    """A table of the file: frozen; a key that it does not know, or a value of another type, is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Network(SpecTable):
    """The private network of the containers, and the host address that published ports bind to."""

    subnet: Subnet = Field(IPv4Network("10.8.0.0/24"), description="The cluster's private network.")
    bind_address: BindAddress = Field(
        IPv4Address("127.0.0.1"), description="Host address that every published port binds to; 0.0.0.0 is the world."
    )


class Node(SpecTable):
    """One PostgreSQL node."""

    name: ServiceName = Field(description="Service, container, Patroni member and slot name.")
    address: Address = Field(description="Its address in the network.")
    port: HostPort = Field(description="Host port that leads straight to this node's PostgreSQL.")


class EtcdMember(SpecTable):
    """One etcd member."""

    name: ServiceName = Field(description="Service, container and etcd member name.")
    address: Address = Field(description="Its address in the network.")


class Etcd(SpecTable):
    """Patroni's store."""

    members: Annotated[tuple[EtcdMember, ...], Strict(False)] = Field(
        tuple(EtcdMember(name=f"etcd{i}", address=IPv4Address(f"10.8.0.3{i}")) for i in (1, 2, 3)),
        description="The members; an odd number, so that a split always leaves at most one majority.",
    )
    heartbeat_ms: int = Field(100, ge=10, le=5000, description="Raft heartbeat, in milliseconds.")
    election_ms: int = Field(1000, ge=50, le=50000, description="Raft election timeout, ms; at least 5 heartbeats.")


class Patroni(SpecTable):
    """The lease and the election. Patroni clamps ttl below 20, loop_wait below 1 and retry_timeout below 3."""

    ttl: int = Field(20, ge=20, le=3600, description="Life of the leader lease, in seconds.")
    loop_wait: int = Field(2, ge=1, le=60, description="Pause between two rounds of Patroni, in seconds.")
    retry_timeout: int = Field(
        8, ge=3, le=600, description="How long etcd or PostgreSQL may fail before the leader steps down, in seconds."
    )
    maximum_lag_on_failover: ByteCount = Field(
        1_048_576, description="A standby further behind than this may not become primary, in bytes."
    )


class Replication(SpecTable):
    """Who must have a commit before it is acknowledged, and how far a reader may be behind."""

    synchronous_mode: Literal["quorum", "on", "off"] = Field(
        "quorum", description="quorum: any standbys acknowledge; on: standbys named in advance do; off: none does."
    )
    synchronous_mode_strict: bool = Field(
        True, description="Without enough standbys, writes wait (true) or the primary acknowledges alone (false)."
    )
    quorum_acknowledgements: int = Field(
        1, ge=1, le=16, description="How many standbys must have flushed a commit; without meaning in mode off."
    )
    max_read_lag_bytes: ByteCount = Field(
        16_777_216, description="The read-only endpoint leaves out a standby further behind than this, in bytes."
    )


class Postgresql(SpecTable):
    """The server, the same on every node. Parameters that Patroni or Poolkeeper owns have keys of their own."""

    version: Literal[17] = Field(17, description="Major version.")
    max_connections: int = Field(500, ge=20, le=10000, description="Must hold the connection budget of all endpoints.")
    superuser_reserved_connections: int = Field(3, ge=0, le=100, description="Slots kept for a superuser.")
    admin_connections: int = Field(
        20, ge=5, le=1000, description="Connections kept out of the endpoints' budget: Patroni, checks, people on 561x."
    )
    max_wal_senders: int = Field(10, ge=2, le=100, description="Standbys, base backups and pg_rewind together.")
    max_replication_slots: int = Field(10, ge=2, le=100, description="One a standby, and your own.")
    shared_memory_mb: int = Field(
        256, ge=64, le=1_048_576, description="/dev/shm of the container, for parallel query, in MiB."
    )
    parameters: dict[PostgresqlParameter, Setting] = Field(
        {
            "shared_buffers": "128MB",
            "checkpoint_timeout": "5min",
            "max_wal_size": "1GB",
            "wal_keep_size": "128MB",
            "max_slot_wal_keep_size": "4GB",
            "wal_retrieve_retry_interval": "200ms",
            "wal_sender_timeout": "10s",
            "log_min_duration_statement": "1s",
        },
        description="Any other parameter of postgresql.conf; the table as a whole replaces the default.",
    )


class Pgpool(SpecTable):
    """What the Pgpool-II instances of all endpoints share."""

    connection_cache: bool = Field(True, description="Keep server connections for the next session.")
    child_life_time: Seconds = Field(300, ge=0, description="An idle child ends after this many seconds; 0 is never.")
    health_check_period: Seconds = Field(10, ge=0, description="Seconds between health checks of a node; 0 is off.")
    health_check_timeout: Seconds = Field(1, ge=1, description="A health check fails after this many seconds.")
    health_check_max_retries: int = Field(
        12, ge=0, le=1000, description="Retries, a second apart, before a node is marked down."
    )
    sr_check_period: Seconds = Field(5, ge=0, description="Seconds between replication checks; 0 is off.")
    delay_threshold_bytes: ByteCount = Field(
        1_048_576, description="The balanced endpoint sends no reads to a standby further behind than this, in bytes."
    )
    connect_timeout_ms: Milliseconds = Field(2000, ge=100, description="Limit of one connection attempt, in ms.")
    search_primary_node_timeout: Seconds = Field(
        22, ge=1, description="How long Pgpool looks for a primary after it lost one, in seconds; above patroni.ttl."
    )
    pcp_port: HostPort = Field(9898, description="Pgpool's control port, inside the network only.")
    batch: bool = Field(
        True, description="Pgpool-II does not interrupt who wakes it (SCHED_BATCH), so it finds more to do at once."
    )
    one_server_mode: Literal["streaming_replication", "logical_replication"] = Field(
        "streaming_replication",
        description="Mode of the two endpoints that have one server; logical_replication leaves out a flush a statement.",
    )
    parameters: dict[PgpoolParameter, Setting] = Field({}, description="Any other parameter of pgpool.conf.")


class Endpoint(SpecTable):
    """An endpoint, the Pgpool-II instance behind it, and the size of its pool."""

    service: ServiceName = Field(description="Service and container name of the endpoint's Pgpool-II.")
    address: Address = Field(description="Its address in the network.")
    port: HostPort = Field(description="The endpoint's host port.")
    num_init_children: int = Field(32, ge=4, le=2000, description="Sessions that the endpoint serves at once.")
    max_pool: int = Field(4, ge=1, le=100, description="Cached server connections a child (one a user and database).")


class DirectEndpoint(SpecTable):
    """An endpoint that leads straight to PostgreSQL, without Pgpool-II and without a pool."""

    port: OptionalPort = Field(description="The endpoint's host port; 0: there is no such endpoint.")
    max_sessions: int = Field(
        0,
        ge=0,
        le=10000,
        description="Sessions at once, the next client waits; 0: an even share of what the connection budget leaves.",
    )


class Endpoints(SpecTable):
    """The endpoints; each is a promise (docs/endpoints.md). Three have a Pgpool-II, two lead straight to PostgreSQL."""

    rw: Endpoint = Field(
        Endpoint(service="pgpool_rw", address=IPv4Address("10.8.0.21"), port=5100),
        description="Read-write: everything on the primary, exactly PostgreSQL's semantics.",
    )
    ro: Endpoint = Field(
        Endpoint(service="pgpool_ro", address=IPv4Address("10.8.0.22"), port=5101),
        description="Read-only: standbys only, writes refused by the server.",
    )
    balanced: Endpoint = Field(
        Endpoint(service="pgpool", address=IPv4Address("10.8.0.20"), port=9999),
        description="Balanced: reads spread over all nodes; a session reads writes that Pgpool sees (docs/endpoints.md).",
    )
    direct_rw: DirectEndpoint = Field(
        DirectEndpoint(port=5200),
        description="Read-write, straight to the primary: for drivers that prepare statements.",
    )
    direct_ro: DirectEndpoint = Field(
        DirectEndpoint(port=5201),
        description="Read-only, straight to a standby: the promises of the read-only endpoint.",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, endpoints: Any) -> Any:
        """An endpoint's table may be partial, as any other table may: what it leaves out keeps that endpoint's default."""
        if not isinstance(endpoints, dict):
            return endpoints
        defaults = {key: field.default.model_dump() for key, field in cls.model_fields.items()}
        partial = {
            key: endpoint for key, endpoint in endpoints.items() if key in defaults and isinstance(endpoint, dict)
        }
        return {**endpoints, **{key: {**defaults[key], **endpoint} for key, endpoint in partial.items()}}


class Haproxy(SpecTable):
    """The endpoint, and the two inner ports that follow the roles."""

    service: ServiceName = Field("haproxy_pgpool", description="Service and container name.")
    address: Address = Field(IPv4Address("10.8.0.100"), description="Its address in the network.")
    stats_port: HostPort = Field(8406, description="Host port of the dashboard and /metrics.")
    stats_user: RoleName = Field("poolkeeper", description="User of the dashboard.")
    primary_port: HostPort = Field(6100, description="Inner port that leads to the primary (network only).")
    standby_port: HostPort = Field(6101, description="Inner port that spreads over the standbys (network only).")
    runtime_port: HostPort = Field(9990, description="HAProxy's runtime API, for keeper and nodes (network only).")
    threads: int = Field(0, ge=0, le=64, description="Threads of HAProxy; 0: one for each core.")
    batch: bool = Field(
        True, description="HAProxy does not interrupt who wakes it (SCHED_BATCH), so it finds more to do at once."
    )
    unix_sockets: bool = Field(
        True, description="HAProxy and the Pgpool-II of 5100 and 5101 talk by Unix sockets in memory, not by TCP."
    )
    node_sockets: bool = Field(
        False,
        description="HAProxy reaches PostgreSQL by Unix sockets; inet_server_addr() is then null at its endpoints.",
    )
    hold_ms: Milliseconds = Field(
        10_000, ge=0, description="A new session waits so long for a primary before it is refused, in ms; 0 is not."
    )
    connect_timeout_ms: Milliseconds = Field(2000, ge=100, description="Limit of a connection attempt, in ms.")
    queue_timeout_ms: Milliseconds = Field(60_000, ge=100, description="A client may wait for a child so long, in ms.")
    session_timeout_ms: Milliseconds = Field(86_400_000, ge=1000, description="A session silent so long ends, in ms.")
    check_interval_ms: Milliseconds = Field(1000, ge=100, description="Pause between two checks of a server, in ms.")
    check_timeout_ms: Milliseconds = Field(2000, ge=100, description="A check fails after this long, in ms.")
    check_fall: int = Field(5, ge=1, le=20, description="Failed checks in a row that mark a server down.")
    check_rise: int = Field(1, ge=1, le=20, description="Good checks in a row that mark it up.")


class Keeper(SpecTable):
    """The agent that keeps every view equal to Patroni's. Without it the cluster is correct, only slower."""

    service: ServiceName = Field("keeper", description="Service and container name.")
    address: Address = Field(IPv4Address("10.8.0.30"), description="Its address in the network.")
    port: HostPort = Field(8407, description="Host port of its API and metrics; it only reads.")
    tick_ms: Milliseconds = Field(
        1000, ge=100, le=60_000, description="Pause between two looks when no event comes, in ms."
    )
    attach_after_seconds: Seconds = Field(
        3, ge=0, description="A standby must have been fit for so long before Pgpool gets it back, in seconds."
    )
    early_release: bool = Field(
        True, description="Release the lease of a primary that is proven dead, so that the election begins at once."
    )
    release_interval_seconds: Seconds = Field(
        10, ge=0, description="At most one early release in this many seconds; then the lease decides."
    )
    fence_command: Command = Field(
        "",
        description="Program and arguments, run in keeper's container when a primary's machine is silent; `{node}` is"
        " its name. Exit code 0 says: that machine is off. Empty: only this machine's deaths are proven.",
    )
    fence_after_seconds: Seconds = Field(
        5, ge=1, description="A primary must have been silent for so long before it is fenced, in seconds."
    )
    read_fallback: Literal["refuse", "primary"] = Field(
        "refuse",
        description="Without a fit standby, the read-only endpoint refuses sessions, or reads from the primary.",
    )
    max_read_staleness_seconds: Seconds = Field(
        30, ge=5, description="A standby that is known to be further behind serves no reads, in seconds."
    )


class Roles(SpecTable):
    """Database roles that the first start makes; their passwords are generated."""

    superuser: RoleName = Field("postgres", description="Superuser of PostgreSQL.")
    replication: RoleName = Field("replicator", description="Role of the standbys.")
    rewind: RoleName = Field("rewinder", description="Role of pg_rewind; no superuser.")
    check: RoleName = Field("poolkeeper_check", description="Role of health and replication checks; pg_monitor only.")
    app: RoleName = Field("app", description="Role for your application.")
    app_database: RoleName = Field("app", description="Its database, which it owns.")
    pcp: RoleName = Field("pcp", description="User of Pgpool's control port.")
    rest: RoleName = Field("patroni", description="User of Patroni's REST API, for calls that change something.")


class Images(SpecTable):
    """Where the containers come from."""

    base: ImageName = Field("debian:trixie-slim", description="Base image; bootstrapped where it can't be had.")
    suite: Literal["trixie"] = Field("trixie", description="Debian suite of the bootstrapped base.")
    prefix: ImagePrefix = Field("poolkeeper", description="Images are named PREFIX/ROLE.")


class Timeouts(SpecTable):
    """Deadlines of Poolkeeper's own waits, in seconds."""

    up: Seconds = Field(120, ge=10, description="From the start of the containers until everything is green.")
    query: Seconds = Field(5, ge=1, description="One connection or query of status and the validation suite.")
    stop: Seconds = Field(30, ge=1, description="A container may take this long to end by itself.")


def _default_nodes() -> tuple[Node, ...]:
    return tuple(Node(name=f"pg_node{i}", address=IPv4Address(f"10.8.0.1{i}"), port=5610 + i) for i in (1, 2, 3))


class ClusterSpec(SpecTable):
    """The whole of `cluster.toml`."""

    name: ClusterName = Field("poolkeeper", description="Names of another cluster's containers get it as a prefix.")
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
        """How many nodes are standbys when all is well."""
        return len(self.nodes) - 1

    @property
    def project(self) -> str:
        """The Compose project, and the prefix of volumes: our own name, so that no other project's is met."""
        return self.name if self.name == "poolkeeper" else f"poolkeeper-{self.name}"

    def container_name(self, service: str) -> str:
        """The container of a service: the bare name for the default cluster, `NAME_service` for any other."""
        return service if self.name == "poolkeeper" else f"{self.name}_{service}"

    def endpoint_by_service(self) -> dict[str, Endpoint]:
        """The three endpoints that have a Pgpool-II, by its service name."""
        return {
            endpoint.service: endpoint for endpoint in (self.endpoints.rw, self.endpoints.ro, self.endpoints.balanced)
        }

    def direct_endpoints(self) -> dict[str, DirectEndpoint]:
        """The direct endpoints that have an endpoint, by their key."""
        endpoints = {"direct_rw": self.endpoints.direct_rw, "direct_ro": self.endpoints.direct_ro}
        return {key: endpoint for key, endpoint in endpoints.items() if endpoint.port}

    def direct_sessions(self) -> dict[str, int]:
        """How many sessions each direct endpoint serves at once; 0 where the connection budget leaves it none."""
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
        """Each service's address in the network, in the order of the Compose file."""
        members = [(m.name, m.address) for m in self.etcd.members]
        nodes = [(n.name, n.address) for n in self.nodes]
        endpoints = [(name, endpoint.address) for name, endpoint in self.endpoint_by_service().items()]
        haproxy, keeper = self.haproxy, self.keeper
        return dict(
            [*members, *nodes, *endpoints, (haproxy.service, haproxy.address), (keeper.service, keeper.address)]
        )

    def published_ports(self) -> dict[str, dict[int, int]]:
        """By service: host port → container port."""
        ports: dict[str, dict[int, int]] = {node.name: {node.port: 5432} for node in self.nodes}
        ports[self.endpoints.balanced.service] = {self.endpoints.balanced.port: PGPOOL_PORT}
        direct = (endpoint.port for endpoint in self.direct_endpoints().values())
        endpoints = (self.endpoints.rw.port, self.endpoints.ro.port, *direct, self.haproxy.stats_port)
        ports[self.haproxy.service] = {port: port for port in endpoints}
        ports[self.keeper.service] = {self.keeper.port: KEEPER_PORT}
        return ports
