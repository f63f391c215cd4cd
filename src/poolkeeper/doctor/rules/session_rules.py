"""Rules for the sessions of one PostgreSQL: long transactions, old snapshots, locks."""

from __future__ import annotations

from poolkeeper.doctor.rules.rule import NodeCheck, Rule, lasting
from poolkeeper.model.diagnosis import DoctorFinding, NodeLoad
from poolkeeper.model.probe import Reading

LONG_TRANSACTION, LONG_IDLE, LONG_LOCK = 900.0, 300.0, 1.0  # seconds
OLD_XMIN = 10_000_000  # transactions


def _long_transactions(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    longest = load.activity.longest_transaction
    figure = lasting(longest)
    return rule.finding(longest > LONG_TRANSACTION, figure, f"the longest transaction has been open for {figure}", seen)


def _idle(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    longest = load.activity.longest_idle_transaction
    figure = lasting(longest)
    text = (
        f"a session has been idle in its transaction for {figure}" if longest else "no session is idle in a transaction"
    )
    return rule.finding(longest > LONG_IDLE, figure, text, seen)


def _oldest_xmin(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    ages = {
        "a session": load.activity.xmin_age,
        "a prepared transaction": load.activity.prepared_age,
        **{f"the slot {slot.name}": slot.xmin_age for slot in load.slots},
    }
    holder, age = max(ages.items(), key=lambda pair: pair[1])
    text = f"the oldest snapshot is {age:,} transactions old" + (f", held by {holder}" if age else "")
    return rule.finding(age > OLD_XMIN, f"{age:,}", text, seen)


def _prepared(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    doing = load.activity
    text = f"{doing.prepared} prepared transactions, the oldest for {lasting(doing.longest_prepared)}"
    return rule.finding(doing.longest_prepared > LONG_IDLE, str(doing.prepared), text, seen)


def _lock_waits(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad]) -> DoctorFinding:
    doing = load.activity
    text = f"{doing.lock_waits} sessions have waited for a lock for more than a second"
    text += f", the longest for {lasting(doing.longest_lock_wait)}" if doing.lock_waits else ""
    return rule.finding(doing.lock_waits > 0, str(doing.lock_waits), text, seen)


CHECKS: tuple[tuple[Rule, NodeCheck], ...] = (
    (
        Rule(
            "postgresql.long_transactions",
            "",
            lasting(LONG_TRANSACTION),
            "postgresql.parameters.transaction_timeout",
            "End it, or bound such transactions with transaction_timeout or statement_timeout.",
            "SELECT pid, usename, state, xact_start, query FROM pg_stat_activity ORDER BY xact_start LIMIT 10",
        ),
        _long_transactions,
    ),
    (
        Rule(
            "postgresql.idle_in_transaction",
            "",
            lasting(LONG_IDLE),
            "postgresql.parameters.idle_in_transaction_session_timeout",
            "Have the client commit before it waits; this parameter ends the sessions that do not.",
            "SELECT pid, usename, state_change, query FROM pg_stat_activity WHERE state LIKE 'idle in tr%' ORDER BY 3",
        ),
        _idle,
    ),
    (
        Rule(
            "postgresql.oldest_xmin",
            "",
            f"{OLD_XMIN:,} transactions",
            "",
            "End its holder (a session, a prepared transaction, a slot): vacuum keeps the rows that it may still see.",
            "SELECT pid, age(backend_xmin), query FROM pg_stat_activity ORDER BY 2 DESC NULLS LAST; pg_prepared_xacts; "
            "pg_replication_slots.xmin",
        ),
        _oldest_xmin,
    ),
    (
        Rule(
            "postgresql.prepared_transactions",
            "",
            f"one that is open for {lasting(LONG_IDLE)}",
            "",
            "Run COMMIT PREPARED or ROLLBACK PREPARED: it holds its locks and rows through every restart.",
            "SELECT gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY prepared",
        ),
        _prepared,
    ),
    (
        Rule(
            "postgresql.lock_waits",
            "",
            f"no session waits for longer than {lasting(LONG_LOCK)}",
            "postgresql.parameters.lock_timeout",
            "End or shorten the transaction that holds the lock; lock_timeout bounds the wait.",
            "SELECT pid, pg_blocking_pids(pid), wait_event, query FROM pg_stat_activity WHERE "
            "cardinality(pg_blocking_pids(pid)) > 0",
        ),
        _lock_waits,
    ),
)
