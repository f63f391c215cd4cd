"""Is a standby fit to serve? By Patroni's word in the store, with the leader's positions remembered.

Invariant: a standby is fit only if it streams, on the timeline of the leader, within the lag bound, and is not known to
be older than the staleness bound. What the store does not say is not fit.
"""

from __future__ import annotations

from poolkeeper.model.decision import Memory
from poolkeeper.model.observed_state import Member, ObservedState, StoreView
from poolkeeper.model.spec import ClusterSpec


def remember(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> Memory:
    """The memory after this look: how long each standby has been fit, and how far the leader had come when."""
    view = scene.store.value
    if view is None:
        return Memory({}, memory.last_release, memory.progress)  # fitness that could not be watched begins anew
    progress = _advance(memory.progress, scene.at, view.leader_lsn, keep=2 * spec.keeper.max_read_staleness_seconds)
    kept = Memory(memory.fit_since, memory.last_release, progress)
    fit = {name for name in view.members if ineligible_because(spec, scene, kept, name) is None}
    return Memory({name: memory.fit_since.get(name, scene.at) for name in fit}, memory.last_release, progress)


def _advance(
    progress: tuple[tuple[float, int], ...], now: float, position: int | None, keep: float
) -> tuple[tuple[float, int], ...]:
    """Positions only grow; of those older than `keep` seconds the newest is kept.

    A new leader can be behind the former one's last position, which nobody had: no standby is to be measured by that.
    """
    if position is not None:
        progress = tuple(entry for entry in progress if entry[1] <= position)
        if not progress or position > progress[-1][1]:
            progress = (*progress, (now, position))
    old = [entry for entry in progress if entry[0] < now - keep]
    return (*old[-1:], *progress[len(old) :])


def staleness(memory: Memory, now: float, position: int) -> float:
    """For how many seconds at least the leader has been known to be ahead of this position; 0 if it is not."""
    return next((now - seen for seen, leader in memory.progress if leader > position), 0.0)


def behind(scene: ObservedState, memory: Memory, member: Member) -> float:
    """For how many seconds at least it has been known to lack something, received or shown; 0 if it lacks nothing."""
    shown = scene.replayed.get(member.name)
    received = 0.0 if member.lsn is None else staleness(memory, scene.at, member.lsn)
    return max(received, staleness(memory, shown.at, shown.lsn) if shown else 0.0)


def ineligible_because(spec: ClusterSpec, scene: ObservedState, memory: Memory, name: str) -> str | None:
    """Why this node may not serve reads as a standby; None if it may."""
    view = scene.store.value
    member = view.members.get(name) if view else None
    if view is None or member is None:
        return "Patroni does not know it"
    if scene.is_dead(name):
        return "it is dead"
    if view.lease is None:
        return "there is no leader to compare it with"
    if name == view.lease.owner:
        return "it holds the lease"
    if not member.is_streaming:
        return f"Patroni says {member.state}, not streaming"
    return _behind_because(spec, scene, memory, view, member)


def _behind_because(
    spec: ClusterSpec, scene: ObservedState, memory: Memory, view: StoreView, member: Member
) -> str | None:
    leader = view.members.get(view.lease.owner) if view.lease else None
    if leader is None or leader.timeline is None or member.timeline != leader.timeline:
        return f"it is on timeline {member.timeline}, the leader on {leader.timeline if leader else 'an unknown one'}"
    if member.lsn is None or view.leader_lsn is None:
        return "its position is unknown"
    lag = view.leader_lsn - member.lsn
    if lag > spec.replication.max_read_lag_bytes:
        return f"it is {lag} bytes behind"
    old = behind(scene, memory, member)
    if old > spec.keeper.max_read_staleness_seconds:
        return f"it is {old:.0f} s behind"
    return None
