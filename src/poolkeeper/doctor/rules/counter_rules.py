"""Rules for the counters and settings of one PostgreSQL: connections, memory, deadlocks, checkpoints."""

from __future__ import annotations

from poolkeeper.doctor.rules.rule import NodeCheck, Rule, amount, lasting, share
from poolkeeper.model.diagnosis import DoctorFinding, NodeLoad
from poolkeeper.model.probe import Reading

NEARLY_FULL = 0.9
LEAST_HITS, ENOUGH_BLOCKS = 0.95, 10_000
TEMP_FILES = 0.01  # a transaction
DEADLOCKS = 0.0001  # a transaction
ENOUGH_TRANSACTIONS = 1_000
ENOUGH_CHECKPOINTS = 10


def _connections(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    reserved = load.number("superuser_reserved_connections") + load.number("reserved_connections")
    usable, used = load.number("max_connections") - reserved, load.activity.clients + 1  # and our session
    figure = f"{used} of {usable}"
    text = f"{figure} connections are in use, {load.activity.busy} of them not idle"
    return rule.finding(used >= NEARLY_FULL * usable, figure, text, seen)


def _cache(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    blocks = counted.hits + counted.reads
    ratio = share(counted.hits, blocks)
    poor = blocks >= ENOUGH_BLOCKS and counted.hits < LEAST_HITS * blocks
    text = f"{ratio} of {blocks:,} blocks were found in shared_buffers"
    return rule.finding(poor, ratio, text, seen)


def _temp_files(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    many = counted.transactions >= ENOUGH_TRANSACTIONS and counted.temp_files > TEMP_FILES * counted.transactions
    text = (
        f"{counted.temp_files:,} temporary files, {amount(counted.temp_bytes)} in {counted.transactions:,} transactions"
    )
    return rule.finding(many, str(counted.temp_files), text, seen)


def _deadlocks(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    many = counted.transactions >= ENOUGH_TRANSACTIONS and counted.deadlocks > DEADLOCKS * counted.transactions
    text = f"{counted.deadlocks:,} deadlocks in {counted.transactions:,} transactions"
    return rule.finding(many, str(counted.deadlocks), text, seen)


def _checkpoints(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    asked, count = counted.checkpoints_requested, counted.checkpoints_requested + counted.checkpoints_timed
    pause = counted.seconds / count if count else 0.0
    often = pause < load.number("checkpoint_timeout") / 2
    is_limiting = asked >= ENOUGH_CHECKPOINTS and 2 * asked > count and often
    figure = f"{asked} of {count}"
    text = f"{figure} checkpoints were requested, not timed, in {lasting(counted.seconds)}"
    return rule.finding(is_limiting and not load.in_recovery, figure, text, seen)


CHECKS: tuple[tuple[Rule, NodeCheck], ...] = (
    (
        Rule(
            "postgresql.connections",
            "",
            f"{NEARLY_FULL:.0%} of the connections that are not reserved",
            "postgresql.max_connections",
            "Raise it (poolkeeper tune; each connection costs memory), or lower an endpoint's num_init_children × "
            "max_pool or a direct endpoint's max_sessions.",
            "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        ),
        _connections,
    ),
    (
        Rule(
            "postgresql.cache",
            "",
            f"{LEAST_HITS:.0%} of blocks found in shared_buffers, once {ENOUGH_BLOCKS} were requested",
            "postgresql.parameters.shared_buffers",
            "Raise it (poolkeeper tune computes what memory allows); a missing index also reads too many blocks.",
            "SELECT relname, heap_blks_read, idx_blks_read FROM pg_statio_user_tables ORDER BY 2 DESC LIMIT 10",
        ),
        _cache,
    ),
    (
        Rule(
            "postgresql.temp_files",
            "",
            f"{TEMP_FILES:.0%} of the number of transactions, once there were {ENOUGH_TRANSACTIONS}",
            "postgresql.parameters.work_mem",
            "Raise it (poolkeeper tune computes what memory allows), or only for the role with the large sorts.",
            "SELECT datname, temp_files, temp_bytes FROM pg_stat_database; log_temp_files = 0 logs the statements",
        ),
        _temp_files,
    ),
    (
        Rule(
            "postgresql.deadlocks",
            "",
            f"1 in {1 / DEADLOCKS:,.0f} transactions, once there were {ENOUGH_TRANSACTIONS}",
            "",
            "Lock rows in the same order in all transactions; PostgreSQL's log has both statements of each deadlock.",
            "SELECT datname, deadlocks FROM pg_stat_database",
        ),
        _deadlocks,
    ),
    (
        Rule(
            "postgresql.checkpoints",
            "",
            f"a mean interval below half of checkpoint_timeout, most requested, {ENOUGH_CHECKPOINTS} at the least",
            "postgresql.parameters.max_wal_size",
            "Raise it (poolkeeper tune); failovers, switchovers and base backups also request checkpoints.",
            "SELECT * FROM pg_stat_checkpointer; log_checkpoints logs the cause of each",
        ),
        _checkpoints,
    ),
)
