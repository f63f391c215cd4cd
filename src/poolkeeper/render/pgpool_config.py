"""Pgpool-II's configuration, one for each endpoint. It has no password: Pgpool-II reads them from `pool_passwd`.

The Pgpool-II of the balanced endpoint has all nodes. The other two have one server each: an inner port of HAProxy that
follows the primary or spreads over the standbys as Patroni reports them. So their view is never stale, and none of
their sessions opens a connection to a node that it does not use (docs/architecture.md, "Endpoints").
"""

from __future__ import annotations

from poolkeeper.model.endpoint_keys import BALANCED, RO, RW
from poolkeeper.model.grammar import Setting
from poolkeeper.model.spec import PGPOOL_PORT, ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint
from poolkeeper.render import sockets, templating

RUN = "/run/pgpool"

# Settings that a SIGHUP does not apply; each needs a restart (Pgpool-II 4.6: "can only be set at server start" in its
# documentation, "change requires restart" in its sample file). Those of the watchdog, which is off, are left out.
NEEDS_RESTART = frozenset(
    """
    backend_clustering_mode child_life_time child_max_connections connection_cache connection_life_time enable_pool_hba
    enable_shared_relcache health_check_test listen_addresses listen_backlog_multiplier load_balance_mode log_directory
    logdir logging_collector max_pool max_spare_children memory_cache_enabled memqcache_auto_cache_invalidation
    memqcache_cache_block_size memqcache_expire memqcache_max_num_cache memqcache_maxcache memqcache_memcached_host
    memqcache_memcached_port memqcache_method memqcache_oiddir memqcache_total_size min_spare_children num_init_children
    pcp_listen_addresses pcp_port pcp_socket_dir pid_file_name pool_passwd port process_management_mode
    process_management_strategy relcache_expire relcache_query_target relcache_size reserved_connections
    serialize_accept ssl ssl_ca_cert ssl_ca_cert_dir ssl_cert ssl_ciphers ssl_crl_file ssl_dh_params_file ssl_ecdh_curve
    ssl_key ssl_passphrase_command ssl_prefer_server_ciphers unix_socket_directories unix_socket_group
    unix_socket_permissions use_watchdog
    """.split()
)


def literal(value: Setting) -> str:
    """Return a value as text of pgpool.conf.

    Pgpool-II reads the text between the quotes without escapes: a backslash is a backslash, and a quote is not possible
    (`rules.pgpool_values_have_no_quote`).
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    return f"'{value}'"


def host_rules() -> str:
    """Return `pool_hba.conf`: SCRAM from every address, as in pg_hba.conf."""
    return "# type  database  user  address    method\nlocal   all       all              scram-sha-256\n" + (
        "host    all       all   0.0.0.0/0  scram-sha-256\n"
    )


# A pooled connection stays with its standby. A child ends after child_max_connections sessions. An unused connection
# ends after connection_life_time seconds. Reads then spread again over a standby that returned.
READERS: dict[str, Setting] = {"child_max_connections": 200, "connection_life_time": 60}


# The cache of catalog queries that the children share. Pgpool-II's defaults are 64 MB and a table for a million entries
# of 48 bytes, which each start of each endpoint fills with zeros. These sizes hold fifty thousand queries.
CATALOG_CACHE: dict[str, Setting] = {"memqcache_total_size": 16 * 1024**2, "memqcache_max_num_cache": 50_000}


# Clients of a full balanced endpoint that wait in the kernel until a child is free; the default of net.core.somaxconn.
# Beyond them the kernel drops SYN packets, and clients retry with growing pauses until they give up. HAProxy queues for
# the other endpoints, so few of their clients wait here.
BACKLOG = 4096


def config(spec: ClusterSpec, endpoint_key: str) -> str:
    """Return the endpoint's `pgpool.conf`; `endpoint_key` is rw, ro or balanced."""
    promise = type(spec.endpoints).model_fields[endpoint_key].description
    sections = {name: _literals(values) for name, values in settings(spec, endpoint_key).items()}
    return templating.fill("pgpool.conf.j2", cluster=spec.name, promise=promise, sections=sections)


def _literals(values: dict[str, Setting]) -> dict[str, str]:
    return {key: literal(value) for key, value in values.items()}


def settings(spec: ClusterSpec, endpoint_key: str) -> dict[str, dict[str, Setting]]:
    """Return every setting of an endpoint, by section, in the order of the file."""
    endpoint: Endpoint = getattr(spec.endpoints, endpoint_key)
    by_socket = endpoint.service in sockets.endpoints(spec)
    return {
        "Servers": _servers(spec, endpoint_key),
        "Connections": {
            "listen_addresses": "*",
            "port": PGPOOL_PORT,
            "pcp_listen_addresses": "*",
            "pcp_port": spec.pgpool.pcp_port,
            "unix_socket_directories": ",".join([RUN, *([sockets.folder(endpoint.service)] if by_socket else [])]),
            "pcp_socket_dir": RUN,
            "pid_file_name": f"{RUN}/pgpool.pid",
            "logdir": RUN,
            "enable_pool_hba": True,
            "pool_passwd": "pool_passwd",
            "connect_timeout": spec.pgpool.connect_timeout_ms,
        },
        "Pool": {
            "num_init_children": endpoint.num_init_children,
            "max_pool": endpoint.max_pool,
            "connection_cache": spec.pgpool.connection_cache,
            "child_life_time": spec.pgpool.child_life_time,
            **(READERS if endpoint_key == RO else {}),
            **(
                {"listen_backlog_multiplier": -(-BACKLOG // endpoint.num_init_children)}
                if endpoint_key == BALANCED
                else {}
            ),
            **CATALOG_CACHE,
        },
        "Balancing": _balancing(endpoint_key),
        "Checks": _checks(spec, endpoint_key),
        "Failover: Patroni alone elects the primary, so Pgpool-II runs no command": {
            "failover_command": "",
            "follow_primary_command": "",
            "failover_on_backend_error": False,
            # Keeper attaches a node that was eligible for long enough; without keeper, `up` does.
            "auto_failback": False,
            "search_primary_node_timeout": spec.pgpool.search_primary_node_timeout,
        },
        "Log": {"log_destination": "stderr", "log_line_prefix": "%m %a[%p]: "},
        "From cluster.toml": dict(spec.pgpool.parameters),
    }


def _servers(spec: ClusterSpec, endpoint_key: str) -> dict[str, Setting]:
    if endpoint_key == BALANCED:
        servers: dict[str, Setting] = {"backend_clustering_mode": "streaming_replication"}
        for i, node in enumerate(spec.nodes):
            servers[f"backend_hostname{i}"] = node.name
            servers[f"backend_port{i}"] = 5432
            servers[f"backend_weight{i}"] = 1
            servers[f"backend_flag{i}"] = "ALLOW_TO_FAILOVER"
            servers[f"backend_application_name{i}"] = node.name
        return servers
    inner = spec.haproxy.primary_port if endpoint_key == RW else spec.haproxy.standby_port
    endpoint = spec.haproxy.service
    return {
        # In both modes Pgpool-II sends no check to a server that is always the primary. In streaming_replication it
        # sends a flush after each Parse, Execute and Close (pool_extended_send_and_wait, Pgpool-II 4.6).
        "backend_clustering_mode": spec.pgpool.one_server_mode,
        "backend_hostname0": sockets.folder(endpoint) if sockets.endpoints(spec) else endpoint,
        "backend_port0": inner,
        "backend_weight0": 1,
        "backend_flag0": "ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER",
    }


def _balancing(endpoint_key: str) -> dict[str, Setting]:
    """Return the settings with which a session of the balanced endpoint reads its own writes.

    docs/endpoints.md has the remaining limits. tests/poolkeeper/e2e/test_balanced_endpoint.py measures the pattern list
    and relcache_expire, with and without them. check_unlogged_table and allow_sql_comments state a default that the
    endpoint depends on.
    """
    if endpoint_key != BALANCED:
        return {"load_balance_mode": False}
    return {
        "load_balance_mode": True,
        # After its first write, a session reads from the primary only: a standby acknowledges before it replays.
        "disable_load_balance_on_write": "always",
        # One standby for each session: SET reaches the primary and that standby, and no other one.
        "statement_level_load_balance": False,
        # Pgpool-II tracks CREATE and DROP of temporary tables; "catalog" queries the primary each time.
        "check_temp_table": "trace",
        # A standby cannot read unlogged tables (0A000).
        "check_unlogged_table": True,
        # A leading comment routes a statement to the primary: with it, a user excludes the standbys.
        "allow_sql_comments": False,
        # EXECUTE goes to the server of its PREPARE, even after a write, so a standby would return stale rows. In the
        # extended protocol EXECUTE does not find it at all (26000). The functions are declared stable, but two fail
        # on a standby (25006), and pg_backend_pid() would name a process without the session's locks.
        "primary_routing_query_pattern_list": (
            "[[:space:]]*PREPARE.*;.*pg_current_xact_id.*;.*txid_current.*;.*pg_backend_pid.*"
        ),
        # Pgpool-II caches whether a function is volatile and a table unlogged; 0 never expires, also if redefined.
        "relcache_expire": 5,
    }


def _checks(spec: ClusterSpec, endpoint_key: str) -> dict[str, Setting]:
    """Return the checks. Endpoints with one server have none: HAProxy follows the roles, and never detaches it."""
    balanced = endpoint_key == BALANCED
    return {
        "health_check_period": spec.pgpool.health_check_period if balanced else 0,
        "health_check_timeout": spec.pgpool.health_check_timeout,
        "health_check_max_retries": spec.pgpool.health_check_max_retries,
        "health_check_user": spec.roles.check,
        "health_check_password": "",
        "health_check_database": "postgres",
        "sr_check_period": spec.pgpool.sr_check_period if balanced else 0,
        "sr_check_user": spec.roles.check,
        "sr_check_password": "",
        "sr_check_database": "postgres",
        "delay_threshold": spec.pgpool.delay_threshold_bytes if balanced else 0,
    }


def needs_restart(old: str, new: str) -> bool:
    """Tell whether a change of pgpool.conf needs a restart. It compares lines, because Poolkeeper wrote both files."""
    changed = set(_lines(old).items()) ^ set(_lines(new).items())
    return any(key in NEEDS_RESTART or key.startswith("backend_") for key, _ in changed)


def _lines(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}
