"""Which standbys are eligible to serve reads: by Patroni's keys in the store and the leader's remembered positions.

Invariant: a standby is eligible only if it streams on the leader's timeline, is within the lag bound, and is not known
to be older than the staleness bound. A fact that the store does not hold makes it ineligible.
"""

from __future__ import annotations

from poolkeeper.model.decision import Memory
from poolkeeper.model.observed_state import Member, ObservedState, StoreView
from poolkeeper.model.spec import ClusterSpec


def remember(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> Memory:
    """Return the memory after this iteration: since when each standby is eligible, and the leader's positions."""
    view = observed.store.value
    if view is None:
        return Memory({}, memory.last_release, memory.progress)  # eligibility that could not be observed starts again
    progress = _advance(memory.progress, observed.at, view.leader_lsn, keep=2 * spec.keeper.max_read_staleness_seconds)
    kept = Memory(memory.eligible_since, memory.last_release, progress)
    eligible = {name for name in view.members if ineligible_because(spec, observed, kept, name) is None}
    return Memory(
        {name: memory.eligible_since.get(name, observed.at) for name in eligible}, memory.last_release, progress
    )


def _advance(
    progress: tuple[tuple[float, int], ...], now: float, position: int | None, keep: float
) -> tuple[tuple[float, int], ...]:
    """Add a position: they only grow, and of those older than `keep` seconds the newest is kept.

    A new leader can be behind the former one's last position, which no other node had. No standby is measured by it.
    """
    if position is not None:
        progress = tuple(entry for entry in progress if entry[1] <= position)
        if not progress or position > progress[-1][1]:
            progress = (*progress, (now, position))
    old = [entry for entry in progress if entry[0] < now - keep]
    return (*old[-1:], *progress[len(old) :])


def staleness(memory: Memory, now: float, position: int) -> float:
    """Return for how many seconds at least the leader is known to be ahead of this position; 0 if it is not."""
    return next((now - seen for seen, leader in memory.progress if leader > position), 0.0)


def seconds_behind(observed: ObservedState, memory: Memory, member: Member) -> float:
    """Return for how many seconds at least a member is known to lack WAL, received or replayed; 0 if it lacks none."""
    replayed = observed.replayed.get(member.name)
    received = 0.0 if member.lsn is None else staleness(memory, observed.at, member.lsn)
    return max(received, staleness(memory, replayed.at, replayed.lsn) if replayed else 0.0)


def ineligible_because(spec: ClusterSpec, observed: ObservedState, memory: Memory, name: str) -> str | None:
    """Return why this node may not serve reads as a standby; None if it may."""
    view = observed.store.value
    member = view.members.get(name) if view else None
    if view is None or member is None:
        return "Patroni does not know it"
    if observed.is_dead(name):
        return "it is dead"
    if view.lease is None:
        return "there is no leader to compare it with"
    if name == view.lease.owner:
        return "it holds the lease"
    if not member.is_streaming:
        return f"Patroni reports {member.state}, not streaming"
    return _behind_because(spec, observed, memory, view, member)


def _behind_because(
    spec: ClusterSpec, observed: ObservedState, memory: Memory, view: StoreView, member: Member
) -> str | None:
    leader = view.members.get(view.lease.owner) if view.lease else None
    if leader is None or leader.timeline is None or member.timeline != leader.timeline:
        return f"it is on timeline {member.timeline}, the leader on {leader.timeline if leader else 'an unknown one'}"
    if member.lsn is None or view.leader_lsn is None:
        return "its position is unknown"
    lag = view.leader_lsn - member.lsn
    if lag > spec.replication.max_read_lag_bytes:
        return f"it is {lag} bytes behind"
    age = seconds_behind(observed, memory, member)
    if age > spec.keeper.max_read_staleness_seconds:
        return f"it is {age:.0f} s behind"
    return None
