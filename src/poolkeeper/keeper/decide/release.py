"""The early release: when the keeper may take the lease of a dead primary before the lease expires.

Only on proof of death. No acknowledged write is lost: a dead node acknowledges nothing any more. A standby of the
quorum had flushed every write that the node did acknowledge. Patroni elects only out of that quorum, as it would have
done at the end of the lease. The release changes when the election begins, not which nodes can win it.

Invariants: no release on an unknown or living node; none of a lease or an incarnation other than the one whose death
was proven (the transaction compares both revisions); at most one in `release_interval_seconds`; none in maintenance
mode.
"""

from __future__ import annotations

from poolkeeper.model.decision import Decision, Memory, Refusal, Verb
from poolkeeper.model.observed_state import Lease, ObservedState, StoreView
from poolkeeper.model.spec import ClusterSpec

SUBJECT = "early release"


def decide(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> Decision | Refusal | None:
    """Return the release of the lease, the fence that would prove a death, the reason against either, or None."""
    view = observed.store.value
    if view is None or view.lease is None:
        return None
    owner = view.lease.owner
    if observed.is_dead(owner):
        return _refusal(spec, observed, memory, view, "dead") or _release(view, view.lease, observed)
    if _must_fence(spec, observed, owner):
        return _refusal(spec, observed, memory, view, "silent") or _fence(view, view.lease, observed)
    process = observed.processes.get(owner)
    if process and process.state == "dead":
        return Refusal(SUBJECT, f"the incarnation of {owner} that died is not the one in the store")
    return None


def _refusal(spec: ClusterSpec, observed: ObservedState, memory: Memory, view: StoreView, what: str) -> Refusal | None:
    owner = view.lease.owner if view.lease else "no node"
    if view.paused:
        return Refusal(SUBJECT, f"{owner} is {what}, but the cluster is in maintenance mode")
    if not spec.keeper.early_release:
        return Refusal(SUBJECT, f"{owner} is {what}, but keeper.early_release is off; the lease decides")
    interval = spec.keeper.release_interval_seconds
    if memory.last_release is not None and observed.at - memory.last_release < interval:
        return Refusal(SUBJECT, f"{owner} is {what}, but the last release was less than {interval} s ago")
    if owner not in view.records:
        return Refusal(SUBJECT, f"{owner} has no record in the store that could be compared")
    return None


def _release(view: StoreView, lease: Lease, observed: ObservedState) -> Decision:
    record, process = view.records[lease.owner], observed.processes[lease.owner]
    return Decision(
        Verb.RELEASE,
        lease.owner,
        f"it holds the lease and is proven dead ({process.reason})",
        lease_revision=lease.revision,
        record_revision=record.revision,
        incarnation=record.incarnation,
    )


def _must_fence(spec: ClusterSpec, observed: ObservedState, owner: str) -> bool:
    """Return whether the owner has been silent for long enough, and the process monitor does not see it alive."""
    process, since = observed.processes.get(owner), observed.silent.get(owner)
    alive = process is not None and process.state == "alive"
    return bool(spec.keeper.fence_command and since is not None and not alive) and (
        observed.at - (since or 0) >= spec.keeper.fence_after_seconds
    )


def _fence(view: StoreView, lease: Lease, observed: ObservedState) -> Decision:
    record = view.records[lease.owner]
    return Decision(
        Verb.FENCE,
        lease.owner,
        f"it holds the lease and has been silent for {observed.at - observed.silent[lease.owner]:.0f} s",
        lease_revision=lease.revision,
        record_revision=record.revision,
        incarnation=record.incarnation,
    )
