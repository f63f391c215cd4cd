"""The rules that tie keys of `cluster.toml` together.

Each rule is a generator of (location, sentence); the location is the path of the key to blame, as pydantic writes it.
Invariant: a spec for which `broken_rules` yields nothing renders to files that the real binaries accept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from poolkeeper.model.spec import ClusterSpec, Lane

Location = tuple[str | int, ...]
Broken = tuple[Location, str]

# Parameters that Patroni or Poolkeeper sets itself; a second value in [postgresql.parameters] would lose silently.
OWNED_POSTGRESQL = frozenset(
    "archive_recovery_conninfo cluster_name data_checksums data_directory hba_file hot_standby ident_file "
    "listen_addresses max_connections max_replication_slots max_wal_senders password_encryption port primary_conninfo "
    "primary_slot_name superuser_reserved_connections synchronous_standby_names unix_socket_directories wal_level "
    "wal_log_hints".split()
)
OWNED_PGPOOL = frozenset(
    "auto_failback backend_clustering_mode connect_timeout connection_cache child_life_time delay_threshold "
    "disable_load_balance_on_write enable_pool_hba failover_command failover_on_backend_error follow_primary_command "
    "health_check_max_retries health_check_password health_check_period health_check_timeout health_check_user "
    "listen_addresses load_balance_mode max_pool num_init_children pcp_listen_addresses pcp_port pid_file_name "
    "pool_passwd port search_primary_node_timeout sr_check_password sr_check_period sr_check_user "
    "unix_socket_directories".split()
)
# Ports inside the network that containers already listen on.
INNER_PORTS = {5432: "PostgreSQL", 8008: "Patroni", 9999: "Pgpool-II"}


def _services(spec: ClusterSpec) -> Iterator[tuple[Location, str, IPv4Address]]:
    """Each service's location in the file, name and address."""
    for i, node in enumerate(spec.nodes):
        yield ("nodes", i), node.name, node.address
    for i, member in enumerate(spec.etcd.members):
        yield ("etcd", "members", i), member.name, member.address
    for key in ("rw", "ro", "pool"):
        lane: Lane = getattr(spec.lanes, key)
        yield ("lanes", key), lane.service, lane.address
    yield ("haproxy",), spec.haproxy.service, spec.haproxy.address


def unique_names(spec: ClusterSpec) -> Iterator[Broken]:
    """A service name stands once."""
    seen: set[str] = set()
    for location, name, _ in _services(spec):
        field = "name" if location[0] in ("nodes", "etcd") else "service"
        if name in seen:
            yield (*location, field), f"the name {name!r} is used twice"
        seen.add(name)


def addresses_fit(spec: ClusterSpec) -> Iterator[Broken]:
    """Each address is inside the network, is not the gateway, network or broadcast address, and stands once."""
    subnet = spec.network.subnet
    if subnet.prefixlen > 29 or subnet.prefixlen < 8:
        yield ("network", "subnet"), f"{subnet} must be between /8 and /29"
        return
    gateway = subnet.network_address + 1
    reserved = {subnet.network_address: "network", gateway: "gateway", subnet.broadcast_address: "broadcast"}
    owner: dict[IPv4Address, str] = {}
    for location, name, address in _services(spec):
        blamed = (*location, "address")
        if address not in subnet:
            yield blamed, f"{address} is outside network.subnet {subnet}"
        elif address in reserved:
            yield blamed, f"{address} is the {reserved[address]} address of {subnet}"
        elif address in owner:
            yield blamed, f"{address} is already the address of {owner[address]}"
        owner.setdefault(address, name)


def ports_differ(spec: ClusterSpec) -> Iterator[Broken]:
    """A host port is published once; the inner ports of HAProxy differ from its doors and from each other."""
    doors = [(("nodes", i, "port"), n.port, n.name) for i, n in enumerate(spec.nodes)]
    doors += [(("lanes", k, "port"), getattr(spec.lanes, k).port, f"lanes.{k}") for k in ("rw", "ro", "pool")]
    doors += [(("haproxy", "stats_port"), spec.haproxy.stats_port, "haproxy.stats_port")]
    yield from _used_twice(doors)
    inner: list[tuple[Location, int, str]] = [
        (("lanes", "rw", "port"), spec.lanes.rw.port, "lanes.rw"),
        (("lanes", "ro", "port"), spec.lanes.ro.port, "lanes.ro"),
        (("haproxy", "stats_port"), spec.haproxy.stats_port, "haproxy.stats_port"),
        (("haproxy", "primary_port"), spec.haproxy.primary_port, "haproxy.primary_port"),
        (("haproxy", "standby_port"), spec.haproxy.standby_port, "haproxy.standby_port"),
    ]
    for broken in _used_twice(inner):
        if broken[0][1] in ("primary_port", "standby_port"):
            yield broken
    if spec.pgpool.pcp_port in INNER_PORTS:
        yield ("pgpool", "pcp_port"), f"{spec.pgpool.pcp_port} is {INNER_PORTS[spec.pgpool.pcp_port]}'s own port"


def _used_twice(entries: list[tuple[Location, int, str]]) -> Iterator[Broken]:
    owner: dict[int, str] = {}
    for location, port, name in entries:
        if port in owner:
            yield location, f"port {port} is already used by {owner[port]}"
        owner.setdefault(port, name)


def counts_make_sense(spec: ClusterSpec) -> Iterator[Broken]:
    """Enough nodes, an odd number of etcd members, no more acknowledgements than standbys."""
    if len(spec.nodes) < 2:
        yield ("nodes",), f"a cluster is one primary and at least one standby; {len(spec.nodes)} node(s) declared"
    if len(spec.etcd.members) % 2 == 0:
        yield ("etcd", "members"), f"an odd number of members is needed, {len(spec.etcd.members)} are declared"
    asked, have = spec.replication.quorum_acknowledgements, spec.standby_count
    if spec.replication.synchronous_mode != "off" and asked > have > 0:
        yield ("replication", "quorum_acknowledgements"), f"{asked} acknowledgements need as many standbys; {have} exist"
    for key in ("max_wal_senders", "max_replication_slots"):
        value, least = getattr(spec.postgresql, key), len(spec.nodes) + 1
        if value < least:
            yield ("postgresql", key), f"{value} is too few: {len(spec.nodes)} nodes need at least {least}"


def lease_holds(spec: ClusterSpec) -> Iterator[Broken]:
    """Patroni's inequality, etcd's, and Pgpool's patience against the lease."""
    p = spec.patroni
    if p.loop_wait + 2 * p.retry_timeout > p.ttl:
        total = p.loop_wait + 2 * p.retry_timeout
        yield ("patroni", "ttl"), f"loop_wait + 2 × retry_timeout = {total} must not exceed ttl = {p.ttl}"
    if spec.etcd.election_ms < 5 * spec.etcd.heartbeat_ms:
        yield ("etcd", "election_ms"), f"must be at least 5 × heartbeat_ms = {5 * spec.etcd.heartbeat_ms}"
    if spec.pgpool.search_primary_node_timeout <= p.ttl:
        yield ("pgpool", "search_primary_node_timeout"), f"must be above patroni.ttl = {p.ttl}"


def connection_budget(spec: ClusterSpec) -> Iterator[Broken]:
    """The lanes, the administrators' share and the superuser's reserve fit `max_connections`.

    Worst case, and the one counted: after role changes one node may be asked by every lane at once.
    """
    lanes = spec.lane_by_service().values()
    pooled = sum(lane.num_init_children * lane.max_pool for lane in lanes)
    server = spec.postgresql
    needed = pooled + server.admin_connections + server.superuser_reserved_connections
    if needed > server.max_connections:
        sums = " + ".join(f"{lane.num_init_children}×{lane.max_pool}" for lane in lanes)
        yield (
            ("postgresql", "max_connections"),
            f"{server.max_connections} is too few: the lanes' num_init_children × max_pool ({sums} = {pooled}) + "
            f"admin_connections {server.admin_connections} + superuser_reserved_connections "
            f"{server.superuser_reserved_connections} need {needed}",
        )


def owned_parameters(spec: ClusterSpec) -> Iterator[Broken]:
    """Free-form parameters do not touch what has a key of its own."""
    for name in spec.postgresql.parameters:
        if name.lower() in OWNED_POSTGRESQL:
            yield ("postgresql", "parameters", name), "is set by Poolkeeper or Patroni; see docs/configuration.md"
    for name in spec.pgpool.parameters:
        if name.lower() in OWNED_PGPOOL or name.lower().startswith("backend_"):
            yield ("pgpool", "parameters", name), "is set by Poolkeeper; see docs/configuration.md"


def distinct_roles(spec: ClusterSpec) -> Iterator[Broken]:
    """Each database role has a name of its own."""
    seen: dict[str, str] = {}
    for field in ("superuser", "replication", "rewind", "check", "app"):
        name = getattr(spec.roles, field)
        if name in seen:
            yield ("roles", field), f"the role {name!r} is already roles.{seen[name]}"
        if name.startswith("pg_"):
            yield ("roles", field), f"{name!r}: PostgreSQL reserves role names that start with pg_"
        seen.setdefault(name, field)


RULES: tuple[Callable[[ClusterSpec], Iterator[Broken]], ...] = (
    unique_names,
    addresses_fit,
    ports_differ,
    counts_make_sense,
    lease_holds,
    connection_budget,
    owned_parameters,
    distinct_roles,
)


def broken_rules(spec: ClusterSpec) -> list[Broken]:
    """Every broken rule, in the order of `RULES`."""
    return [broken for rule in RULES for broken in rule(spec)]
