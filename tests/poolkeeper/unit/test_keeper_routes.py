"""HAProxy's inner ports: what a check would say in a second, said now; and the endpoint of reads kept honest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from tests.poolkeeper.unit import keeper_world, observed_states
from tests.poolkeeper.unit.observed_states import AT, LSN
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.keeper.decide import eligibility, routes
from poolkeeper.model import proxies
from poolkeeper.model.decision import Memory, Verb
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import Lease, ObservedState, Replayed, Route
from poolkeeper.model.spec import ClusterSpec

WRITES, READS = proxies.PRIMARY, proxies.STANDBYS
HEALTHY = observed_states.healthy()
STEADY = observed_states.steady()
Looks = tuple[ClusterSpec, ObservedState, Memory]
Brief = list[tuple[Verb, str, str]]


def brief(scene: ObservedState, memory: Memory = STEADY) -> Brief:
    """What is done to whom, where."""
    return [(decision.verb, decision.node, decision.proxy) for decision in routes.decide(SPEC, scene, memory)]


def edit(proxy: str, node: str, **changes: bool) -> ObservedState:
    """HAProxy has one server otherwise."""
    return observed_states.edit_route(HEALTHY, proxy, node, **changes)


STALE = replace(STEADY, progress=((AT - SPEC.keeper.max_read_staleness_seconds - 1, LSN),))
TAKEN = observed_states.edit_store(HEALTHY, lease=Lease(STANDBY, 11))
OPENED = replace(TAKEN, opened=Lease(STANDBY, 11))
LATE = observed_states.edit_member(HEALTHY, OTHER, lsn=LSN - 1)
STUCK = replace(HEALTHY, replayed={OTHER: Replayed(AT, LSN - 1)})
IN_MAINT = edit(READS, STANDBY, is_up=False, in_maintenance=True)

# One wrongness each.
ACTS: dict[str, tuple[ObservedState, Memory, Brief]] = {
    "all is well": (HEALTHY, STEADY, []),
    "the primary is down in HAProxy": (edit(WRITES, PRIMARY, is_up=False), STEADY, [(Verb.OPEN, PRIMARY, WRITES)]),
    "a standby is up for writers": (edit(WRITES, STANDBY, is_up=True), STEADY, [(Verb.CUT, STANDBY, WRITES)]),
    "the primary is dead": (observed_states.dead(HEALTHY, PRIMARY), STEADY, [(Verb.CUT, PRIMARY, WRITES)]),
    "a standby is dead": (observed_states.dead(HEALTHY, STANDBY), STEADY, [(Verb.CUT, STANDBY, READS)]),
    "the primary may be read": (
        edit(READS, PRIMARY, is_up=True, in_maintenance=False),
        STEADY,
        [(Verb.CLOSE_READS, PRIMARY, READS)],
    ),
    "a standby took the lease": (TAKEN, STEADY, [(Verb.CLOSE_READS, STANDBY, READS)]),
    "a standby took the lease and is open": (
        OPENED,
        STEADY,
        [(Verb.CUT, PRIMARY, WRITES), (Verb.OPEN, STANDBY, WRITES), (Verb.CLOSE_READS, STANDBY, READS)],
    ),
    "a standby became too old": (LATE, STALE, [(Verb.CLOSE_READS, OTHER, READS)]),
    "a standby shows nothing new": (STUCK, STALE, [(Verb.CLOSE_READS, OTHER, READS)]),
    "a former primary streams again": (IN_MAINT, STEADY, [(Verb.OPEN_READS, STANDBY, READS)]),
    "a standby is down by a check": (edit(READS, STANDBY, is_up=False), STEADY, []),
    "the primary is down by an administrator": (
        edit(WRITES, PRIMARY, is_up=False, in_maintenance=True),
        STEADY,
        [],
    ),
    "a standby shut, and not yet streaming": (
        observed_states.edit_member(IN_MAINT, STANDBY, state="starting"),
        STEADY,
        [],
    ),
}
HANDS_OFF: dict[str, ObservedState] = {
    "the store does not answer": replace(observed_states.dead(OPENED, PRIMARY), store=observed_states.UNKNOWN),
    "HAProxy does not answer": replace(observed_states.dead(OPENED, PRIMARY), routes=observed_states.UNKNOWN),
    "maintenance": observed_states.edit_store(observed_states.dead(OPENED, PRIMARY), paused=True),
    "nobody holds the lease": observed_states.edit_store(edit(WRITES, PRIMARY, is_up=False), lease=None),
    "the holder is not open yet": replace(edit(WRITES, PRIMARY, is_up=False), opened=None),
    "a server that is not declared": replace(HEALTHY, routes=Seen((Route(WRITES, "x", True, False),))),
    "the primary is read for want of a standby": replace(
        HEALTHY, routes=Seen((Route(READS, proxies.fallback(PRIMARY), True, False),))
    ),
    "a proxy that is not ours": replace(HEALTHY, routes=Seen((Route("endpoint_ro", PRIMARY, True, False),))),
}


@pytest.mark.parametrize(("scene", "memory", "wanted"), ACTS.values(), ids=ACTS.keys())
def test_what_is_wrong_is_said_to_haproxy(scene: ObservedState, memory: Memory, wanted: Brief) -> None:
    """Exactly this, with a cause."""
    assert sorted(map(str, brief(scene, memory))) == sorted(map(str, wanted))
    assert all(decision.cause for decision in routes.decide(SPEC, scene, memory))


@pytest.mark.parametrize("scene", HANDS_OFF.values(), ids=HANDS_OFF.keys())
def test_nothing_is_done_on_what_is_not_known(scene: ObservedState) -> None:
    """However wrong the routes are."""
    assert brief(scene) == []


@given(observed_states.looks())
def test_open_is_for_the_primary_and_cut_never(look: Looks) -> None:
    """The open primary that lives is not cut; who is opened is it; in maintenance and on unknown nothing is done."""
    spec, scene, memory = look
    decisions, view = routes.decide(spec, scene, memory), scene.store.value
    assert not decisions or (view and not view.paused)
    for decision in decisions:
        assert decision.node in observed_states.names_of(spec)
        if decision.verb is Verb.OPEN:
            assert decision.node == scene.primary
            assert not scene.is_dead(decision.node)
        if decision.verb is Verb.CUT and decision.proxy == WRITES:
            assert decision.node != scene.primary or scene.is_dead(decision.node)
        if decision.verb is Verb.CUT and decision.proxy == READS:
            assert scene.is_dead(decision.node)


@given(observed_states.looks())
def test_only_a_fit_standby_is_put_back_among_the_readers(look: Looks) -> None:
    """Never who holds the lease; and who holds it, or is too old, does not stay there."""
    spec, scene, memory = look
    decisions, view = routes.decide(spec, scene, memory), scene.store.value
    for decision in decisions:
        if decision.verb is Verb.OPEN_READS:
            assert eligibility.ineligible_because(spec, scene, memory, decision.node) is None
            assert view
            assert view.lease
            assert decision.node != view.lease.owner
    touched = {(decision.proxy, decision.node) for decision in decisions}
    if view and view.lease and not view.paused:
        for route in scene.routes.value or ():
            if (route.proxy, route.node) == (READS, view.lease.owner) and route.node in observed_states.names_of(spec):
                assert route.in_maintenance or (READS, route.node) in touched


@given(observed_states.looks())
def test_each_decision_once_done_is_gone_and_calls_for_no_opposite(look: Looks) -> None:
    """One after another, they end where nothing is left to say; a dead node may first be cut, then shut."""
    spec, scene, memory = look
    for _ in range(2):
        for decision in routes.decide(spec, scene, memory):
            scene = keeper_world.act(scene, decision)
            left = {(d.verb, d.proxy, d.node) for d in routes.decide(spec, scene, memory)}
            assert (decision.verb, decision.proxy, decision.node) not in left
    assert routes.decide(spec, scene, memory) == ()
