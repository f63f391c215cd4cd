"""Actions on Pgpool-II's view: a wrong primary first, then the standbys, each only when it is certain."""

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
Situation = tuple[ClusterSpec, ObservedState, Memory]
Brief = list[tuple[Verb, str]]


def brief(observed: ObservedState, memory: Memory = STEADY) -> Brief:
    """Return each action and its node."""
    return [(decision.verb, decision.node) for decision in pool_view.decide(SPEC, observed, memory)]


def pool(**backends: str) -> ObservedState:
    """Return the healthy cluster with this view of Pgpool-II: node="status role"."""
    pairs = [(name, *words.split()) for name, words in backends.items()]
    nodes = tuple(PoolNode(i, name, status, role) for i, (name, status, role) in enumerate(pairs))
    return replace(HEALTHY, pool=Seen(nodes))


STALE = pool(pg_node1="up standby", pg_node2="up primary", pg_node3="up standby")
assert HEALTHY.store.value
MEMBERS = HEALTHY.store.value.members
REFUSING = Contradiction(index=1, since=AT - 5, refusals=pool_view.CERTAIN)
DOWN = observed_states.edit_backend(HEALTHY, STANDBY, status="down")
PROMOTE: Brief = [(Verb.PROMOTE, PRIMARY)]
ATTACH: Brief = [(Verb.ATTACH, STANDBY)]
DETACH: Brief = [(Verb.DETACH, STANDBY)]

# One fault each.
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
    "a detach has not helped": (
        replace(HEALTHY, contradiction=replace(REFUSING, since=AT - pool_view.DETACH_LIMIT - 1)),
        [(Verb.RESTART, PRIMARY)],
    ),
    "it refused a single session": (replace(HEALTHY, contradiction=replace(REFUSING, refusals=1)), []),
    "it refuses because of a standby that it has as down by now": (replace(DOWN, contradiction=REFUSING), ATTACH),
    "it refuses because of an unknown backend": (
        replace(HEALTHY, contradiction=replace(REFUSING, index=7)),
        [],
    ),
    "a wrong primary comes before a contradiction": (replace(STALE, contradiction=REFUSING), PROMOTE),
    "a switchover went unnoticed": (STALE, PROMOTE),
    "no backend is the primary": (observed_states.edit_backend(HEALTHY, PRIMARY, role="standby"), PROMOTE),
    "the true primary is down, no other claimed": (
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
    "a standby is down, though eligible": (DOWN, ATTACH),
    "a standby is dead": (observed_states.dead(HEALTHY, STANDBY), DETACH),
    "a standby stopped": (observed_states.edit_member(HEALTHY, STANDBY, state="stopped"), DETACH),
    "a standby starts": (
        observed_states.edit_member(HEALTHY, STANDBY, state="starting", replication="streaming"),
        DETACH,
    ),
    "a standby that Patroni forgot": (
        observed_states.edit_store(HEALTHY, members={k: m for k, m in MEMBERS.items() if k != STANDBY}),
        DETACH,
    ),
    "a standby is late, not gone": (observed_states.edit_member(HEALTHY, STANDBY, lsn=0), []),
    "two standbys are down": (
        observed_states.edit_backend(DOWN, OTHER, status="down"),
        [*ATTACH, (Verb.ATTACH, OTHER)],
    ),
}
NO_DECISION: dict[str, ObservedState] = {
    "the store does not answer": replace(STALE, store=observed_states.UNKNOWN),
    "Pgpool-II does not answer": replace(STALE, pool=observed_states.UNKNOWN),
    "Pgpool-II has no backend": replace(STALE, pool=Seen(())),
    "maintenance": observed_states.edit_store(STALE, paused=True),
    "no node holds the lease": observed_states.edit_store(STALE, lease=None),
    "the holder was not seen to accept writes": replace(STALE, opened=None),
    "it accepted writes under a former lease": replace(STALE, opened=Lease(PRIMARY, 9)),
    "the primary is dead": observed_states.dead(STALE, PRIMARY),
    "the primary is no backend": pool(pg_node2="up primary", pg_node3="down standby"),
    "the primary is dead, a standby down": observed_states.dead(DOWN, PRIMARY),
}
NOT_ELIGIBLE: dict[str, ObservedState] = {
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


@pytest.mark.parametrize(("observed", "wanted"), ACTS.values(), ids=ACTS.keys())
def test_a_wrong_view_is_corrected(observed: ObservedState, wanted: Brief) -> None:
    """The decision has exactly these actions, each with a cause."""
    assert brief(observed) == wanted
    assert all(decision.cause for decision in pool_view.decide(SPEC, observed, STEADY))


@pytest.mark.parametrize("observed", NO_DECISION.values(), ids=NO_DECISION.keys())
def test_an_unknown_state_gives_no_action(observed: ObservedState) -> None:
    """No view is wrong enough for an action."""
    assert brief(observed) == []


@pytest.mark.parametrize("observed", NOT_ELIGIBLE.values(), ids=NOT_ELIGIBLE.keys())
def test_an_ineligible_node_is_not_attached(observed: ObservedState) -> None:
    """The memory of an eligible node does not change that."""
    assert brief(observed) == []


@pytest.mark.parametrize(
    ("since", "wanted"), [(None, []), (AT, []), (AT - 2.9, []), (AT - 3, ATTACH), (AT - 60, ATTACH)]
)
def test_a_returning_node_waits_before_it_is_attached(since: float | None, wanted: Brief) -> None:
    """The node must have been eligible for `attach_after_seconds`, as far as this keeper knows."""
    eligible = {} if since is None else {STANDBY: since}
    assert brief(DOWN, replace(STEADY, eligible_since=eligible)) == wanted


def test_the_index_is_that_of_pgpool() -> None:
    """Pgpool-II's control port knows numbers, not names."""
    observed = pool(pg_node3="up standby", pg_node1="down standby", pg_node2="up standby")
    (decision,) = pool_view.decide(SPEC, observed, STEADY)
    assert (decision.node, decision.index) == (PRIMARY, 1)


def test_a_second_failover_restarts_pgpool() -> None:
    """Before Pgpool-II has its standbys back, it has a former primary as primary, and all others down."""
    observed = pool(pg_node1="down standby", pg_node2="up primary", pg_node3="down standby")
    (decision,) = pool_view.decide(SPEC, observed, STEADY)
    assert (decision.verb, decision.node) == (Verb.RESTART, PRIMARY)
    observed = keeper_world.act(observed, decision)
    assert brief(observed) == []
    assert observed.pool.value is not None
    assert [b.name for b in observed.pool.value if b.role == "primary"] == [PRIMARY]


def claimed(observed: ObservedState) -> set[str]:
    """Return the backends that Pgpool-II has as primary."""
    return {b.name for b in observed.pool.value or () if b.role == "primary" and b.is_up}


@given(observed_states.situations())
def test_only_the_open_holder_of_the_lease_becomes_primary(situation: Situation) -> None:
    """While the primary is unknown or dead, or in maintenance mode, there is no action at all."""
    spec, observed, memory = situation
    decisions, view = pool_view.decide(spec, observed, memory), observed.store.value
    if not decisions:
        return
    assert view
    assert not view.paused
    assert view.lease == observed.opened
    assert observed.primary
    assert not observed.is_dead(observed.primary)
    promoted = [d.node for d in decisions if d.verb is Verb.PROMOTE]
    assert promoted in ([], [observed.primary])
    assert all(decision.node in {backend.name for backend in observed.pool.value or ()} for decision in decisions)


@given(observed_states.situations())
def test_no_standby_is_touched_while_the_primary_is_wrong(situation: Situation) -> None:
    """The only action is about the true primary."""
    spec, observed, memory = situation
    decisions = pool_view.decide(spec, observed, memory)
    if decisions and claimed(observed) != {observed.primary}:
        assert len(decisions) == 1
        assert decisions[0].node == observed.primary
        assert decisions[0].verb is not Verb.DETACH
    elif decisions:
        assert observed.primary not in {decision.node for decision in decisions}
        assert {decision.verb for decision in decisions} <= {Verb.ATTACH, Verb.DETACH}


@given(observed_states.situations())
def test_only_a_node_that_is_eligible_for_long_enough_is_attached(situation: Situation) -> None:
    """The rule does not apply to the primary; only an ineligible node is detached."""
    spec, observed, memory = situation
    for decision in pool_view.decide(spec, observed, memory):
        if decision.verb is Verb.ATTACH and decision.node != observed.primary:
            assert eligibility.ineligible_because(spec, observed, memory, decision.node) is None
            assert AT - memory.eligible_since[decision.node] >= spec.keeper.attach_after_seconds
        if decision.verb is Verb.DETACH:
            assert eligibility.ineligible_because(spec, observed, memory, decision.node) is not None


@given(observed_states.situations())
def test_a_promotion_is_of_a_backend_that_pgpool_can_promote(situation: Situation) -> None:
    """Pgpool-II ignores the promotion of a backend that is down, so the keeper would repeat it for ever."""
    spec, observed, memory = situation
    up = {backend.index for backend in observed.pool.value or () if backend.is_up}
    assert all(d.index in up for d in pool_view.decide(spec, observed, memory) if d.verb is Verb.PROMOTE)


@given(observed_states.situations())
def test_an_executed_action_is_not_repeated(situation: Situation) -> None:
    """The action has the wanted effect."""
    spec, observed, memory = situation

    def same(decision: Decision) -> tuple[Any, ...]:
        return decision.verb, decision.node

    for decision in pool_view.decide(spec, observed, memory):
        after = pool_view.decide(spec, keeper_world.act(observed, decision), memory)
        assert same(decision) not in map(same, after)


def test_a_restarted_pgpool_without_memory_is_corrected() -> None:
    """Pgpool-II reports every backend as down, and none as primary."""
    spec = snapshots.spec_of(5)
    observed = observed_states.healthy(spec)
    for name in observed_states.names_of(spec):
        observed = observed_states.edit_backend(observed, name, status="down", role="standby")
    (first,) = pool_view.decide(spec, observed, observed_states.steady(spec))
    rest = pool_view.decide(spec, keeper_world.act(observed, first), observed_states.steady(spec))
    assert (first.verb, first.node) == (Verb.ATTACH, "pg_node1")
    assert {d.node for d in rest} == {"pg_node2", "pg_node3", "pg_node4", "pg_node5"}
