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
