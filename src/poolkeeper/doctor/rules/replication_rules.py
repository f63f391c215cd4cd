"""Rules for writes and fresh reads: the quorum, the standbys' lag, and the WAL that slots hold."""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.cluster.reading import listed
from poolkeeper.doctor.rules.rule import Rule, amount, lasting, value_of
from poolkeeper.model.diagnosis import ClusterFacts, DoctorFinding, NodeLoad, SlotUse, StandbyLag
from poolkeeper.model.probe import Reading
from poolkeeper.model.spec import ClusterSpec

HALF_KEPT = 0.5  # of max_slot_wal_keep_size
LOST = ("unreserved", "lost")
ACKNOWLEDGES = ("quorum", "sync")


def evaluate(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """Yield the findings of the standbys, the slots and maintenance; without one primary the first are unknown."""
    primary = facts.primary
    reading = facts.nodes.get(primary) if primary else None
    yield _quorum(spec, facts, reading)
    yield _slow_commits(reading, facts)
    for node in spec.nodes:
        if node.name != primary:
            yield from _standby(spec, facts, node.name, reading)
    for node in spec.nodes:
        yield _slots(spec, node.name, facts.nodes.get(node.name))
    yield _maintenance(spec, facts)


def _silent(facts: ClusterFacts) -> tuple[Reading[NodeLoad], ...]:
    return tuple(reading for reading in facts.nodes.values() if reading.value is None)


def _no_primary(facts: ClusterFacts) -> str:
    return "" if _silent(facts) else "the nodes do not report exactly one primary"


def _quorum(spec: ClusterSpec, facts: ClusterFacts, reading: Reading[NodeLoad] | None) -> DoctorFinding:
    declared = spec.replication
    needed = 0 if declared.synchronous_mode == "off" else declared.quorum_acknowledgements
    rule = Rule(
        "replication.quorum",
        "cluster",
        f"{spec.standby_count} standbys stream; a commit waits for {needed}",
        "replication.quorum_acknowledgements",
        "Repair the missing standby (poolkeeper status shows its state); one more loss may stop writes.",
        "SELECT application_name, state, sync_state FROM pg_stat_replication",
    )
    load = value_of(reading)
    if load is None:
        return rule.unknown(*_silent(facts), why=_no_primary(facts))
    streaming = [s for s in load.standbys if s.state == "streaming"]
    acknowledging = [s for s in streaming if s.sync_state in ACKNOWLEDGES]
    figure = f"{len(streaming)} of {spec.standby_count}"
    text = f"{figure} standbys stream, {len(acknowledging)} may acknowledge a commit"
    short = bool(needed) and len(acknowledging) < needed
    text += ": commits wait" if short and declared.synchronous_mode_strict else ""
    return rule.finding(short or len(streaming) < spec.standby_count, figure, text, reading)


def _slow_commits(reading: Reading[NodeLoad] | None, facts: ClusterFacts) -> DoctorFinding:
    rule = Rule(
        "replication.commit_wait",
        "cluster",
        "no commit waits for a standby for longer than 1 s",
        "replication.quorum_acknowledgements",
        "Check the standbys' disks and the network: a commit returns once that many standbys have it on disk.",
        "SELECT pid, query_start, query FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    )
    load = value_of(reading)
    if load is None:
        return rule.unknown(*_silent(facts), why=_no_primary(facts))
    count = load.activity.slow_commits
    text = f"{count} commits have waited for a standby for more than a second"
    return rule.finding(count > 0, str(count), text, reading)


def _standby(
    spec: ClusterSpec, facts: ClusterFacts, name: str, reading: Reading[NodeLoad] | None
) -> Iterator[DoctorFinding]:
    read_only, balanced = spec.replication.max_read_lag_bytes, spec.pgpool.delay_threshold_bytes
    seconds = spec.keeper.max_read_staleness_seconds
    rule = Rule(
        "replication.lag",
        name,
        f"{amount(balanced)} (pgpool.delay_threshold_bytes: no reads at {spec.endpoints.balanced.port}), "
        f"{amount(read_only)} (replication.max_read_lag_bytes) or {seconds} s (keeper.max_read_staleness_seconds: "
        f"none at {spec.endpoints.ro.port})",
        "pgpool.delay_threshold_bytes",
        "Find what delays replay: a long query on the standby, its disk, a burst of writes. A bound that is often "
        "exceeded may be raised, at the price of older reads.",
        "SELECT application_name, replay_lsn, replay_lag FROM pg_stat_replication",
    )
    load = value_of(reading)
    if load is None:
        yield rule.unknown(*_silent(facts), why=_no_primary(facts))
        return
    row = next((standby for standby in load.standbys if standby.application == name), None)
    if row is None:
        yield rule.fires("none", f"{name} is no standby of the primary", reading)
        return
    if row.bytes is None:
        yield rule.unknown(reading, why=f"the primary does not report how far {name} has replayed")
        return
    figure = amount(row.bytes) + (f", {lasting(row.seconds)}" if row.seconds else "")
    broken = _bounds(row, balanced, read_only, seconds)
    text = f"{name} has not replayed {figure}" + (f": beyond {listed(broken)}" if broken else "")
    yield rule.finding(bool(broken), figure, text, reading)


def _bounds(row: StandbyLag, balanced: int, read_only: int, seconds: int) -> list[str]:
    behind = row.bytes or 0
    passed = {
        "pgpool.delay_threshold_bytes": 0 < balanced < behind,
        "replication.max_read_lag_bytes": behind > read_only,
        "keeper.max_read_staleness_seconds": (row.seconds or 0) > seconds,
    }
    return [name for name, is_passed in passed.items() if is_passed]


def _slots(spec: ClusterSpec, node: str, reading: Reading[NodeLoad] | None) -> DoctorFinding:
    kept = spec.postgresql.parameters.get("max_slot_wal_keep_size", "-1")
    rule = Rule(
        "replication.slots",
        node,
        f"half of max_slot_wal_keep_size ({kept}) held, or WAL no longer kept for a slot",
        "postgresql.parameters.max_slot_wal_keep_size",
        "Restart the slot's consumer, or drop the slot (pg_drop_replication_slot). Clone a standby whose WAL is lost "
        "again: poolkeeper reinit NODE.",
        "SELECT slot_name, active, wal_status, safe_wal_size, inactive_since FROM pg_replication_slots",
    )
    load = value_of(reading)
    if load is None:
        return rule.unknown(reading)
    bad = [text for slot in load.slots if (text := _held(slot))]
    most = max((slot.retained_bytes or 0 for slot in load.slots), default=0)
    text = listed(bad) if bad else f"{len(load.slots)} slots, none holds too much WAL"
    return rule.finding(bool(bad), amount(most), text, reading)


def _held(slot: SlotUse) -> str:
    """Return what is wrong with a slot; "" if nothing is. The limit is the held WAL plus the WAL that still fits."""
    if slot.wal_status in LOST:
        return f"{slot.name}: its WAL is {slot.wal_status}"
    if slot.retained_bytes is None or slot.safe_bytes is None:
        return ""
    if slot.retained_bytes > HALF_KEPT * (slot.retained_bytes + slot.safe_bytes):
        idle = "" if slot.active else f", unused for {lasting(slot.inactive_seconds)}"
        return f"{slot.name} holds {amount(slot.retained_bytes)}, {amount(slot.safe_bytes)} are left{idle}"
    return ""


def _maintenance(spec: ClusterSpec, facts: ClusterFacts) -> DoctorFinding:
    rule = Rule(
        "cluster.maintenance",
        "cluster",
        "off",
        "",
        "End it: poolkeeper maintenance off. Until then Patroni elects no primary, and nothing is repaired.",
        "poolkeeper status",
    )
    views = [facts.patroni[node.name] for node in spec.nodes if node.name in facts.patroni]
    answered = [reading for reading in views if reading.value is not None]
    if not answered:
        return rule.unknown(*views)
    paused = any(reading.value.paused for reading in answered if reading.value)
    text = (
        "Patroni is paused: after a failure it elects no primary"
        if paused
        else "Patroni elects a primary after a failure"
    )
    return rule.finding(paused, "on" if paused else "off", text, *answered)
