"""What Pgpool-II, HAProxy and etcd make of the keeper's decisions, as far as its next look shows it.

Pgpool-II (pgpool_main.c, failover()): a promotion of a backend that it has as down does nothing, any other marks all
other backends down; the detach of its primary, or an attach while it has none, makes it look for one among its
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


def act(scene: ObservedState, decision: Decision) -> ObservedState:
    """The scene after it was done."""
    route = (scene, decision.proxy, decision.node)
    match decision.verb:
        case Verb.RELEASE | Verb.FENCE:
            return _release(scene, decision)
        case Verb.PROMOTE | Verb.ATTACH | Verb.DETACH:
            return replace(scene, pool=Seen(_pool(scene, decision)))
        case Verb.RESTART:
            return replace(scene, pool=Seen(_found_anew(scene)))
        case Verb.CUT:
            return observed_states.edit_route(*route, is_up=False)
        case Verb.OPEN:
            return observed_states.edit_route(*route, is_up=True)
        case Verb.CLOSE_READS:
            return observed_states.edit_route(*route, is_up=False, in_maintenance=True)
        case Verb.OPEN_READS:
            return observed_states.edit_route(*route, is_up=True, in_maintenance=False)


def _found_anew(scene: ObservedState) -> tuple[PoolNode, ...]:
    """It begins with every backend up (-D) and asks each for its role."""
    names = {True: "primary", False: "standby"}
    backends = scene.pool.value or ()
    return tuple(replace(b, status="up", role=names[b.name == scene.primary]) for b in backends)


def _release(scene: ObservedState, decision: Decision) -> ObservedState:
    """The transaction: only if the store is what it was."""
    view = scene.store.value
    assert view
    record = view.records.get(decision.node)
    same = view.lease and (view.lease.owner, view.lease.revision) == (decision.node, decision.lease_revision)
    if not same or record is None or record.revision != decision.record_revision:
        return scene
    return observed_states.edit_store(scene, lease=None)


def _pool(scene: ObservedState, decision: Decision) -> tuple[PoolNode, ...]:
    backends = scene.pool.value or ()
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
    return _searched(tuple(replace(b, status=status) if b == target else b for b in backends), scene.primary)


def _searched(backends: tuple[PoolNode, ...], primary: str | None) -> tuple[PoolNode, ...]:
    """A primary that is up stays; else it is who accepts writes, if up."""
    if any(b.role == "primary" and b.is_up for b in backends):
        return backends
    return tuple(replace(b, role="primary" if b.name == primary and b.is_up else "standby") for b in backends)


def decide(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> tuple[Decision, ...]:
    """What the keeper does at one look: the release, every route, the first step of Pgpool's."""
    verdict = release.decide(spec, scene, memory)
    released = (verdict,) if isinstance(verdict, Decision) else ()
    return (*released, *routes.decide(spec, scene, memory), *pool_view.decide(spec, scene, memory)[:1])


def turn(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> tuple[tuple[Decision, ...], Memory]:
    """One look of one agent: what it does, and what it remembers then."""
    memory = eligibility.remember(spec, scene, memory)
    decisions = decide(spec, scene, memory)
    if any(decision.verb in (Verb.RELEASE, Verb.FENCE) for decision in decisions):
        memory = replace(memory, last_release=scene.at)
    return decisions, memory


def later(scene: ObservedState, seconds: float = 1.0) -> ObservedState:
    """Nothing changed but the time; each standby that showed a position is asked again, and shows the same one.

    Without the second part two agents could disagree for ever: one that saw the leader write what a standby lacks, and
    one that came later and takes the standby's old answer for a fresh one.
    """
    shown = {name: replace(answer, at=answer.at + seconds) for name, answer in scene.replayed.items()}
    return replace(scene, at=scene.at + seconds, replayed=shown)


def rounds(spec: ClusterSpec) -> int:
    """So many looks, a second apart, are enough for anything: every wait, then two steps a node."""
    keeper = spec.keeper
    waits = keeper.attach_after_seconds + keeper.max_read_staleness_seconds
    return int(waits) + 2 * len(spec.nodes) + 5
