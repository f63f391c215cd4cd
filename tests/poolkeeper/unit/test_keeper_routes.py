"""HAProxy's inner ports: the result of its next check, set at once; and a read-only endpoint without stale nodes."""

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
Situation = tuple[ClusterSpec, ObservedState, Memory]
Brief = list[tuple[Verb, str, str]]


def brief(observed: ObservedState, memory: Memory = STEADY) -> Brief:
    """Return each action, its node and its proxy."""
    return [(decision.verb, decision.node, decision.proxy) for decision in routes.decide(SPEC, observed, memory)]


def edit(proxy: str, node: str, **changes: bool) -> ObservedState:
    """Change one server of HAProxy."""
    return observed_states.edit_route(HEALTHY, proxy, node, **changes)


STALE = replace(STEADY, progress=((AT - SPEC.keeper.max_read_staleness_seconds - 1, LSN),))
TAKEN = observed_states.edit_store(HEALTHY, lease=Lease(STANDBY, 11))
OPENED = replace(TAKEN, opened=Lease(STANDBY, 11))
LATE = observed_states.edit_member(HEALTHY, OTHER, lsn=LSN - 1)
STUCK = replace(HEALTHY, replayed={OTHER: Replayed(AT, LSN - 1)})
IN_MAINT = edit(READS, STANDBY, is_up=False, in_maintenance=True)

# One fault each.
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
    "a standby replays nothing new": (STUCK, STALE, [(Verb.CLOSE_READS, OTHER, READS)]),
    "a former primary streams again": (IN_MAINT, STEADY, [(Verb.OPEN_READS, STANDBY, READS)]),
    "a standby is down by a check": (edit(READS, STANDBY, is_up=False), STEADY, []),
    "the primary is down by an administrator": (
        edit(WRITES, PRIMARY, is_up=False, in_maintenance=True),
        STEADY,
        [],
    ),
    "a closed standby that does not stream yet": (
        observed_states.edit_member(IN_MAINT, STANDBY, state="starting"),
        STEADY,
        [],
    ),
}
NO_DECISION: dict[str, ObservedState] = {
    "the store does not answer": replace(observed_states.dead(OPENED, PRIMARY), store=observed_states.UNKNOWN),
    "HAProxy does not answer": replace(observed_states.dead(OPENED, PRIMARY), routes=observed_states.UNKNOWN),
    "maintenance": observed_states.edit_store(observed_states.dead(OPENED, PRIMARY), paused=True),
    "no node holds the lease": observed_states.edit_store(edit(WRITES, PRIMARY, is_up=False), lease=None),
    "the holder is not open yet": replace(edit(WRITES, PRIMARY, is_up=False), opened=None),
    "a server that is not declared": replace(HEALTHY, routes=Seen((Route(WRITES, "x", True, False),))),
    "the primary serves reads as the fallback": replace(
        HEALTHY, routes=Seen((Route(READS, proxies.fallback(PRIMARY), True, False),))
    ),
    "a proxy that is not ours": replace(HEALTHY, routes=Seen((Route("endpoint_ro", PRIMARY, True, False),))),
}


@pytest.mark.parametrize(("observed", "memory", "wanted"), ACTS.values(), ids=ACTS.keys())
def test_a_wrong_route_is_corrected(observed: ObservedState, memory: Memory, wanted: Brief) -> None:
    """The decision has exactly these actions, each with a cause."""
    assert sorted(map(str, brief(observed, memory))) == sorted(map(str, wanted))
    assert all(decision.cause for decision in routes.decide(SPEC, observed, memory))


@pytest.mark.parametrize("observed", NO_DECISION.values(), ids=NO_DECISION.keys())
def test_an_unknown_state_gives_no_action(observed: ObservedState) -> None:
    """No route is wrong enough for an action."""
    assert brief(observed) == []


@given(observed_states.situations())
def test_only_the_primary_is_opened_and_it_is_never_cut(situation: Situation) -> None:
    """A living primary is not cut; only it is opened. In maintenance mode and on unknown there is no action."""
    spec, observed, memory = situation
    decisions, view = routes.decide(spec, observed, memory), observed.store.value
    assert not decisions or (view and not view.paused)
    for decision in decisions:
        assert decision.node in observed_states.names_of(spec)
        if decision.verb is Verb.OPEN:
            assert decision.node == observed.primary
            assert not observed.is_dead(decision.node)
        if decision.verb is Verb.CUT and decision.proxy == WRITES:
            assert decision.node != observed.primary or observed.is_dead(decision.node)
        if decision.verb is Verb.CUT and decision.proxy == READS:
            assert observed.is_dead(decision.node)


@given(observed_states.situations())
def test_only_an_eligible_standby_is_reopened_for_reads(situation: Situation) -> None:
    """The lease holder never is; and a node that holds the lease, or is too old, is closed for reads."""
    spec, observed, memory = situation
    decisions, view = routes.decide(spec, observed, memory), observed.store.value
    for decision in decisions:
        if decision.verb is Verb.OPEN_READS:
            assert eligibility.ineligible_because(spec, observed, memory, decision.node) is None
            assert view
            assert view.lease
            assert decision.node != view.lease.owner
    touched = {(decision.proxy, decision.node) for decision in decisions}
    if view and view.lease and not view.paused:
        for route in observed.routes.value or ():
            if (route.proxy, route.node) == (READS, view.lease.owner) and route.node in observed_states.names_of(spec):
                assert route.in_maintenance or (READS, route.node) in touched


@given(observed_states.situations())
def test_an_executed_action_is_neither_repeated_nor_reversed(situation: Situation) -> None:
    """A sequence of actions ends without any left to do; a dead node may first be cut, then closed."""
    spec, observed, memory = situation
    for _ in range(2):
        for decision in routes.decide(spec, observed, memory):
            observed = keeper_world.act(observed, decision)
            left = {(d.verb, d.proxy, d.node) for d in routes.decide(spec, observed, memory)}
            assert (decision.verb, decision.proxy, decision.node) not in left
    assert routes.decide(spec, observed, memory) == ()
