"""What limits writes and fresh reads: the quorum, how far the standbys are behind, WAL that slots hold."""

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


def judge(spec: ClusterSpec, facts: ClusterFacts) -> Iterator[DoctorFinding]:
    """The primary's standbys, then each node's slots; without one primary the first is unknown."""
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
    return "" if _silent(facts) else "the nodes do not tell one primary"


def _quorum(spec: ClusterSpec, facts: ClusterFacts, reading: Reading[NodeLoad] | None) -> DoctorFinding:
    declared = spec.replication
    needed = 0 if declared.synchronous_mode == "off" else declared.quorum_acknowledgements
    look = Rule(
        "replication.quorum",
        "cluster",
        f"{spec.standby_count} standbys stream; a commit waits for {needed}",
        "replication.quorum_acknowledgements",
        "Bring the missing standby back (poolkeeper status says what it lacks); one more loss may stop writes.",
        "SELECT application_name, state, sync_state FROM pg_stat_replication",
    )
    load = value_of(reading)
    if load is None:
        return look.unknown(*_silent(facts), why=_no_primary(facts))
    streaming = [s for s in load.standbys if s.state == "streaming"]
    acknowledging = [s for s in streaming if s.sync_state in ACKNOWLEDGES]
    figure = f"{len(streaming)} of {spec.standby_count}"
    says = f"{figure} standbys stream, {len(acknowledging)} may acknowledge a commit"
    short = bool(needed) and len(acknowledging) < needed
    says += ": commits wait" if short and declared.synchronous_mode_strict else ""
    return look.judged(short or len(streaming) < spec.standby_count, figure, says, reading)


def _slow_commits(reading: Reading[NodeLoad] | None, facts: ClusterFacts) -> DoctorFinding:
    look = Rule(
        "replication.commit_wait",
        "cluster",
        "no commit waits for a standby for longer than 1 s",
        "replication.quorum_acknowledgements",
        "Look at the standbys' disks and at the network: a commit returns when that many standbys have it on disk.",
        "SELECT pid, query_start, query FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
    )
    load = value_of(reading)
    if load is None:
        return look.unknown(*_silent(facts), why=_no_primary(facts))
    count = load.activity.slow_commits
    says = f"{count} commits have waited for a standby for more than a second"
    return look.judged(count > 0, str(count), says, reading)


def _standby(
    spec: ClusterSpec, facts: ClusterFacts, name: str, reading: Reading[NodeLoad] | None
) -> Iterator[DoctorFinding]:
    endpoint, balanced = spec.replication.max_read_lag_bytes, spec.pgpool.delay_threshold_bytes
    seconds = spec.keeper.max_read_staleness_seconds
    look = Rule(
        "replication.lag",
        name,
        f"{amount(balanced)} (pgpool.delay_threshold_bytes: no reads at {spec.endpoints.balanced.port}), {amount(endpoint)} "
        f"(replication.max_read_lag_bytes) or {seconds} s (keeper.max_read_staleness_seconds: none at "
        f"{spec.endpoints.ro.port})",
        "pgpool.delay_threshold_bytes",
        "Look what holds replay back: a long query on the standby, its disk, a burst of writes. A bound that is passed "
        "each time may be raised, at the price of older reads.",
        "SELECT application_name, replay_lsn, replay_lag FROM pg_stat_replication",
    )
    load = value_of(reading)
    if load is None:
        yield look.unknown(*_silent(facts), why=_no_primary(facts))
        return
    row = next((standby for standby in load.standbys if standby.application == name), None)
    if row is None:
        yield look.limits("none", f"{name} is no standby of the primary", reading)
        return
    if row.bytes is None:
        yield look.unknown(reading, why=f"the primary does not tell how far {name} has replayed")
        return
    figure = amount(row.bytes) + (f", {lasting(row.seconds)}" if row.seconds else "")
    broken = _bounds(row, balanced, endpoint, seconds)
    says = f"{name} has {figure} not yet replayed" + (f": beyond {listed(broken)}" if broken else "")
    yield look.judged(bool(broken), figure, says, reading)


def _bounds(row: StandbyLag, balanced: int, endpoint: int, seconds: int) -> list[str]:
    behind = row.bytes or 0
    passed = {
        "pgpool.delay_threshold_bytes": 0 < balanced < behind,
        "replication.max_read_lag_bytes": behind > endpoint,
        "keeper.max_read_staleness_seconds": (row.seconds or 0) > seconds,
    }
    return [name for name, is_passed in passed.items() if is_passed]


def _slots(spec: ClusterSpec, node: str, reading: Reading[NodeLoad] | None) -> DoctorFinding:
    kept = spec.postgresql.parameters.get("max_slot_wal_keep_size", "-1")
    look = Rule(
        "replication.slots",
        node,
        f"half of max_slot_wal_keep_size ({kept}) held, or WAL no longer kept for a slot",
        "postgresql.parameters.max_slot_wal_keep_size",
        "Bring back who reads from the slot, or drop it (pg_drop_replication_slot); a standby whose WAL is lost is "
        "cloned anew: poolkeeper reinit NODE.",
        "SELECT slot_name, active, wal_status, safe_wal_size, inactive_since FROM pg_replication_slots",
    )
    load = value_of(reading)
    if load is None:
        return look.unknown(reading)
    bad = [text for slot in load.slots if (text := _held(slot))]
    most = max((slot.retained_bytes or 0 for slot in load.slots), default=0)
    says = listed(bad) if bad else f"{len(load.slots)} slots, none holds too much WAL"
    return look.judged(bool(bad), amount(most), says, reading)


def _held(slot: SlotUse) -> str:
    """What is wrong with a slot; "" if nothing. What is held and what may still be written are the whole limit."""
    if slot.wal_status in LOST:
        return f"{slot.name}: its WAL is {slot.wal_status}"
    if slot.retained_bytes is None or slot.safe_bytes is None:
        return ""
    if slot.retained_bytes > HALF_KEPT * (slot.retained_bytes + slot.safe_bytes):
        idle = "" if slot.active else f", unused for {lasting(slot.inactive_seconds)}"
        return f"{slot.name} holds {amount(slot.retained_bytes)}, {amount(slot.safe_bytes)} are left{idle}"
    return ""


def _maintenance(spec: ClusterSpec, facts: ClusterFacts) -> DoctorFinding:
    look = Rule(
        "cluster.maintenance",
        "cluster",
        "off",
        "",
        "End it: poolkeeper maintenance off. Until then nobody elects and nobody mends.",
        "poolkeeper status",
    )
    views = [facts.patroni[node.name] for node in spec.nodes if node.name in facts.patroni]
    told = [reading for reading in views if reading.value is not None]
    if not told:
        return look.unknown(*views)
    paused = any(reading.value.paused for reading in told if reading.value)
    says = "Patroni is paused: after a failure nobody is elected" if paused else "Patroni elects after a failure"
    return look.judged(paused, "on" if paused else "off", says, *told)
