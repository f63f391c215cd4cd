"""The early release: only on proof, of the lease and incarnation that the proof is about, and not too often."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.poolkeeper.unit import keeper_world, observed_states, snapshots
from tests.poolkeeper.unit.observed_states import AT
from tests.poolkeeper.unit.snapshots import PRIMARY, SPEC, STANDBY

from poolkeeper.keeper.decide import release
from poolkeeper.model.decision import Decision, Memory, Refusal, Verb
from poolkeeper.model.observed_state import Lease, NodeRecord, ObservedState
from poolkeeper.model.spec import ClusterSpec, Keeper

HEALTHY = observed_states.healthy()
DEAD = observed_states.dead(HEALTHY, PRIMARY)
SILENT = replace(observed_states.edit_process(HEALTHY, PRIMARY, state="unknown"), silent={PRIMARY: AT - 5})
NEVER = Memory()
INTERVAL = SPEC.keeper.release_interval_seconds
Situation = tuple[ClusterSpec, ObservedState, Memory]


def with_keeper(**changes: Any) -> ClusterSpec:
    """Return a cluster whose keeper has these options."""
    return snapshots.spec_of(keeper=Keeper(**changes))


FENCE = with_keeper(fence_command="off {node}")


def test_a_proven_death_releases_the_lease() -> None:
    """The decision holds what the transaction compares, and the proof."""
    decision = release.decide(SPEC, DEAD, NEVER)
    assert isinstance(decision, Decision)
    assert (decision.verb, decision.node) == (Verb.RELEASE, PRIMARY)
    assert (decision.lease_revision, decision.record_revision, decision.incarnation) == (10, 3, "first")
    assert "proven dead (its supervisor ended)" in str(decision)


def test_a_silent_machine_is_fenced() -> None:
    """The release makes the same comparison; the fence is the proof."""
    decision = release.decide(FENCE, SILENT, NEVER)
    assert isinstance(decision, Decision)
    assert (decision.verb, decision.node) == (Verb.FENCE, PRIMARY)
    assert (decision.lease_revision, decision.record_revision) == (10, 3)
    assert "silent for 5 s" in decision.cause


def record(**changes: Any) -> Mapping[str, NodeRecord]:
    """Return the records with the primary's changed."""
    assert HEALTHY.store.value
    records = HEALTHY.store.value.records
    return {**records, PRIMARY: replace(records[PRIMARY], **changes)}


# One difference each from a cluster whose lease would be released.
NOTHING: dict[str, tuple[ClusterSpec, ObservedState]] = {
    "the primary lives": (SPEC, HEALTHY),
    "its state is unknown": (SPEC, observed_states.edit_process(DEAD, PRIMARY, state="unknown")),
    "it was never observed": (SPEC, replace(DEAD, processes={})),
    "only a standby is dead": (SPEC, observed_states.dead(HEALTHY, STANDBY)),
    "the store does not answer": (SPEC, replace(DEAD, store=observed_states.UNKNOWN)),
    "no node holds the lease": (SPEC, observed_states.edit_store(DEAD, lease=None)),
    "another node holds the lease": (SPEC, observed_states.edit_store(DEAD, lease=Lease(STANDBY, 11))),
    "silent, and no fence is declared": (SPEC, SILENT),
    "silent, and seen alive": (FENCE, observed_states.edit_process(SILENT, PRIMARY, state="alive")),
    "not silent for long enough": (FENCE, replace(SILENT, silent={PRIMARY: AT - 4.9})),
    "a standby is silent": (FENCE, replace(SILENT, silent={STANDBY: AT - 60})),
}
REFUSED: dict[str, tuple[ClusterSpec, ObservedState, Memory, str]] = {
    "maintenance": (
        SPEC,
        observed_states.edit_store(DEAD, paused=True),
        NEVER,
        "is dead, but the cluster is in maintenance",
    ),
    "switched off": (with_keeper(early_release=False), DEAD, NEVER, "keeper.early_release is off"),
    "too soon": (SPEC, DEAD, Memory(last_release=AT - INTERVAL + 0.1), "the last release was less than"),
    "it has started again": (
        SPEC,
        observed_states.edit_store(DEAD, records=record(incarnation="second")),
        NEVER,
        "not the one",
    ),
    "no record": (SPEC, observed_states.edit_store(DEAD, records={}), NEVER, "is not the one in the store"),
    "no record to fence by": (FENCE, observed_states.edit_store(SILENT, records={}), NEVER, "no record in the store"),
    "fence in maintenance": (
        FENCE,
        observed_states.edit_store(SILENT, paused=True),
        NEVER,
        "is silent, but the cluster is in",
    ),
    "fence too soon": (FENCE, SILENT, Memory(last_release=AT - 1), "is silent, but the last release"),
}


@pytest.mark.parametrize(("spec", "observed"), NOTHING.values(), ids=NOTHING.keys())
def test_without_proof_there_is_no_decision(spec: ClusterSpec, observed: ObservedState) -> None:
    """Without proof the keeper neither releases nor refuses: it left nothing useful undone."""
    assert release.decide(spec, observed, NEVER) is None


@pytest.mark.parametrize(("spec", "observed", "memory", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_has_its_reason(spec: ClusterSpec, observed: ObservedState, memory: Memory, why: str) -> None:
    """A death or a silence without an action is explained."""
    verdict = release.decide(spec, observed, memory)
    assert isinstance(verdict, Refusal)
    assert why in str(verdict)


def test_after_the_interval_it_is_released_again() -> None:
    """The interval ends to the second."""
    assert isinstance(release.decide(SPEC, DEAD, Memory(last_release=AT - INTERVAL)), Decision)


@given(observed_states.situations())
def test_a_release_implies_proof(situation: Situation) -> None:
    """For any observed state, a release implies every condition of its safety, and states what must still be true."""
    spec, observed, memory = situation
    verdict, view = release.decide(spec, observed, memory), observed.store.value
    if not isinstance(verdict, Decision):
        return
    assert view
    assert view.lease
    assert not view.paused
    assert spec.keeper.early_release
    record, process = view.records[view.lease.owner], observed.processes.get(view.lease.owner)
    assert (verdict.node, verdict.lease_revision) == (view.lease.owner, view.lease.revision)
    assert (verdict.record_revision, verdict.incarnation) == (record.revision, record.incarnation)
    assert memory.last_release is None or AT - memory.last_release >= spec.keeper.release_interval_seconds
    if verdict.verb is Verb.RELEASE:
        assert process
        assert (process.state, process.incarnation) == ("dead", record.incarnation)
    else:
        assert spec.keeper.fence_command
        assert AT - observed.silent[verdict.node] >= spec.keeper.fence_after_seconds
        assert process is None or process.state != "alive"


@given(observed_states.situations())
def test_a_dead_holder_is_released_or_the_reason_is_given(situation: Situation) -> None:
    """A proven death of the lease holder is never passed over."""
    spec, observed, memory = situation
    view = observed.store.value
    if view and view.lease and observed.is_dead(view.lease.owner):
        assert release.decide(spec, observed, memory) is not None


@given(st.data(), observed_states.specs(), st.lists(st.integers(0, 40), min_size=2, max_size=8))
@settings(max_examples=40)
def test_no_two_releases_within_the_interval(data: st.DataObject, spec: ClusterSpec, pauses: list[int]) -> None:
    """No change of the cluster meanwhile makes the release unsafe."""
    memory, at, released = Memory(), AT, []
    for pause in pauses:
        at += pause
        _, memory = keeper_world.step(spec, data.draw(observed_states.states(spec, at)), memory)
        if memory.last_release == at:
            released.append(at)
    interval = spec.keeper.release_interval_seconds
    assert all(b - a >= interval for a, b in itertools.pairwise(released))


@given(observed_states.situations())
def test_a_release_that_was_done_is_not_repeated(situation: Situation) -> None:
    """The keeper releases nothing without a lease, nor after another node has taken it."""
    spec, observed, memory = situation
    verdict = release.decide(spec, observed, memory)
    if isinstance(verdict, Decision):
        assert release.decide(spec, keeper_world.act(observed, verdict), memory) is None
        taken = observed_states.edit_store(observed, lease=Lease(verdict.node, verdict.lease_revision + 1))
        assert keeper_world.act(taken, verdict) == taken
