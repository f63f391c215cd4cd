"""Pgpool-II's view: the wrong primary first, then the standbys, each only when it is certain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from tests.poolkeeper.unit import keeper_world, observed_states, snapshots
from tests.poolkeeper.unit.observed_states import AT
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.keeper.decide import backends as pool_view
from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Decision, Memory, Verb
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import Contradiction, Lease, ObservedState, PoolNode
from poolkeeper.model.spec import ClusterSpec

HEALTHY = observed_states.healthy()
STEADY = observed_states.steady()
Looks = tuple[ClusterSpec, ObservedState, Memory]
Brief = list[tuple[Verb, str]]


def brief(scene: ObservedState, memory: Memory = STEADY) -> Brief:
    """What is done to whom."""
    return [(decision.verb, decision.node) for decision in pool_view.decide(SPEC, scene, memory)]


def pool(**backends: str) -> ObservedState:
    """The healthy cluster, seen by Pgpool-II as told: node="status role"."""
    pairs = [(name, *words.split()) for name, words in backends.items()]
    nodes = tuple(PoolNode(i, name, status, role) for i, (name, status, role) in enumerate(pairs))
    return replace(HEALTHY, pool=Seen(nodes))


STALE = pool(pg_node1="up standby", pg_node2="up primary", pg_node3="up standby")
REFUSING = Contradiction(index=1, since=AT - 5, refusals=pool_view.CERTAIN)
DOWN = observed_states.edit_backend(HEALTHY, STANDBY, status="down")
PROMOTE: Brief = [(Verb.PROMOTE, PRIMARY)]
ATTACH: Brief = [(Verb.ATTACH, STANDBY)]
DETACH: Brief = [(Verb.DETACH, STANDBY)]

# One wrongness each.
ACTS: dict[str, tuple[ObservedState, Brief]] = {
    "all is well": (HEALTHY, []),
    "a backend that waits for its first session": (
        observed_states.edit_backend(HEALTHY, STANDBY, status="waiting"),
        [],
    ),
    "it refuses every session because of a standby": (replace(HEALTHY, contradiction=REFUSING), DETACH),
    "it refuses every session because of the primary": (
        replace(HEALTHY, contradiction=replace(REFUSING, index=0)),
        [(Verb.RESTART, PRIMARY)],
    ),
    "choosing its main backend anew was in vain": (
        replace(HEALTHY, contradiction=replace(REFUSING, since=AT - pool_view.IN_VAIN - 1)),
        [(Verb.RESTART, PRIMARY)],
    ),
    "it refused a single session": (replace(HEALTHY, contradiction=replace(REFUSING, refusals=1)), []),
    "it refuses because of a standby that it has as down by now": (replace(DOWN, contradiction=REFUSING), ATTACH),
    "it refuses because of a backend that nobody knows": (
        replace(HEALTHY, contradiction=replace(REFUSING, index=7)),
        [],
    ),
    "a wrong primary comes before a contradiction": (replace(STALE, contradiction=REFUSING), PROMOTE),
    "a switchover went unnoticed": (STALE, PROMOTE),
    "nobody is the primary": (observed_states.edit_backend(HEALTHY, PRIMARY, role="standby"), PROMOTE),
    "the true primary is down, nobody else claimed": (
        pool(pg_node1="down standby", pg_node2="up standby", pg_node3="up standby"),
        [(Verb.ATTACH, PRIMARY)],
    ),
    "all are down": (
        pool(pg_node1="down primary", pg_node2="down standby", pg_node3="down standby"),
        [(Verb.ATTACH, PRIMARY)],
    ),
    "the true primary is down, another one claimed": (
        pool(pg_node1="down standby", pg_node2="up primary", pg_node3="down standby"),
        [(Verb.RESTART, PRIMARY)],
    ),
    "a former primary that is down": (
        pool(pg_node1="up primary", pg_node2="down primary", pg_node3="up standby"),
        ATTACH,
    ),
    "a standby is down, though fit": (DOWN, ATTACH),
    "a standby is dead": (observed_states.dead(HEALTHY, STANDBY), DETACH),
    "a standby stopped": (observed_states.edit_member(HEALTHY, STANDBY, state="stopped"), DETACH),
    "a standby starts": (
        observed_states.edit_member(HEALTHY, STANDBY, state="starting", replication="streaming"),
        DETACH,
    ),
    "a standby that Patroni forgot": (
        observed_states.edit_store(
            HEALTHY, members={k: m for k, m in HEALTHY.store.value.members.items() if k != STANDBY}
        ),
        DETACH,
    ),
    "a standby is late, not gone": (observed_states.edit_member(HEALTHY, STANDBY, lsn=0), []),
    "two standbys are down": (
        observed_states.edit_backend(DOWN, OTHER, status="down"),
        [*ATTACH, (Verb.ATTACH, OTHER)],
    ),
}
HANDS_OFF: dict[str, ObservedState] = {
    "the store does not answer": replace(STALE, store=observed_states.UNKNOWN),
    "Pgpool-II does not answer": replace(STALE, pool=observed_states.UNKNOWN),
    "Pgpool-II has no backend": replace(STALE, pool=Seen(())),
    "maintenance": observed_states.edit_store(STALE, paused=True),
    "nobody holds the lease": observed_states.edit_store(STALE, lease=None),
    "the holder was not seen to accept writes": replace(STALE, opened=None),
    "it accepted writes under a former lease": replace(STALE, opened=Lease(PRIMARY, 9)),
    "the primary is dead": observed_states.dead(STALE, PRIMARY),
    "the primary is no backend": pool(pg_node2="up primary", pg_node3="down standby"),
    "the primary is dead, a standby down": observed_states.dead(DOWN, PRIMARY),
}
UNFIT: dict[str, ObservedState] = {
    "not streaming": observed_states.edit_member(DOWN, STANDBY, state="running"),
    "in archive recovery": observed_states.edit_member(
        DOWN, STANDBY, state="running", replication="in archive recovery"
    ),
    "on another timeline": observed_states.edit_member(DOWN, STANDBY, timeline=2),
    "its timeline unknown": observed_states.edit_member(DOWN, STANDBY, timeline=None),
    "too far behind": observed_states.edit_member(
        DOWN, STANDBY, lsn=observed_states.LSN - SPEC.replication.max_read_lag_bytes - 1
    ),
    "its position unknown": observed_states.edit_member(DOWN, STANDBY, lsn=None),
    "dead": observed_states.dead(DOWN, STANDBY),
    "still a primary, it says": observed_states.edit_member(DOWN, STANDBY, role="primary"),
}


@pytest.mark.parametrize(("scene", "wanted"), ACTS.values(), ids=ACTS.keys())
def test_what_is_wrong_is_corrected(scene: ObservedState, wanted: Brief) -> None:
    """Exactly this, with a cause."""
    assert brief(scene) == wanted
    assert all(decision.cause for decision in pool_view.decide(SPEC, scene, STEADY))


@pytest.mark.parametrize("scene", HANDS_OFF.values(), ids=HANDS_OFF.keys())
def test_nothing_is_done_on_what_is_not_known(scene: ObservedState) -> None:
    """However wrong the view is."""
    assert brief(scene) == []


@pytest.mark.parametrize("scene", UNFIT.values(), ids=UNFIT.keys())
def test_an_unfit_node_is_not_attached(scene: ObservedState) -> None:
    """Even if it is remembered as fit."""
    assert brief(scene) == []


@pytest.mark.parametrize(
    ("since", "wanted"), [(None, []), (AT, []), (AT - 2.9, []), (AT - 3, ATTACH), (AT - 60, ATTACH)]
)
def test_a_node_that_came_back_waits(since: float | None, wanted: Brief) -> None:
    """It must have been fit for `attach_after_seconds`, as far as this keeper knows."""
    fit = {} if since is None else {STANDBY: since}
    assert brief(DOWN, replace(STEADY, fit_since=fit)) == wanted


def test_the_index_is_that_of_pgpool() -> None:
    """Its control port knows numbers, not names."""
    scene = pool(pg_node3="up standby", pg_node1="down standby", pg_node2="up standby")
    (decision,) = pool_view.decide(SPEC, scene, STEADY)
    assert (decision.node, decision.index) == (PRIMARY, 1)


def test_two_failovers_in_a_row() -> None:
    """The second before Pgpool-II got its standbys back: it has a former primary as primary, and all others down."""
    scene = pool(pg_node1="down standby", pg_node2="up primary", pg_node3="down standby")
    (decision,) = pool_view.decide(SPEC, scene, STEADY)
    assert (decision.verb, decision.node) == (Verb.RESTART, PRIMARY)
    scene = keeper_world.act(scene, decision)
    assert brief(scene) == []
    assert scene.pool.value is not None
    assert [b.name for b in scene.pool.value if b.role == "primary"] == [PRIMARY]


def claimed(scene: ObservedState) -> set[str]:
    """Whom Pgpool-II takes for the primary."""
    return {b.name for b in scene.pool.value or () if b.role == "primary" and b.is_up}


@given(observed_states.looks())
def test_only_the_open_holder_of_the_lease_becomes_primary(look: Looks) -> None:
    """And nothing at all is done while it is not known, dead, or in maintenance."""
    spec, scene, memory = look
    decisions, view = pool_view.decide(spec, scene, memory), scene.store.value
    if not decisions:
        return
    assert view
    assert not view.paused
    assert view.lease == scene.opened
    assert scene.primary
    assert not scene.is_dead(scene.primary)
    promoted = [d.node for d in decisions if d.verb is Verb.PROMOTE]
    assert promoted in ([], [scene.primary])
    assert all(decision.node in {backend.name for backend in scene.pool.value or ()} for decision in decisions)


@given(observed_states.looks())
def test_no_standby_is_touched_while_the_primary_is_wrong(look: Looks) -> None:
    """One step, and it is about the true primary."""
    spec, scene, memory = look
    decisions = pool_view.decide(spec, scene, memory)
    if decisions and claimed(scene) != {scene.primary}:
        assert len(decisions) == 1
        assert decisions[0].node == scene.primary
        assert decisions[0].verb is not Verb.DETACH
    elif decisions:
        assert scene.primary not in {decision.node for decision in decisions}
        assert {decision.verb for decision in decisions} <= {Verb.ATTACH, Verb.DETACH}


@given(observed_states.looks())
def test_only_a_node_that_is_fit_for_long_enough_is_attached(look: Looks) -> None:
    """But for the primary itself; and what is detached is gone."""
    spec, scene, memory = look
    for decision in pool_view.decide(spec, scene, memory):
        if decision.verb is Verb.ATTACH and decision.node != scene.primary:
            assert eligibility.ineligible_because(spec, scene, memory, decision.node) is None
            assert AT - memory.fit_since[decision.node] >= spec.keeper.attach_after_seconds
        if decision.verb is Verb.DETACH:
            assert eligibility.ineligible_because(spec, scene, memory, decision.node) is not None


@given(observed_states.looks())
def test_a_promotion_is_of_a_backend_that_pgpool_can_promote(look: Looks) -> None:
    """It would do nothing with one that it has as down, and the keeper would ask for ever."""
    spec, scene, memory = look
    up = {backend.index for backend in scene.pool.value or () if backend.is_up}
    assert all(d.index in up for d in pool_view.decide(spec, scene, memory) if d.verb is Verb.PROMOTE)


@given(observed_states.looks())
def test_each_decision_once_done_is_gone(look: Looks) -> None:
    """Its effect is what it asked for."""
    spec, scene, memory = look

    def same(decision: Decision) -> tuple[Any, ...]:
        return decision.verb, decision.node

    for decision in pool_view.decide(spec, scene, memory):
        after = pool_view.decide(spec, keeper_world.act(scene, decision), memory)
        assert same(decision) not in map(same, after)


def test_a_restarted_pgpool_that_remembers_nothing_is_mended() -> None:
    """It took the first backend for what it was at its start."""
    spec = snapshots.spec_of(5)
    scene = observed_states.healthy(spec)
    for name in observed_states.names_of(spec):
        scene = observed_states.edit_backend(scene, name, status="down", role="standby")
    (first,) = pool_view.decide(spec, scene, observed_states.steady(spec))
    rest = pool_view.decide(spec, keeper_world.act(scene, first), observed_states.steady(spec))
    assert (first.verb, first.node) == (Verb.ATTACH, "pg_node1")
    assert {d.node for d in rest} == {"pg_node2", "pg_node3", "pg_node4", "pg_node5"}
