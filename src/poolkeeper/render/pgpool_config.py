"""Pgpool-II's configuration, one an endpoint. No password is in it: an empty one is looked up in `pool_passwd`.

The balanced endpoint (`pool`) sees all nodes. The other two see one server each, an inner port of HAProxy that follows the
primary or spreads over the standbys by Patroni's own word; so their view cannot go stale, and no session of theirs
opens a connection to a node that it does not use (docs/architecture.md, "Endpoints").
"""

from __future__ import annotations

from poolkeeper.model.grammar import Setting
from poolkeeper.model.spec import PGPOOL_PORT, ClusterSpec
from poolkeeper.model.spec_endpoints import Endpoint
from poolkeeper.render import sockets, templating

RUN = "/run/pgpool"

# Settings that a SIGHUP does not apply; each needs a restart (Pgpool-II 4.6: "can only be set at server start" in its
# documentation, "change requires restart" in its sample file). Those of the watchdog, which we never use, are left out.
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
    """A value as pgpool.conf writes it.

    Pgpool-II reads what stands between the quotes as it is: a backslash escapes nothing, and a quote cannot be written
    at all (`rules.pgpool_can_read`).
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    return f"'{value}'"


def host_rules() -> str:
    """`pool_hba.conf`: SCRAM from everywhere, as in PostgreSQL's own rules."""
    return "# type  database  user  address    method\nlocal   all       all              scram-sha-256\n" + (
        "host    all       all   0.0.0.0/0  scram-sha-256\n"
    )


# Pooled connections stay with the standby that they were opened to. A child that ends after so many sessions, and a
# connection that nobody has used for so many seconds, let reads spread again over one that came back.
READERS: dict[str, Setting] = {"child_max_connections": 200, "connection_life_time": 60}


# What Pgpool-II has asked the catalogs, shared by the children. Its defaults, 64 MB and a table for a million entries
# of 48 bytes, are filled with zeros at each start of each endpoint; this holds what fifty thousand questions need.
CATALOG_CACHE: dict[str, Setting] = {"memqcache_total_size": 16 * 1024**2, "memqcache_max_num_cache": 50_000}


# Clients of a full balanced endpoint that the kernel keeps until a child is free: beyond them it drops their first packets,
# which they repeat later and later until they give up. HAProxy queues for the other endpoints, so theirs stay few.
BACKLOG = 4096  # as many as the kernel keeps at all (net.core.somaxconn)


def config(spec: ClusterSpec, endpoint_key: str) -> str:
    """The endpoint's `pgpool.conf`; `endpoint_key` is rw, ro or pool."""
    promise = type(spec.endpoints).model_fields[endpoint_key].description
    sections = {name: _literals(values) for name, values in settings(spec, endpoint_key).items()}
    return templating.fill("pgpool.conf.j2", cluster=spec.name, promise=promise, sections=sections)


def _literals(values: dict[str, Setting]) -> dict[str, str]:
    return {key: literal(value) for key, value in values.items()}


def settings(spec: ClusterSpec, endpoint_key: str) -> dict[str, dict[str, Setting]]:
    """Every setting of an endpoint, by section, in the order of the file."""
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
            **(READERS if endpoint_key == "ro" else {}),
            **(
                {"listen_backlog_multiplier": -(-BACKLOG // endpoint.num_init_children)}
                if endpoint_key == "balanced"
                else {}
            ),
            **CATALOG_CACHE,
        },
        "Balancing": _balancing(endpoint_key),
        "Checks": _checks(spec, endpoint_key),
        "Failover: Patroni alone decides who is primary, so no command is run here": {
            "failover_command": "",
            "follow_primary_command": "",
            "failover_on_backend_error": False,
            # Keeper attaches, once a node has been fit for long enough; without it, `up` does.
            "auto_failback": False,
            "search_primary_node_timeout": spec.pgpool.search_primary_node_timeout,
        },
        "Log": {"log_destination": "stderr", "log_line_prefix": "%m %a[%p]: "},
        "From cluster.toml": dict(spec.pgpool.parameters),
    }


def _servers(spec: ClusterSpec, endpoint_key: str) -> dict[str, Setting]:
    if endpoint_key == "balanced":
        servers: dict[str, Setting] = {"backend_clustering_mode": "streaming_replication"}
        for i, node in enumerate(spec.nodes):
            servers[f"backend_hostname{i}"] = node.name
            servers[f"backend_port{i}"] = 5432
            servers[f"backend_weight{i}"] = 1
            servers[f"backend_flag{i}"] = "ALLOW_TO_FAILOVER"
            servers[f"backend_application_name{i}"] = node.name
        return servers
    inner = spec.haproxy.primary_port if endpoint_key == "rw" else spec.haproxy.standby_port
    endpoint = spec.haproxy.service
    return {
        # In both modes a server that is always the primary is asked for nothing; in this one each Parse, Execute and
        # Close is followed by a flush (pool_extended_send_and_wait in Pgpool-II 4.6's pool_query_context.c).
        "backend_clustering_mode": spec.pgpool.one_server_mode,
        "backend_hostname0": sockets.folder(endpoint) if sockets.endpoints(spec) else endpoint,
        "backend_port0": inner,
        "backend_weight0": 1,
        "backend_flag0": "ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER",
    }


def _balancing(endpoint_key: str) -> dict[str, Setting]:
    """What makes a session of the balanced endpoint read what it wrote; what it can't mend is in docs/endpoints.md.

    The pattern list and relcache_expire were measured without and with (tests/e2e/test_balanced_endpoint.py);
    check_unlogged_table and allow_sql_comments state a default that the endpoint relies on.
    """
    if endpoint_key != "balanced":
        return {"load_balance_mode": False}
    return {
        "load_balance_mode": True,
        # A session's first write takes its reads to the primary for good: a standby confirms before it replays.
        "disable_load_balance_on_write": "always",
        # One standby a session: SET reaches the primary and that one only, so another would not know it.
        "statement_level_load_balance": False,
        # Pgpool follows CREATE and DROP of temporary tables itself; "catalog" asks the primary each time.
        "check_temp_table": "trace",
        # A standby can't read unlogged tables at all (0A000).
        "check_unlogged_table": True,
        # A leading comment takes a statement to the primary: the user's own way to say "not from a standby".
        "allow_sql_comments": False,
        # PREPARE of a read: EXECUTE follows it, even after a write, so a standby would answer stale; in the extended
        # protocol EXECUTE doesn't find it at all (26000). The functions are declared stable, yet two fail on a
        # standby (25006), and pg_backend_pid() would name a process that holds none of the session's locks.
        "primary_routing_query_pattern_list": (
            "[[:space:]]*PREPARE.*;.*pg_current_xact_id.*;.*txid_current.*;.*pg_backend_pid.*"
        ),
        # Whether a function is volatile and a table unlogged is cached; 0 keeps it for ever, also when it's redefined.
        "relcache_expire": 5,
    }


def _checks(spec: ClusterSpec, endpoint_key: str) -> dict[str, Setting]:
    """The one-server endpoints check nothing: HAProxy follows the roles for them, and their server is never detached."""
    balanced = endpoint_key == "balanced"
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
    """Must Pgpool-II restart to go from one pgpool.conf to another? Reading the lines is enough: we wrote them."""
    changed = set(_lines(old).items()) ^ set(_lines(new).items())
    return any(key in NEEDS_RESTART or key.startswith("backend_") for key, _ in changed)


def _lines(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}
