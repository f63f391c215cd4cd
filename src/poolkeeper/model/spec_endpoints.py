"""The tables of `cluster.toml` that describe the endpoints, Pgpool-II and HAProxy."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, Literal

from pydantic import Field, model_validator

from poolkeeper.model.grammar import (
    Address,
    ByteCount,
    HostPort,
    Milliseconds,
    OptionalPort,
    PgpoolParameter,
    RoleName,
    Seconds,
    ServiceName,
    Setting,
)
from poolkeeper.model.spec_table import SpecTable


class Endpoint(SpecTable):
    """An endpoint, the Pgpool-II behind it, and the size of its pool."""

    service: ServiceName = Field(description="Service and container name of the endpoint's Pgpool-II.")
    address: Address = Field(description="Its address in the network.")
    port: HostPort = Field(description="The endpoint's host port.")
    num_init_children: int = Field(32, ge=4, le=2000, description="Sessions that the endpoint serves at once.")
    max_pool: int = Field(
        4, ge=1, le=100, description="Cached server connections of each child; one for each pair of user and database."
    )


class DirectEndpoint(SpecTable):
    """An endpoint that leads directly to PostgreSQL, without Pgpool-II and without a pool."""

    port: OptionalPort = Field(description="The endpoint's host port; 0: no such endpoint.")
    max_sessions: int = Field(
        0,
        ge=0,
        le=10000,
        description="Sessions at once; the next client waits. 0: an even share of the rest of the connection budget.",
    )


class Endpoints(SpecTable):
    """The endpoints and their promises (docs/endpoints.md). Three have a Pgpool-II, two lead directly to PostgreSQL."""

    rw: Endpoint = Field(
        Endpoint(service="pgpool_rw", address=IPv4Address("10.8.0.21"), port=5100),
        description="Read-write: everything on the primary, with PostgreSQL's exact semantics.",
    )
    ro: Endpoint = Field(
        Endpoint(service="pgpool_ro", address=IPv4Address("10.8.0.22"), port=5101),
        description="Read-only: standbys only; the server refuses writes.",
    )
    balanced: Endpoint = Field(
        Endpoint(service="pgpool", address=IPv4Address("10.8.0.20"), port=9999),
        description="Balanced: reads on all nodes; a session reads its writes that Pgpool-II sees (docs/endpoints.md).",
    )
    direct_rw: DirectEndpoint = Field(
        DirectEndpoint(port=5200),
        description="Read-write, directly to the primary: for drivers that prepare statements.",
    )
    direct_ro: DirectEndpoint = Field(
        DirectEndpoint(port=5201),
        description="Read-only, directly to a standby: the promises of the read-only endpoint.",
    )

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, endpoints: Any) -> Any:
        """Complete partial tables: a key that an endpoint's table omits keeps the default of that endpoint."""
        if not isinstance(endpoints, dict):
            return endpoints
        defaults = {key: field.default.model_dump() for key, field in cls.model_fields.items()}
        partial = {
            key: endpoint for key, endpoint in endpoints.items() if key in defaults and isinstance(endpoint, dict)
        }
        return {**endpoints, **{key: {**defaults[key], **endpoint} for key, endpoint in partial.items()}}


class Pgpool(SpecTable):
    """The settings that the Pgpool-II of all three endpoints share."""

    connection_cache: bool = Field(True, description="Keep server connections for the next session.")
    child_life_time: Seconds = Field(
        300, ge=0, description="An idle child process ends after this many seconds; 0: never."
    )
    health_check_period: Seconds = Field(10, ge=0, description="Seconds between health checks of a node; 0: off.")
    health_check_timeout: Seconds = Field(1, ge=1, description="A health check fails after this many seconds.")
    health_check_max_retries: int = Field(
        12, ge=0, le=1000, description="Retries, a second apart, before a node is marked down."
    )
    sr_check_period: Seconds = Field(5, ge=0, description="Seconds between replication checks; 0: off.")
    delay_threshold_bytes: ByteCount = Field(
        1_048_576, description="The balanced endpoint sends no reads to a standby further behind than this, in bytes."
    )
    connect_timeout_ms: Milliseconds = Field(2000, ge=100, description="Limit of one connection attempt, in ms.")
    search_primary_node_timeout: Seconds = Field(
        22,
        ge=1,
        description="How long Pgpool-II searches for a primary after it lost one, in seconds; above patroni.ttl.",
    )
    pcp_port: HostPort = Field(9898, description="Pgpool-II's control port, inside the network only.")
    batch: bool = Field(
        True,
        description="SCHED_BATCH: Pgpool-II does not preempt a process that wakes it, so it handles more at once.",
    )
    one_server_mode: Literal["streaming_replication", "logical_replication"] = Field(
        "streaming_replication",
        description="Mode of the two endpoints with one server; logical_replication saves a flush for each statement.",
    )
    parameters: dict[PgpoolParameter, Setting] = Field({}, description="Any other parameter of pgpool.conf.")


class Haproxy(SpecTable):
    """HAProxy, with two inner ports that follow the roles."""

    service: ServiceName = Field("haproxy_pgpool", description="Service and container name.")
    address: Address = Field(IPv4Address("10.8.0.100"), description="Its address in the network.")
    stats_port: HostPort = Field(8406, description="Host port of the dashboard and /metrics.")
    stats_user: RoleName = Field("poolkeeper", description="User of the dashboard.")
    primary_port: HostPort = Field(6100, description="Inner port that leads to the primary (network only).")
    standby_port: HostPort = Field(6101, description="Inner port that spreads over the standbys (network only).")
    runtime_port: HostPort = Field(9990, description="HAProxy's runtime API, for keeper and nodes (network only).")
    threads: int = Field(0, ge=0, le=64, description="Threads of HAProxy; 0: one for each core.")
    batch: bool = Field(
        True,
        description="SCHED_BATCH: HAProxy does not preempt a process that wakes it, so it handles more at once.",
    )
    unix_sockets: bool = Field(
        True, description="HAProxy and the Pgpool-II of 5100 and 5101 connect by Unix sockets in memory, not by TCP."
    )
    node_sockets: bool = Field(
        False,
        description="HAProxy reaches PostgreSQL by Unix sockets; inet_server_addr() is then null at its endpoints.",
    )
    hold_ms: Milliseconds = Field(
        10_000,
        ge=0,
        description="How long a new session waits for a primary before it is refused, in ms; 0: not at all.",
    )
    connect_timeout_ms: Milliseconds = Field(2000, ge=100, description="Limit of a connection attempt, in ms.")
    queue_timeout_ms: Milliseconds = Field(
        60_000, ge=100, description="How long a client may wait for a free child, in ms."
    )
    session_timeout_ms: Milliseconds = Field(
        86_400_000, ge=1000, description="A session without traffic for so long ends, in ms."
    )
    check_interval_ms: Milliseconds = Field(1000, ge=100, description="Pause between two checks of a server, in ms.")
    check_timeout_ms: Milliseconds = Field(2000, ge=100, description="A check fails after this long, in ms.")
    check_fall: int = Field(5, ge=1, le=20, description="Failed checks in a row that mark a server down.")
    check_rise: int = Field(1, ge=1, le=20, description="Successful checks in a row that mark it up.")
