"""What limits one PostgreSQL as its counters and settings show it: connections, memory, checkpoints."""

from __future__ import annotations

from poolkeeper.doctor.rules.rule import Decision, Rule, amount, lasting, share
from poolkeeper.model.diagnosis import DoctorFinding, NodeLoad
from poolkeeper.model.probe import Reading

NEARLY_FULL = 0.9
LEAST_HITS, ENOUGH_BLOCKS = 0.95, 10_000
TEMP_FILES = 0.01  # a transaction
DEADLOCKS = 0.0001  # a transaction
ENOUGH_TRANSACTIONS = 1_000
ENOUGH_CHECKPOINTS = 10


def _connections(look: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    reserved = load.number("superuser_reserved_connections") + load.number("reserved_connections")
    room, used = load.number("max_connections") - reserved, load.activity.clients + 1
    figure = f"{used} of {room}"
    says = f"{figure} connections are in use, {load.activity.busy} of them not idle"
    return look.judged(used >= NEARLY_FULL * room, figure, says, seen)


def _cache(look: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    blocks = counted.hits + counted.reads
    ratio = share(counted.hits, blocks)
    poor = blocks >= ENOUGH_BLOCKS and counted.hits < LEAST_HITS * blocks
    says = f"{ratio} of {blocks:,} blocks were found in shared_buffers"
    return look.judged(poor, ratio, says, seen)


def _temp_files(look: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    many = counted.transactions >= ENOUGH_TRANSACTIONS and counted.temp_files > TEMP_FILES * counted.transactions
    says = (
        f"{counted.temp_files:,} temporary files, {amount(counted.temp_bytes)} in {counted.transactions:,} transactions"
    )
    return look.judged(many, str(counted.temp_files), says, seen)


def _deadlocks(look: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    many = counted.transactions >= ENOUGH_TRANSACTIONS and counted.deadlocks > DEADLOCKS * counted.transactions
    says = f"{counted.deadlocks:,} deadlocks in {counted.transactions:,} transactions"
    return look.judged(many, str(counted.deadlocks), says, seen)


def _checkpoints(look: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    counted = load.counters
    asked, count = counted.checkpoints_requested, counted.checkpoints_requested + counted.checkpoints_timed
    pause = counted.seconds / count if count else 0.0
    often = pause < load.number("checkpoint_timeout") / 2
    limits = asked >= ENOUGH_CHECKPOINTS and 2 * asked > count and often
    figure = f"{asked} of {count}"
    says = f"{figure} checkpoints were requested, not timed, in {lasting(counted.seconds)}"
    return look.judged(limits and not load.in_recovery, figure, says, seen)


CHECKS: tuple[tuple[Rule, Decision], ...] = (
    (
        Rule(
            "postgresql.connections",
            "",
            f"{NEARLY_FULL:.0%} of those that are not reserved",
            "postgresql.max_connections",
            "Raise it (poolkeeper tune; each costs memory), or lower an endpoint's num_init_children × max_pool or a direct "
            "endpoint's max_sessions.",
            "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        ),
        _connections,
    ),
    (
        Rule(
            "postgresql.cache",
            "",
            f"{LEAST_HITS:.0%} of blocks found in shared_buffers, of {ENOUGH_BLOCKS} at the least",
            "postgresql.parameters.shared_buffers",
            "Raise it (poolkeeper tune says how far memory allows); a missing index reads too much as well.",
            "SELECT relname, heap_blks_read, idx_blks_read FROM pg_statio_user_tables ORDER BY 2 DESC LIMIT 10",
        ),
        _cache,
    ),
    (
        Rule(
            "postgresql.temp_files",
            "",
            f"{TEMP_FILES:.0%} of the transactions, of {ENOUGH_TRANSACTIONS} at the least",
            "postgresql.parameters.work_mem",
            "Raise it (poolkeeper tune says how far memory allows), or for the one role that sorts so much.",
            "SELECT datname, temp_files, temp_bytes FROM pg_stat_database; log_temp_files = 0 logs the statements",
        ),
        _temp_files,
    ),
    (
        Rule(
            "postgresql.deadlocks",
            "",
            f"1 in {1 / DEADLOCKS:,.0f} transactions, of {ENOUGH_TRANSACTIONS} at the least",
            "",
            "Have all transactions lock rows in the same order; PostgreSQL's log has both statements of each.",
            "SELECT datname, deadlocks FROM pg_stat_database",
        ),
        _deadlocks,
    ),
    (
        Rule(
            "postgresql.checkpoints",
            "",
            f"more often than every half checkpoint_timeout, most of them requested, {ENOUGH_CHECKPOINTS} at the least",
            "postgresql.parameters.max_wal_size",
            "Raise it (poolkeeper tune); failovers, switchovers and base backups request checkpoints as well.",
            "SELECT * FROM pg_stat_checkpointer; log_checkpoints tells the cause of each",
        ),
        _checkpoints,
    ),
)
