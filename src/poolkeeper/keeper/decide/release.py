"""The early release: when may the lease of a dead primary be taken from it before it ends by itself?

Only on proof of death. Why no acknowledged write is lost: a dead node acknowledges nothing any more, so every write
that it did acknowledge had been flushed by a standby of the quorum before; Patroni elects only out of that quorum, as
it would have done when the lease ended. The release changes when the election begins, and nothing of who may win it.

Invariants: no release on an unknown or living node; none of a lease or an incarnation other than the one whose death
was proven (the transaction compares both revisions); at most one in `release_interval_seconds`; none in maintenance
mode.
"""

from __future__ import annotations

from poolkeeper.model.decision import Decision, Memory, Refusal, Verb
from poolkeeper.model.observed_state import Lease, ObservedState, StoreView
from poolkeeper.model.spec import ClusterSpec

SUBJECT = "early release"


def decide(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> Decision | Refusal | None:
    """The release of the lease, the fence that would prove a death, the reason against either, or nothing to say."""
    view = scene.store.value
    if view is None or view.lease is None:
        return None
    owner = view.lease.owner
    if scene.is_dead(owner):
        return _refusal(spec, scene, memory, view, "dead") or _release(view, view.lease, scene)
    if _must_fence(spec, scene, owner):
        return _refusal(spec, scene, memory, view, "silent") or _fence(view, view.lease, scene)
    sight = scene.sights.get(owner)
    if sight and sight.state == "dead":
        return Refusal(SUBJECT, f"the incarnation of {owner} that died is not the one in the store")
    return None


def _refusal(spec: ClusterSpec, scene: ObservedState, memory: Memory, view: StoreView, what: str) -> Refusal | None:
    owner = view.lease.owner if view.lease else "nobody"
    if view.paused:
        return Refusal(SUBJECT, f"{owner} is {what}, but the cluster is in maintenance mode")
    if not spec.keeper.early_release:
        return Refusal(SUBJECT, f"{owner} is {what}, but keeper.early_release is off; the lease decides")
    interval = spec.keeper.release_interval_seconds
    if memory.last_release is not None and scene.at - memory.last_release < interval:
        return Refusal(SUBJECT, f"{owner} is {what}, but the last release was less than {interval} s ago")
    if owner not in view.records:
        return Refusal(SUBJECT, f"{owner} has no record in the store that could be compared")
    return None


def _release(view: StoreView, lease: Lease, scene: ObservedState) -> Decision:
    record, sight = view.records[lease.owner], scene.sights[lease.owner]
    return Decision(
        Verb.RELEASE,
        lease.owner,
        f"it holds the lease and is proven dead ({sight.reason})",
        lease_revision=lease.revision,
        record_revision=record.revision,
        incarnation=record.incarnation,
    )


def _must_fence(spec: ClusterSpec, scene: ObservedState, owner: str) -> bool:
    """Silent for long enough, and no witness of ours sees it alive."""
    sight, since = scene.sights.get(owner), scene.silent.get(owner)
    alive = sight is not None and sight.state == "alive"
    return bool(spec.keeper.fence_command and since is not None and not alive) and (
        scene.at - (since or 0) >= spec.keeper.fence_after_seconds
    )


def _fence(view: StoreView, lease: Lease, scene: ObservedState) -> Decision:
    record = view.records[lease.owner]
    return Decision(
        Verb.FENCE,
        lease.owner,
        f"it holds the lease and has been silent for {scene.at - scene.silent[lease.owner]:.0f} s",
        lease_revision=lease.revision,
        record_revision=record.revision,
        incarnation=record.incarnation,
    )
