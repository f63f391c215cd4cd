"""The effects of the keeper's decisions on Pgpool-II, HAProxy and etcd, as far as its next iteration observes them.

Pgpool-II (pgpool_main.c, failover()): a promotion of a backend that it has as down does nothing, any other marks all
other backends down; the detach of its primary, or an attach while it has none, makes it search for one among its
backends. HAProxy: "ready" after "maint" is up at once.
"""

from __future__ import annotations

from dataclasses import replace

from tests.poolkeeper.unit import observed_states

from poolkeeper.keeper.decide import backends as pool_view
from poolkeeper.keeper.decide import eligibility, release, routes
from poolkeeper.model.decision import Decision, Memory, Verb
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import ObservedState, PoolNode
from poolkeeper.model.spec import ClusterSpec


def act(observed: ObservedState, decision: Decision) -> ObservedState:
    """Return the observed state after the action."""
    route = (observed, decision.proxy, decision.node)
    match decision.verb:
        case Verb.RELEASE | Verb.FENCE:
            return _release(observed, decision)
        case Verb.PROMOTE | Verb.ATTACH | Verb.DETACH:
            return replace(observed, pool=Seen(_pool(observed, decision)))
        case Verb.RESTART:
            return replace(observed, pool=Seen(_restarted(observed)))
        case Verb.CUT:
            return observed_states.edit_route(*route, is_up=False)
        case Verb.OPEN:
            return observed_states.edit_route(*route, is_up=True)
        case Verb.CLOSE_READS:
            return observed_states.edit_route(*route, is_up=False, in_maintenance=True)
        case Verb.OPEN_READS:
            return observed_states.edit_route(*route, is_up=True, in_maintenance=False)


def _restarted(observed: ObservedState) -> tuple[PoolNode, ...]:
    """A restarted Pgpool-II begins with every backend up (-D) and asks each for its role."""
    names = {True: "primary", False: "standby"}
    backends = observed.pool.value or ()
    return tuple(replace(b, status="up", role=names[b.name == observed.primary]) for b in backends)


def _release(observed: ObservedState, decision: Decision) -> ObservedState:
    """Apply the transaction, only if the store has not changed."""
    view = observed.store.value
    assert view
    record = view.records.get(decision.node)
    same = view.lease and (view.lease.owner, view.lease.revision) == (decision.node, decision.lease_revision)
    if not same or record is None or record.revision != decision.record_revision:
        return observed
    return observed_states.edit_store(observed, lease=None)


def _pool(observed: ObservedState, decision: Decision) -> tuple[PoolNode, ...]:
    backends = observed.pool.value or ()
    target = next(b for b in backends if b.index == decision.index)
    if decision.verb is Verb.PROMOTE:
        if not target.is_up or target.role == "primary":
            return backends
        return tuple(
            replace(b, role="primary") if b == target else replace(b, role="standby", status="down") for b in backends
        )
    status = "waiting" if decision.verb is Verb.ATTACH else "down"
    if target.is_up is (decision.verb is Verb.ATTACH):
        return backends
    return _searched(tuple(replace(b, status=status) if b == target else b for b in backends), observed.primary)


def _searched(backends: tuple[PoolNode, ...], primary: str | None) -> tuple[PoolNode, ...]:
    """A primary that is up stays; else the node that accepts writes is the primary, if it is up."""
    if any(b.role == "primary" and b.is_up for b in backends):
        return backends
    return tuple(replace(b, role="primary" if b.name == primary and b.is_up else "standby") for b in backends)


def decide(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> tuple[Decision, ...]:
    """Return the keeper's actions in one iteration: the release, every route, the first action on Pgpool-II."""
    verdict = release.decide(spec, observed, memory)
    released = (verdict,) if isinstance(verdict, Decision) else ()
    return (*released, *routes.decide(spec, observed, memory), *pool_view.decide(spec, observed, memory)[:1])


def step(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> tuple[tuple[Decision, ...], Memory]:
    """Run one iteration of one agent; return its actions and its memory."""
    memory = eligibility.remember(spec, observed, memory)
    decisions = decide(spec, observed, memory)
    if any(decision.verb in (Verb.RELEASE, Verb.FENCE) for decision in decisions):
        memory = replace(memory, last_release=observed.at)
    return decisions, memory


def later(observed: ObservedState, seconds: float = 1.0) -> ObservedState:
    """Return the same state at a later time: each standby reports the same replayed position again.

    Without the new report two agents could disagree for ever: one that observed the leader write what a standby lacks,
    and one that came later and takes the standby's old answer for a fresh one.
    """
    replayed = {name: replace(answer, at=answer.at + seconds) for name, answer in observed.replayed.items()}
    return replace(observed, at=observed.at + seconds, replayed=replayed)


def rounds(spec: ClusterSpec) -> int:
    """Return how many iterations, a second apart, are enough: every wait, then two actions a node."""
    keeper = spec.keeper
    waits = keeper.attach_after_seconds + keeper.max_read_staleness_seconds
    return int(waits) + 2 * len(spec.nodes) + 5
