"""All decisions together: with one agent or two they end, and then every view agrees with Patroni."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.poolkeeper.unit import keeper_world, observed_states, snapshots
from tests.poolkeeper.unit.test_spec_properties import Edit, edits

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model import proxies, source
from poolkeeper.model.decision import Decision, Memory
from poolkeeper.model.observed_state import ObservedState
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import keeper_config

Situation = tuple[ClusterSpec, ObservedState, Memory]


def eligible_standbys(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> set[str]:
    """Return the standbys that may serve reads now."""
    return {n.name for n in spec.nodes if eligibility.ineligible_because(spec, observed, memory, n.name) is None}


def assert_settled(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> None:
    """No action is left, and every server's view agrees with the store."""
    assert keeper_world.decide(spec, observed, memory) == ()
    if observed.store.value is None or observed.store.value.paused:
        return
    _assert_pool(spec, observed, memory)
    _assert_routes(spec, observed, memory)


def _assert_pool(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> None:
    backends = {backend.name: backend for backend in observed.pool.value or ()}
    if observed.primary not in backends or observed.is_dead(observed.primary):
        return
    assert [b.name for b in backends.values() if b.role == "primary" and b.is_up] == [observed.primary]
    for name in eligible_standbys(spec, observed, memory) & backends.keys():
        assert backends[name].is_up
    for name in observed_states.names_of(spec):
        if name in backends and observed.is_dead(name):
            assert not backends[name].is_up


def _assert_routes(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> None:
    eligible, declared = eligible_standbys(spec, observed, memory), observed_states.names_of(spec)
    for route in observed.routes.value or ():
        if route.node not in declared:
            continue
        assert not (route.is_up and observed.is_dead(route.node))
        if route.proxy == proxies.PRIMARY and observed.primary in declared and not observed.is_dead(observed.primary):
            assert route.is_up is (route.node == observed.primary) or route.in_maintenance
        if route.proxy == proxies.STANDBYS and route.node in eligible:
            assert not route.in_maintenance
        if route.proxy == proxies.STANDBYS and observed.store.value and observed.store.value.lease:
            assert route.in_maintenance or route.node != observed.store.value.lease.owner


@given(observed_states.situations())
@settings(max_examples=60)
def test_one_agent_converges(situation: Situation) -> None:
    """The agent converges from any state, while the store does not change."""
    spec, observed, memory = situation
    for _ in range(keeper_world.rounds(spec)):
        decisions, memory = keeper_world.step(spec, observed, memory)
        for decision in decisions:
            observed = keeper_world.act(observed, decision)
        observed = keeper_world.later(observed)
    assert_settled(spec, observed, eligibility.remember(spec, observed, memory))


@given(observed_states.situations(), st.data(), st.booleans())
@settings(max_examples=60)
def test_two_agents_converge(situation: Situation, data: st.DataObject, together: bool) -> None:
    """Two agents converge if each observes the other's actions, and if both decide on the same state."""
    spec, observed, memory = situation
    memories = [memory, data.draw(observed_states.memories(spec))]
    for _ in range(keeper_world.rounds(spec)):
        before = observed
        for i, mine in enumerate(memories):
            decisions, memories[i] = keeper_world.step(spec, before if together else observed, mine)
            for decision in decisions:
                observed = keeper_world.act(observed, decision)
        observed = keeper_world.later(observed)
    for mine in memories:
        assert_settled(spec, observed, eligibility.remember(spec, observed, mine))


@given(observed_states.situations())
@settings(max_examples=60)
def test_an_agent_without_memory_does_no_harm(situation: Situation) -> None:
    """An agent that is restarted each second does what needs no memory, and repeats nothing."""
    spec, observed, _ = situation
    done: list[Decision] = []
    for _ in range(keeper_world.rounds(spec)):
        decisions, _ = keeper_world.step(spec, observed, Memory())
        done += decisions
        for decision in decisions:
            observed = keeper_world.act(observed, decision)
        observed = keeper_world.later(observed)
    assert keeper_world.step(spec, observed, Memory())[0] == ()
    names = [(decision.verb, decision.node, decision.proxy) for decision in done]
    assert len(names) == len(set(names))


@given(observed_states.situations())
def test_a_silent_store_gives_no_action(situation: Situation) -> None:
    """No other knowledge changes that, and neither does maintenance mode."""
    spec, observed, memory = situation
    assert keeper_world.step(spec, replace(observed, store=observed_states.UNKNOWN), memory)[0] == ()
    if observed.store.value:
        assert keeper_world.step(spec, observed_states.edit_store(observed, paused=True), memory)[0] == ()


@pytest.mark.parametrize("nodes", range(2, 6))
def test_a_healthy_cluster_is_left_alone(nodes: int) -> None:
    """The keeper stays idle for a minute of iterations."""
    spec = snapshots.spec_of(nodes)
    observed, memory = observed_states.healthy(spec), Memory()
    for _ in range(60):
        decisions, memory = keeper_world.step(spec, observed, memory)
        assert decisions == ()
        observed = keeper_world.later(observed)


@given(observed_states.situations(), st.sampled_from([0, 1, 2**24]))
def test_the_keepers_file_suffices_for_its_decisions(situation: Situation, lag: int) -> None:
    """The keeper decides the same with its part of the declaration as with the complete one."""
    spec, observed, memory = situation
    replication = spec.replication.model_copy(update={"max_read_lag_bytes": lag})
    complete = spec.model_copy(update={"replication": replication})
    part = ClusterSpec.model_validate_json(keeper_config.config(complete))
    assert keeper_world.step(part, observed, memory) == keeper_world.step(complete, observed, memory)


@given(edits().map(Edit.text).map(source.load))
@settings(max_examples=25)
def test_the_keepers_file_has_every_address_that_it_needs(complete: ClusterSpec) -> None:
    """Any cluster has valid addresses and ports, and its file can be read."""
    part = ClusterSpec.model_validate_json(keeper_config.config(complete))
    assert (part.name, part.addresses()) == (complete.name, complete.addresses())
    assert (part.keeper, part.nodes, part.etcd.members) == (complete.keeper, complete.nodes, complete.etcd.members)
    assert (part.haproxy.runtime_port, part.pgpool.pcp_port) == (
        complete.haproxy.runtime_port,
        complete.pgpool.pcp_port,
    )
    assert part.roles.pcp == complete.roles.pcp
    assert "passw" not in json.dumps(keeper_config.config(complete))
