"""The load of a PostgreSQL 17 as its views report it: sessions, locks, counters, slots, standbys, vacuum.

The role needs pg_monitor. Each call opens one session and only reads; its errors are those of `postgres.session`.
"""

from __future__ import annotations

from poolkeeper.model.diagnosis import Activity, Counters, DeadRows, NodeLoad, SlotUse, StandbyLag, Vacuuming
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import postgres

SETTINGS = """
SELECT name, setting, pending_restart, pg_is_in_recovery() FROM pg_settings
 WHERE pending_restart OR name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections',
       'checkpoint_timeout', 'autovacuum', 'autovacuum_freeze_max_age', 'autovacuum_multixact_freeze_max_age',
       'max_slot_wal_keep_size', 'max_wal_senders', 'max_replication_slots')
"""
ACTIVITY = """
SELECT count(*) FILTER (WHERE backend_type = 'client backend'),
       count(*) FILTER (WHERE backend_type = 'client backend' AND state <> 'idle'),
       coalesce(max(extract(epoch FROM clock_timestamp() - xact_start))
                FILTER (WHERE backend_type = 'client backend'), 0)::float8,
       coalesce(max(extract(epoch FROM clock_timestamp() - state_change))
                FILTER (WHERE state LIKE 'idle in transaction%'), 0)::float8,
       count(*) FILTER (WHERE wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '1 second'),
       coalesce(max(greatest(age(backend_xmin), age(backend_xid))), 0)
  FROM pg_stat_activity WHERE pid <> pg_backend_pid()
"""
LOCKS = """
SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8
  FROM pg_locks WHERE NOT granted AND waitstart < clock_timestamp() - interval '1 second'
"""
PREPARED = """
SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - prepared)), 0)::float8,
       coalesce(max(age(transaction)), 0)
  FROM pg_prepared_xacts
"""
DATABASE_COUNTERS = """
SELECT sum(blks_hit)::bigint, sum(blks_read)::bigint, sum(temp_files)::bigint, sum(temp_bytes)::bigint,
       sum(deadlocks)::bigint, sum(xact_commit + xact_rollback)::bigint
  FROM pg_stat_database
"""
CHECKPOINTS = """
SELECT num_timed, num_requested,
       extract(epoch FROM clock_timestamp() - coalesce(stats_reset, pg_postmaster_start_time()))::float8
  FROM pg_stat_checkpointer
"""
AGES = "SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database"
SLOTS = """
SELECT slot_name, slot_type, active, coalesce(wal_status, ''), safe_wal_size,
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END,
       coalesce(greatest(age(xmin), age(catalog_xmin)), 0),
       coalesce(extract(epoch FROM clock_timestamp() - inactive_since), 0)::float8
  FROM pg_replication_slots ORDER BY 1
"""
STANDBYS = """
SELECT application_name, state, sync_state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint,
       extract(epoch FROM replay_lag)::float8
  FROM pg_stat_replication WHERE application_name <> 'pg_basebackup' ORDER BY 1
"""
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
DISABLED = """
SELECT format('%I.%I', n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm')
   AND EXISTS (SELECT FROM unnest(c.reloptions) o WHERE o ~* '^autovacuum_enabled=(false|off|no|f|n|0)$')
 ORDER BY 1
"""
BEHIND = """
SELECT format('%I.%I', schemaname, relname), n_dead_tup, n_live_tup FROM pg_stat_user_tables
 WHERE n_dead_tup > 10000 AND n_dead_tup > 0.4 * n_live_tup ORDER BY n_dead_tup DESC LIMIT 10
"""


async def node_load(dsn: Dsn, timeout: float) -> NodeLoad:
    """Return one server's load; `timeout` in seconds bounds each statement."""
    async with postgres.session(dsn, timeout) as opened:
        settings = await opened.rows(SETTINGS)
        in_recovery = bool(settings[0][3])
        (activity,) = await opened.rows(ACTIVITY)
        (locks,) = await opened.rows(LOCKS)
        (prepared,) = await opened.rows(PREPARED)
        (counters,) = await opened.rows(DATABASE_COUNTERS)
        (checkpoints,) = await opened.rows(CHECKPOINTS)
        ages = await opened.rows(AGES)
        slots = await opened.rows(SLOTS)
        standbys = [] if in_recovery else await opened.rows(STANDBYS)
    return NodeLoad(
        in_recovery=in_recovery,
        settings={name: value for name, value, _, _ in settings},
        pending=tuple(sorted(name for name, _, is_pending, _ in settings if is_pending)),
        activity=Activity(*activity, *locks, *prepared),
        counters=Counters(*counters, *checkpoints),
        oldest_xid=max(((name, age) for name, age, _ in ages), key=lambda pair: pair[1]),
        oldest_multixact=max(((name, age) for name, _, age in ages), key=lambda pair: pair[1]),
        slots=tuple(SlotUse(*row) for row in slots),
        standbys=tuple(StandbyLag(*row) for row in standbys),
    )


async def databases(dsn: Dsn, timeout: float) -> tuple[str, ...]:
    """Return every database that accepts connections and is no template."""
    return tuple(str(row[0]) for row in await postgres.query(dsn, DATABASES, timeout))


async def vacuuming(dsn: Dsn, timeout: float) -> Vacuuming:
    """Return the tables of the session's database without autovacuum, and those with many dead rows."""
    async with postgres.session(dsn, timeout) as opened:
        disabled = await opened.rows(DISABLED)
        behind = await opened.rows(BEHIND)
    return Vacuuming(tuple(str(row[0]) for row in disabled), tuple(DeadRows(*row) for row in behind))
