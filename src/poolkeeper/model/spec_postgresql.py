"""The tables of `cluster.toml` that describe PostgreSQL, Patroni and etcd."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import Field, Strict

from poolkeeper.model.grammar import Address, ByteCount, HostPort, PostgresqlParameter, ServiceName, Setting
from poolkeeper.model.spec_table import SpecTable


class Node(SpecTable):
    """One PostgreSQL node."""

    name: ServiceName = Field(description="Service, container, Patroni member and slot name.")
    address: Address = Field(description="Its address in the network.")
    port: HostPort = Field(description="Host port that leads directly to this node's PostgreSQL.")


class EtcdMember(SpecTable):
    """One etcd member."""

    name: ServiceName = Field(description="Service, container and etcd member name.")
    address: Address = Field(description="Its address in the network.")


class Etcd(SpecTable):
    """The store of Patroni."""

    members: Annotated[tuple[EtcdMember, ...], Strict(False)] = Field(
        tuple(EtcdMember(name=f"etcd{i}", address=IPv4Address(f"10.8.0.3{i}")) for i in (1, 2, 3)),
        description="The members; an odd number, so that a network split leaves at most one majority.",
    )
    heartbeat_ms: int = Field(100, ge=10, le=5000, description="Raft heartbeat, in milliseconds.")
    election_ms: int = Field(1000, ge=50, le=50000, description="Raft election timeout, ms; at least 5 heartbeats.")


class Patroni(SpecTable):
    """The leader lease and the election. Patroni raises ttl to 20, loop_wait to 1 and retry_timeout to 3."""

    ttl: int = Field(20, ge=20, le=3600, description="Duration of the leader lease, in seconds.")
    loop_wait: int = Field(2, ge=1, le=60, description="Pause between two rounds of Patroni, in seconds.")
    retry_timeout: int = Field(
        8, ge=3, le=600, description="How long etcd or PostgreSQL may fail before the leader steps down, in seconds."
    )
    maximum_lag_on_failover: ByteCount = Field(
        1_048_576, description="A standby further behind than this may not become primary, in bytes."
    )


class Replication(SpecTable):
    """The standbys that must have a commit before its acknowledgement, and the lag that reads accept."""

    synchronous_mode: Literal["quorum", "on", "off"] = Field(
        "quorum", description="quorum: any standbys acknowledge; on: standbys named in advance do; off: none does."
    )
    synchronous_mode_strict: bool = Field(
        True, description="Without enough standbys, writes wait (true) or the primary acknowledges alone (false)."
    )
    quorum_acknowledgements: int = Field(
        1, ge=1, le=16, description="How many standbys must have flushed a commit; no effect in mode off."
    )
    max_read_lag_bytes: ByteCount = Field(
        16_777_216, description="The read-only endpoint does not use a standby further behind than this, in bytes."
    )


class Postgresql(SpecTable):
    """PostgreSQL, the same on every node. Parameters that Patroni or Poolkeeper owns have keys of their own."""

    version: Literal[17] = Field(17, description="Major version.")
    max_connections: int = Field(500, ge=20, le=10000, description="Must hold the connection budget of all endpoints.")
    superuser_reserved_connections: int = Field(3, ge=0, le=100, description="Connections reserved for superusers.")
    admin_connections: int = Field(
        20,
        ge=5,
        le=1000,
        description="Connections outside the endpoints' budget: Patroni, checks, administrators on 561x.",
    )
    max_wal_senders: int = Field(10, ge=2, le=100, description="Standbys, base backups and pg_rewind together.")
    max_replication_slots: int = Field(10, ge=2, le=100, description="One for each standby, and your own.")
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
        description="Any other parameter of postgresql.conf; a table in the file replaces this default completely.",
    )
