"""Rules for limits that come later: old transactions, tables without autovacuum, accumulating dead rows."""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.cluster.reading import listed
from poolkeeper.doctor.rules.rule import Rule, SomeReading, value_of
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding, NodeLoad
from poolkeeper.model.probe import Reading
from poolkeeper.model.spec import ClusterSpec

OVERDUE = 1.5  # times autovacuum_freeze_max_age: the vacuum that starts at 1 is not done, or does not help
SHOWN = 5
AGES_QUERY = "SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database ORDER BY 2 DESC"


def evaluate(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Yield the findings of the primary, where alone vacuum runs; without one primary all are unknown."""
    del spec
    reading = facts.nodes.get(facts.primary) if facts.primary else None
    load = value_of(reading)
    silent = [other for other in facts.nodes.values() if other.value is None]
    why = "" if silent else "the nodes do not report exactly one primary"
    for rule, multixact in _ages():
        if load is None or reading is None:
            yield rule.unknown(*silent, why=why)
        else:
            yield _wraparound(rule, load, reading, multixact)
    rule = Rule("vacuum.autovacuum", "cluster", "on", "postgresql.parameters.autovacuum", "Set it to on.")
    if load is None:
        yield rule.unknown(*silent, why=why)
    else:
        value = load.settings["autovacuum"]
        yield rule.finding(value != "on", value, f"autovacuum is {value}", reading)
    yield from _tables(facts, why, silent)


def _ages() -> tuple[tuple[Rule, bool], ...]:
    advice = "Vacuum that database (vacuumdb --freeze), and end the holder of its old rows: see postgresql.oldest_xmin."
    words = {False: "autovacuum_freeze_max_age", True: "autovacuum_multixact_freeze_max_age"}
    names = {False: "vacuum.wraparound", True: "vacuum.multixact_wraparound"}
    return tuple(
        (Rule(names[kind], "cluster", f"{OVERDUE:g} × {words[kind]}", "", advice, AGES_QUERY), kind)
        for kind in (False, True)
    )


def _wraparound(rule: Rule, load: NodeLoad, seen: Reading[NodeLoad], multixact: bool) -> DoctorFinding:
    database, age = load.oldest_multixact if multixact else load.oldest_xid
    limit = load.number("autovacuum_multixact_freeze_max_age" if multixact else "autovacuum_freeze_max_age")
    text = f"the oldest {'multixact' if multixact else 'transaction'} is {age:,} old, in the database {database}"
    return rule.finding(age > OVERDUE * limit, f"{age:,}", f"{text}; vacuum starts at {limit:,}", seen)


def _tables(facts: ClusterFacts, why: str, silent: list[Reading[NodeLoad]]) -> Iterator[DoctorFinding]:
    if facts.databases is None or facts.databases.value is None:
        seen: list[SomeReading] = [*silent, *([facts.databases] if facts.databases else [])]
        reason = why if facts.databases is None else ""
        for make_rule in (_disabled_rule, _behind_rule):
            yield make_rule("cluster").unknown(*seen, why=reason)
        return
    for database in facts.databases.value:
        reading = facts.vacuuming.get(database)
        found = value_of(reading)
        disabled, behind = _disabled_rule(database), _behind_rule(database)
        if found is None:
            skipped = "there are too many databases to check each" if reading is None else ""
            yield disabled.unknown(reading, why=skipped)
            yield behind.unknown(reading, why=skipped)
            continue
        names = _some(list(found.disabled))
        text = f"autovacuum is off for {names}" if found.disabled else "autovacuum is off for no table"
        yield disabled.finding(bool(found.disabled), str(len(found.disabled)), text, reading)
        rows = _some([f"{t.table} ({t.dead:,} dead, {t.live:,} live)" for t in found.behind])
        text = f"dead rows accumulate in {rows}" if found.behind else "dead rows accumulate in no table"
        yield behind.finding(bool(found.behind), str(len(found.behind)), text, reading)


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    more = len(names) - SHOWN
    return listed([*names[:SHOWN], *([f"{more} more"] if more > 0 else [])])


def _disabled_rule(database: str) -> Rule:
    return Rule(
        "vacuum.disabled_tables",
        database,
        "no table",
        "",
        "ALTER TABLE … RESET (autovacuum_enabled): nothing removes its dead rows.",
        "SELECT oid::regclass, reloptions FROM pg_class WHERE reloptions::text LIKE '%autovacuum_enabled%'",
    )


def _behind_rule(database: str) -> Rule:
    return Rule(
        "vacuum.dead_rows",
        database,
        "10,000 dead rows that are 40% of the live rows",
        "postgresql.parameters.autovacuum_vacuum_cost_limit",
        "Find the holder of the oldest snapshot (postgresql.oldest_xmin); else make autovacuum faster: raise "
        "autovacuum_vacuum_cost_limit, or lower autovacuum_vacuum_scale_factor for that table.",
        "SELECT relname, n_dead_tup, n_live_tup, last_autovacuum FROM pg_stat_user_tables ORDER BY 2 DESC LIMIT 10",
    )
