"""All decisions together: alone or with a second agent, they end; and then every view is what Patroni says."""

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
from poolkeeper.model.decision import Memory
from poolkeeper.model.observed_state import ObservedState
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.render import keeper_config

Looks = tuple[ClusterSpec, ObservedState, Memory]


def fit_standbys(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> set[str]:
    """Standbys that may serve reads now."""
    return {n.name for n in spec.nodes if eligibility.ineligible_because(spec, scene, memory, n.name) is None}


def assert_settled(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> None:
    """Nothing is left to do, and what the servers have is what the store says."""
    assert keeper_world.decide(spec, scene, memory) == ()
    if scene.store.value is None or scene.store.value.paused:
        return
    _assert_pool(spec, scene, memory)
    _assert_routes(spec, scene, memory)


def _assert_pool(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> None:
    backends = {backend.name: backend for backend in scene.pool.value or ()}
    if scene.primary not in backends or scene.is_dead(scene.primary):
        return
    assert [b.name for b in backends.values() if b.role == "primary" and b.is_up] == [scene.primary]
    for name in fit_standbys(spec, scene, memory) & backends.keys():
        assert backends[name].is_up
    for name in observed_states.names_of(spec):
        if name in backends and scene.is_dead(name):
            assert not backends[name].is_up


def _assert_routes(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> None:
    fit, declared = fit_standbys(spec, scene, memory), observed_states.names_of(spec)
    for route in scene.routes.value or ():
        if route.node not in declared:
            continue
        assert not (route.is_up and scene.is_dead(route.node))
        if route.proxy == proxies.PRIMARY and scene.primary in declared and not scene.is_dead(scene.primary):
            assert route.is_up is (route.node == scene.primary) or route.in_maintenance
        if route.proxy == proxies.STANDBYS and route.node in fit:
            assert not route.in_maintenance
        if route.proxy == proxies.STANDBYS and scene.store.value and scene.store.value.lease:
            assert route.in_maintenance or route.node != scene.store.value.lease.owner


@given(observed_states.looks())
@settings(max_examples=60)
def test_one_agent_comes_to_an_end(look: Looks) -> None:
    """From anywhere, while the store stands still."""
    spec, scene, memory = look
    for _ in range(keeper_world.rounds(spec)):
        decisions, memory = keeper_world.turn(spec, scene, memory)
        for decision in decisions:
            scene = keeper_world.act(scene, decision)
        scene = keeper_world.later(scene)
    assert_settled(spec, scene, eligibility.remember(spec, scene, memory))


@given(observed_states.looks(), st.data(), st.booleans())
@settings(max_examples=60)
def test_two_agents_come_to_an_end(look: Looks, data: st.DataObject, together: bool) -> None:
    """Whether each sees what the other did, or both decide on the same look and act one after the other."""
    spec, scene, memory = look
    memories = [memory, data.draw(observed_states.memories(spec))]
    for _ in range(keeper_world.rounds(spec)):
        before = scene
        for i, mine in enumerate(memories):
            decisions, memories[i] = keeper_world.turn(spec, before if together else scene, mine)
            for decision in decisions:
                scene = keeper_world.act(scene, decision)
        scene = keeper_world.later(scene)
    for mine in memories:
        assert_settled(spec, scene, eligibility.remember(spec, scene, mine))


@given(observed_states.looks())
@settings(max_examples=60)
def test_an_agent_that_forgets_at_every_look_does_no_harm(look: Looks) -> None:
    """Killed and started again each second: what needs no memory is done, and nothing is done over and over."""
    spec, scene, _ = look
    done = []
    for _ in range(keeper_world.rounds(spec)):
        decisions, _ = keeper_world.turn(spec, scene, Memory())
        done += decisions
        for decision in decisions:
            scene = keeper_world.act(scene, decision)
        scene = keeper_world.later(scene)
    assert keeper_world.turn(spec, scene, Memory())[0] == ()
    names = [(decision.verb, decision.node, decision.proxy) for decision in done]
    assert len(names) == len(set(names))


@given(observed_states.looks())
def test_nothing_is_done_while_the_store_is_silent(look: Looks) -> None:
    """Nothing at all, whatever else is known; and nothing in maintenance."""
    spec, scene, memory = look
    assert keeper_world.turn(spec, replace(scene, store=observed_states.UNKNOWN), memory)[0] == ()
    if scene.store.value:
        assert keeper_world.turn(spec, observed_states.edit_store(scene, paused=True), memory)[0] == ()


@pytest.mark.parametrize("nodes", range(2, 6))
def test_a_healthy_cluster_is_left_alone(nodes: int) -> None:
    """For as long as it is healthy."""
    spec = snapshots.spec_of(nodes)
    scene, memory = observed_states.healthy(spec), Memory()
    for _ in range(60):
        decisions, memory = keeper_world.turn(spec, scene, memory)
        assert decisions == ()
        scene = keeper_world.later(scene)


@given(observed_states.looks(), st.sampled_from([0, 1, 2**24]))
def test_the_keepers_file_has_all_that_it_decides_by(look: Looks, lag: int) -> None:
    """With its part of the declared cluster it decides the same as with the whole."""
    spec, scene, memory = look
    replication = spec.replication.model_copy(update={"max_read_lag_bytes": lag})
    whole = spec.model_copy(update={"replication": replication})
    part = ClusterSpec.model_validate_json(keeper_config.config(whole))
    assert keeper_world.turn(part, scene, memory) == keeper_world.turn(whole, scene, memory)


@given(edits().map(Edit.text).map(source.load))
@settings(max_examples=25)
def test_the_keepers_file_has_all_that_it_connects_to(whole: ClusterSpec) -> None:
    """Addresses and ports of any cluster; and it can be read."""
    part = ClusterSpec.model_validate_json(keeper_config.config(whole))
    assert (part.name, part.addresses()) == (whole.name, whole.addresses())
    assert (part.keeper, part.nodes, part.etcd.members) == (whole.keeper, whole.nodes, whole.etcd.members)
    assert (part.haproxy.runtime_port, part.pgpool.pcp_port) == (whole.haproxy.runtime_port, whole.pgpool.pcp_port)
    assert part.roles.pcp == whole.roles.pcp
    assert "passw" not in json.dumps(keeper_config.config(whole))
