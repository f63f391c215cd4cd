"""Eligibility to serve reads: by Patroni's keys and the leader's remembered positions, never by a guess."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import observed_states
from tests.poolkeeper.unit.observed_states import AT, LSN
from tests.poolkeeper.unit.snapshots import PRIMARY, SPEC, STANDBY

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Memory
from poolkeeper.model.observed_state import Lease, ObservedState, Replayed
from poolkeeper.model.spec import ClusterSpec

HEALTHY = observed_states.healthy()
STEADY = observed_states.steady()
LAG = SPEC.replication.max_read_lag_bytes
BOUND = SPEC.keeper.max_read_staleness_seconds
Situation = tuple[ClusterSpec, ObservedState, Memory]


def edit(**changes: object) -> ObservedState:
    """Change what the standby published."""
    return observed_states.edit_member(HEALTHY, STANDBY, **changes)


OLD = replace(STEADY, progress=((0.0, LSN - 2), (AT - BOUND - 1, LSN - 1), (AT - 1, LSN)))

# One fault each.
NOT_ELIGIBLE: dict[str, tuple[ObservedState, Memory, str]] = {
    "nothing is known": (replace(HEALTHY, store=observed_states.UNKNOWN), STEADY, "Patroni does not know it"),
    "no member": (observed_states.edit_store(HEALTHY, members={}), STEADY, "Patroni does not know it"),
    "dead": (observed_states.dead(HEALTHY, STANDBY), STEADY, "it is dead"),
    "no leader": (observed_states.edit_store(HEALTHY, lease=None), STEADY, "there is no leader"),
    "the leader itself": (observed_states.edit_store(HEALTHY, lease=Lease(STANDBY, 11)), STEADY, "it holds the lease"),
    "running only": (edit(state="running"), STEADY, "Patroni reports running, not streaming"),
    "stopped, and streamed before": (edit(state="stopped", replication="streaming"), STEADY, "Patroni reports stopped"),
    "another timeline": (edit(timeline=2), STEADY, "it is on timeline 2, the leader on 1"),
    "no timeline": (edit(timeline=None), STEADY, "timeline None"),
    "an unknown leader": (observed_states.edit_store(HEALTHY, lease=Lease("x", 1)), STEADY, "an unknown one"),
    "no position": (edit(lsn=None), STEADY, "its position is unknown"),
    "no position of the leader": (
        observed_states.edit_store(HEALTHY, leader_lsn=None),
        STEADY,
        "its position is unknown",
    ),
    "many bytes behind": (edit(lsn=LSN - LAG - 1), STEADY, f"it is {LAG + 1} bytes behind"),
    "has replayed little of what it received": (
        replace(HEALTHY, replayed={STANDBY: Replayed(AT, LSN - 2)}),
        OLD,
        f"it is {BOUND + 1:.0f} s behind",
    ),
    "a little behind, for long": (edit(lsn=LSN - 2), OLD, f"it is {BOUND + 1:.0f} s behind"),
}
ELIGIBLE: dict[str, tuple[ObservedState, Memory]] = {
    "all is well": (HEALTHY, STEADY),
    "Patroni's other report of streaming": (edit(state="running", replication="streaming"), STEADY),
    "at the bound in bytes": (edit(lsn=LSN - LAG), Memory()),
    "a little behind, for a moment": (edit(lsn=LSN - 1), OLD),
    "had replayed little when it was last asked": (
        replace(HEALTHY, replayed={STANDBY: Replayed(AT - 2, LSN - 2)}),
        OLD,
    ),
    "ahead of the leader's last position": (edit(lsn=LSN + 9), OLD),
    "a former incarnation died": (
        observed_states.edit_process(observed_states.dead(HEALTHY, STANDBY), STANDBY, incarnation="second"),
        STEADY,
    ),
}


@pytest.mark.parametrize(("observed", "memory", "why"), NOT_ELIGIBLE.values(), ids=NOT_ELIGIBLE.keys())
def test_one_fault_makes_it_ineligible(observed: ObservedState, memory: Memory, why: str) -> None:
    """The reason names the node."""
    assert why in (eligibility.ineligible_because(SPEC, observed, memory, STANDBY) or "")


@pytest.mark.parametrize(("observed", "memory"), ELIGIBLE.values(), ids=ELIGIBLE.keys())
def test_a_standby_within_the_bounds_is_eligible(observed: ObservedState, memory: Memory) -> None:
    """A standby is eligible up to each bound."""
    assert eligibility.ineligible_because(SPEC, observed, memory, STANDBY) is None


def test_eligibility_starts_again_after_any_break() -> None:
    """A time without facts is a break too."""
    for broken in (edit(state="starting"), replace(HEALTHY, store=observed_states.UNKNOWN)):
        memory = eligibility.remember(SPEC, replace(broken, at=AT + 1), STEADY)
        assert STANDBY not in memory.eligible_since
        assert eligibility.remember(SPEC, replace(HEALTHY, at=AT + 2), memory).eligible_since[STANDBY] == AT + 2


def test_a_new_leader_behind_the_former_one_makes_no_standby_stale() -> None:
    """The former leader's last bytes are lost; the standbys have all there is, however long nothing is written."""
    memory = eligibility.remember(SPEC, observed_states.edit_store(HEALTHY, leader_lsn=LSN + 500), STEADY)
    for seconds in range(1, 100):
        observed = replace(HEALTHY, at=AT + seconds)
        memory = eligibility.remember(SPEC, observed, memory)
        assert eligibility.ineligible_because(SPEC, observed, memory, STANDBY) is None


def test_a_standby_that_stands_still_becomes_stale() -> None:
    """The time counts from the first observation of the leader ahead of it, whatever the leader does then."""
    memory, found = STEADY, []
    for seconds in range(60):
        observed = replace(observed_states.edit_store(HEALTHY, leader_lsn=LSN + seconds), at=AT + seconds)
        memory = eligibility.remember(SPEC, observed, memory)
        if eligibility.ineligible_because(SPEC, observed, memory, STANDBY):
            found.append(seconds)
    assert found == list(range(BOUND + 2, 60))


@given(observed_states.situations())
def test_an_eligible_standby_has_every_property(situation: Situation) -> None:
    """The rule holds for any observed state."""
    spec, observed, memory = situation
    for name in [*observed_states.names_of(spec), observed_states.STRANGER]:
        if eligibility.ineligible_because(spec, observed, memory, name) is not None:
            continue
        view = observed.store.value
        assert view
        assert view.lease
        member, leader = view.members[name], view.members[view.lease.owner]
        assert name != view.lease.owner
        assert not observed.is_dead(name)
        assert "streaming" in (member.state, member.replication)
        assert member.is_running
        assert member.timeline == leader.timeline is not None
        assert member.lsn is not None
        assert view.leader_lsn is not None
        assert view.leader_lsn - member.lsn <= spec.replication.max_read_lag_bytes


@given(observed_states.situations())
def test_to_remember_twice_is_to_remember_once(situation: Situation) -> None:
    """Two loops remember the same state. A remembered standby is eligible, and its time never moves forward."""
    spec, observed, memory = situation
    once = eligibility.remember(spec, observed, memory)
    assert eligibility.remember(spec, observed, once) == once
    assert once.last_release == memory.last_release
    for name, since in once.eligible_since.items():
        assert eligibility.ineligible_because(spec, observed, once, name) is None
        assert since == memory.eligible_since.get(name, observed.at)


@given(st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 50)), max_size=30))
def test_progress_grows_in_time_and_position_and_is_bounded(steps: list[tuple[int, int | None]]) -> None:
    """The list stays short in a long run, and holds no position that the leader lacks."""
    memory, at = Memory(), AT
    for pause, position in steps:
        at += pause
        observed = observed_states.edit_store(replace(HEALTHY, at=at), leader_lsn=position)
        memory = eligibility.remember(SPEC, observed, memory)
        seen = memory.progress
        assert all(a[0] <= b[0] and a[1] < b[1] for a, b in itertools.pairwise(seen))
        assert sum(when < at - 2 * BOUND for when, _ in seen) <= 1
        if position is not None:
            assert seen[-1][1] == position
            assert eligibility.staleness(memory, at, position) == 0
            assert eligibility.staleness(memory, at, position - 1) <= eligibility.staleness(memory, at, position - 2)


def test_the_leader_is_never_an_eligible_standby() -> None:
    """The rule holds for anything that the node publishes."""
    observed = observed_states.edit_member(HEALTHY, PRIMARY, role="replica", state="streaming")
    assert eligibility.ineligible_because(SPEC, observed, STEADY, PRIMARY) == "it holds the lease"
