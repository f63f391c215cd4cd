"""The rules between keys of `cluster.toml`.

Each rule is a generator of (location, sentence); the location is the path of the wrong key, as pydantic writes it.
Invariant: the real binaries accept the rendered files of a spec without a broken rule. Excepted are the free-form
parameters, whose values only the servers can check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address

from poolkeeper.model import endpoint_keys
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint, Pgpool
from poolkeeper.model.spec_postgresql import Postgresql

Location = tuple[str | int, ...]
Broken = tuple[Location, str]

# Parameters that Patroni or Poolkeeper sets. A second value in [postgresql.parameters] would have no effect, or would
# break a promise of other keys.
OWNED_POSTGRESQL = frozenset(
    """
    archive_recovery_conninfo cluster_name config_file data_checksums data_directory hba_file hot_standby ident_file
    include include_dir include_if_exists listen_addresses max_connections max_replication_slots max_wal_senders
    password_encryption port primary_conninfo primary_slot_name reserved_connections superuser_reserved_connections
    synchronous_standby_names unix_socket_directories wal_level wal_log_hints
    """.split()
)
OWNED_PGPOOL = frozenset(
    """
    auto_failback backend_clustering_mode child_life_time connect_timeout connection_cache delay_threshold
    detach_false_primary disable_load_balance_on_write enable_pool_hba failback_command failover_command
    failover_on_backend_error follow_primary_command health_check_max_retries health_check_password
    health_check_period health_check_timeout health_check_user include listen_addresses load_balance_mode logdir
    max_pool num_init_children pcp_listen_addresses pcp_port pcp_socket_dir pid_file_name pool_passwd port
    search_primary_node_timeout sr_check_password sr_check_period sr_check_user unix_socket_directories use_watchdog
    work_dir
    """.split()
)
# Ports inside the network that containers already listen on.
INNER_PORTS = {5432: "PostgreSQL", 8008: "Patroni", 9999: "Pgpool-II"}
# Ports that HAProxy listens on inside the network only.
INNER_KEYS = ("primary_port", "standby_port", "runtime_port")
# MAX_NUM_BACKENDS of Pgpool-II.
MAX_NODES = 128
# A label of a DNS name.
MAX_CONTAINER_NAME = 63
# Names that have another meaning for CREATE ROLE or pg_hba.conf, and databases that exist or are keywords.
RESERVED_ROLES = frozenset({"public", "none", "all"})
RESERVED_DATABASES = frozenset(
    {"postgres", "template0", "template1", "all", "sameuser", "samerole", "samegroup", "replication"}
)


def _endpoints(spec: ClusterSpec) -> Iterator[tuple[str, Endpoint]]:
    for key in endpoint_keys.POOLED:
        yield key, getattr(spec.endpoints, key)


def _services(spec: ClusterSpec) -> Iterator[tuple[Location, str, IPv4Address]]:
    """Yield each service's location in the file, its name and its address."""
    for i, node in enumerate(spec.nodes):
        yield ("nodes", i), node.name, node.address
    for i, member in enumerate(spec.etcd.members):
        yield ("etcd", "members", i), member.name, member.address
    for key, endpoint in _endpoints(spec):
        yield ("endpoints", key), endpoint.service, endpoint.address
    yield ("haproxy",), spec.haproxy.service, spec.haproxy.address
    yield ("keeper",), spec.keeper.service, spec.keeper.address


def unique_names(spec: ClusterSpec) -> Iterator[Broken]:
    """Each service name (`nodes`, `etcd.members`, `endpoints`, `haproxy`, `keeper`) is used once."""
    seen: set[str] = set()
    for location, name, _ in _services(spec):
        if name in seen:
            yield _name_key(location), f"the name {name!r} is used twice"
        seen.add(name)


def container_names_are_short(spec: ClusterSpec) -> Iterator[Broken]:
    """Each container's name, NAME_SERVICE except in the cluster `poolkeeper`, has at most 63 characters."""
    for location, name, _ in _services(spec):
        container = spec.container_name(name)
        if len(container) > MAX_CONTAINER_NAME:
            yield (
                _name_key(location),
                f"the container {container!r} would have a name of {len(container)} characters; at most "
                f"{MAX_CONTAINER_NAME} are possible",
            )


def _name_key(location: Location) -> Location:
    return (*location, "name" if location[0] in ("nodes", "etcd") else "service")


def addresses_are_in_the_subnet(spec: ClusterSpec) -> Iterator[Broken]:
    """Each address is inside `network.subnet` (/8 to /29), and is used once.

    The first address (network), the second (gateway) and the last (broadcast) are not used.
    """
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
    """Each host port is published once.

    The inner ports of HAProxy differ from its endpoints and from each other. The control port of Pgpool-II is none of
    5432, 8008 and 9999.
    """
    haproxy = spec.haproxy
    published: list[tuple[Location, int, str]] = [
        (("nodes", i, "port"), n.port, n.name) for i, n in enumerate(spec.nodes)
    ]
    published += [(("endpoints", key, "port"), endpoint.port, f"endpoints.{key}") for key, endpoint in _endpoints(spec)]
    direct = [
        (("endpoints", key, "port"), endpoint.port, f"endpoints.{key}")
        for key, endpoint in spec.direct_endpoints().items()
    ]
    published += [*direct, (("haproxy", "stats_port"), haproxy.stats_port, "haproxy.stats_port")]
    inside = [port for port in published if port[0][0] == "haproxy" or port[0][1] in endpoint_keys.BEHIND_HAPROXY]
    published.append((("keeper", "port"), spec.keeper.port, "keeper.port"))
    yield from _used_twice(published)
    for key in INNER_KEYS:
        inside.append((("haproxy", key), getattr(haproxy, key), f"haproxy.{key}"))
    yield from (broken for broken in _used_twice(inside) if broken[0][1] in INNER_KEYS)
    if spec.pgpool.pcp_port in INNER_PORTS:
        yield ("pgpool", "pcp_port"), f"{spec.pgpool.pcp_port} is {INNER_PORTS[spec.pgpool.pcp_port]}'s own port"


def _used_twice(entries: Iterable[tuple[Location, int, str]]) -> Iterator[Broken]:
    owner: dict[int, str] = {}
    for location, port, name in entries:
        if port in owner:
            yield location, f"port {port} is already used by {owner[port]}"
        owner.setdefault(port, name)


def counts_are_consistent(spec: ClusterSpec) -> Iterator[Broken]:
    """Each number matches the nodes and the members.

    There are 2 to 128 nodes and an odd number of etcd members. `replication.quorum_acknowledgements` is at most the
    number of standbys, unless the mode is `off`. `postgresql.max_wal_senders` and `postgresql.max_replication_slots`
    are at least the number of nodes plus one.
    """
    count, members = len(spec.nodes), len(spec.etcd.members)
    if count < 2:
        yield ("nodes",), f"a cluster is one primary and at least one standby; {_declared(count)}"
    if count > MAX_NODES:
        yield ("nodes",), f"Pgpool-II serves at most {MAX_NODES} nodes; {_declared(count)}"
    if members % 2 == 0:
        yield ("etcd", "members"), f"an odd number of members is needed; {_declared(members)}"
    asked, have = spec.replication.quorum_acknowledgements, spec.standby_count
    if spec.replication.synchronous_mode != "off" and asked > have > 0:
        yield (
            ("replication", "quorum_acknowledgements"),
            f"{asked} acknowledgements need as many standbys; {_declared(have)}",
        )
    for key in ("max_wal_senders", "max_replication_slots"):
        value, least = getattr(spec.postgresql, key), count + 1
        if value < least:
            yield ("postgresql", key), f"{value} is too few: {count} nodes need at least {least}"


def _declared(count: int) -> str:
    return "1 is declared" if count == 1 else f"{count} are declared"


def timeouts_are_ordered(spec: ClusterSpec) -> Iterator[Broken]:
    """Each timeout is long enough for those inside it.

    `patroni.loop_wait + 2 × patroni.retry_timeout ≤ patroni.ttl`; `etcd.election_ms` is at least 5 heartbeats;
    `pgpool.search_primary_node_timeout` is above `patroni.ttl`.
    """
    p = spec.patroni
    if p.loop_wait + 2 * p.retry_timeout > p.ttl:
        total = p.loop_wait + 2 * p.retry_timeout
        yield ("patroni", "ttl"), f"loop_wait + 2 × retry_timeout = {total} must not exceed ttl = {p.ttl}"
    if spec.etcd.election_ms < 5 * spec.etcd.heartbeat_ms:
        yield ("etcd", "election_ms"), f"must be at least 5 × heartbeat_ms = {5 * spec.etcd.heartbeat_ms}"
    if spec.pgpool.search_primary_node_timeout <= p.ttl:
        yield ("pgpool", "search_primary_node_timeout"), f"must be above patroni.ttl = {p.ttl}"


def connection_budget(spec: ClusterSpec) -> Iterator[Broken]:
    """Each connection that the endpoints may open is within `postgresql.max_connections`.

    That number is at least the sum of: `num_init_children × max_pool` of the three endpoints with a Pgpool-II,
    `max_sessions` of each direct endpoint with a port (1 if that is 0), `postgresql.admin_connections` and
    `postgresql.superuser_reserved_connections`. The sum is the worst case: after role changes every endpoint may use
    the same node.
    """
    server, endpoints = spec.postgresql, [endpoint for _, endpoint in _endpoints(spec)]
    direct = [max(1, endpoint.max_sessions) for endpoint in spec.direct_endpoints().values()]
    spare = server.admin_connections + server.superuser_reserved_connections
    needed = spec.pooled_connections + sum(direct) + spare
    if needed > server.max_connections:
        sums = " + ".join(f"{endpoint.num_init_children}×{endpoint.max_pool}" for endpoint in endpoints)
        straight = f"the direct endpoints' max_sessions ({' + '.join(map(str, direct))}) + " if direct else ""
        yield (
            ("postgresql", "max_connections"),
            f"{server.max_connections} is too few: the endpoints' num_init_children × max_pool ({sums} = "
            f"{spec.pooled_connections}) + {straight}admin_connections {server.admin_connections} + "
            f"superuser_reserved_connections {server.superuser_reserved_connections} need {needed}",
        )


def owned_parameters(spec: ClusterSpec) -> Iterator[Broken]:
    """Free-form parameters contain none that Poolkeeper or Patroni sets (see the lists below)."""
    for name in spec.postgresql.parameters:
        if name.lower() in OWNED_POSTGRESQL:
            yield ("postgresql", "parameters", name), _owned(name.lower(), spec.postgresql, "Poolkeeper or Patroni")
    for name in spec.pgpool.parameters:
        plain = name.rstrip("0123456789")  # health_check_period2 is health_check_period for node 2
        if name in OWNED_PGPOOL or plain in OWNED_PGPOOL or name.startswith("backend_"):
            yield ("pgpool", "parameters", name), _owned(plain, spec.pgpool, "Poolkeeper")


def _owned(name: str, table: Postgresql | Pgpool, owner: str) -> str:
    """Return the sentence about an owned parameter, with the key to set instead if there is one."""
    title = type(table).__name__.lower()
    for key in (name, f"{name}_ms", f"{name}_bytes"):
        if key in type(table).model_fields:
            return f"has a key of its own: set {title}.{key} instead"
    if title == "pgpool" and name in ("port", "num_init_children", "max_pool"):
        return (
            f"is each endpoint's own: set endpoints.rw.{name}, endpoints.ro.{name} or endpoints.balanced.{name} instead"
        )
    return f"is set by {owner} and may not be set here; docs/configuration.md lists all such parameters"


def parameters_are_set_once(spec: ClusterSpec) -> Iterator[Broken]:
    """Each parameter is set once. PostgreSQL ignores case: `TimeZone` and `timezone` are the same parameter."""
    seen: set[str] = set()
    for name in spec.postgresql.parameters:
        if name.lower() in seen:
            yield ("postgresql", "parameters", name), "is set twice; case makes no difference here"
        seen.add(name.lower())


def pgpool_values_have_no_quote(spec: ClusterSpec) -> Iterator[Broken]:
    """No value in `[pgpool.parameters]` has a single quote: pgpool.conf cannot express one."""
    for name, value in spec.pgpool.parameters.items():
        if isinstance(value, str) and "'" in value:
            yield ("pgpool", "parameters", name), "has a single quote in it, and pgpool.conf cannot express one"


def commits_wait_for_standbys(spec: ClusterSpec) -> Iterator[Broken]:
    """`synchronous_commit` does not contradict `replication.synchronous_mode`: off and local wait for no standby."""
    for name, value in spec.postgresql.parameters.items():
        waits = str(value).lower() not in {"off", "local", "false", "no", "0"}
        if name.lower() == "synchronous_commit" and not waits and spec.replication.synchronous_mode != "off":
            yield (
                ("postgresql", "parameters", name),
                'acknowledges a commit that no standby has; set replication.synchronous_mode = "off" if you want that',
            )


def distinct_roles(spec: ClusterSpec) -> Iterator[Broken]:
    """Each database role has a different name, and none that PostgreSQL reserves (`pg_…`, `public`, `none`, `all`).

    `roles.app_database` is neither an existing database nor a keyword of pg_hba.conf.
    """
    seen: dict[str, str] = {}
    for field in ("superuser", "replication", "rewind", "check", "app"):
        name = getattr(spec.roles, field)
        if name in seen:
            yield ("roles", field), f"the role {name!r} is already roles.{seen[name]}"
        if name.startswith("pg_") or name in RESERVED_ROLES:
            yield ("roles", field), f"PostgreSQL reserves the role name {name!r}"
        seen.setdefault(name, field)
    if spec.roles.app_database in RESERVED_DATABASES:
        yield ("roles", "app_database"), f"{spec.roles.app_database!r} cannot be the application's database"


RULES: tuple[Callable[[ClusterSpec], Iterator[Broken]], ...] = (
    unique_names,
    container_names_are_short,
    addresses_are_in_the_subnet,
    ports_differ,
    counts_are_consistent,
    timeouts_are_ordered,
    connection_budget,
    owned_parameters,
    parameters_are_set_once,
    pgpool_values_have_no_quote,
    commits_wait_for_standbys,
    distinct_roles,
)


def broken_rules(spec: ClusterSpec) -> list[Broken]:
    """Return every broken rule, in the order of `RULES`."""
    return [broken for rule in RULES for broken in rule(spec)]
