"""The plan from the running cluster to the declared one: the fewest steps for each change, and none left after it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.poolkeeper.unit import deployments, snapshots
from tests.poolkeeper.unit.snapshots import SPEC

from poolkeeper.core import errors
from poolkeeper.decide import planning
from poolkeeper.model.plan import Action, Plan
from poolkeeper.model.spec import ClusterSpec

NODES = ["pg_node1", "pg_node2", "pg_node3"]
ETCDS = ["etcd1", "etcd2", "etcd3"]
ENDPOINTS = ["pgpool_rw", "pgpool_ro", "pgpool"]
ENDPOINT = "haproxy_pgpool"
KEEPER = "keeper"
BY_STANDBYS = ["pg_node2", "pg_node3", "pg_node1"]  # the primary last
Brief = list[tuple[Action, list[str]]]
Edits = Sequence[tuple[str, Any]]


def brief(steps: Plan) -> Brief:
    """Return each action and its services."""
    return [(step.action, list(step.services)) for step in steps.steps]


def each(action: Action, services: list[str]) -> Brief:
    """Return one step for each service."""
    return [(action, [service]) for service in services]


def edited(edits: Edits, spec: ClusterSpec = SPEC) -> ClusterSpec:
    """Return the spec with these values at these paths."""
    for path, value in edits:
        spec = deployments.edit(spec, path, value)
    return spec


def with_node(number: int) -> ClusterSpec:
    """Return the spec with this number of nodes."""
    return snapshots.spec_of(number)


RELOAD, RESTART, RECREATE = Action.RELOAD, Action.RESTART, Action.RECREATE
PATCH: Brief = [(Action.PATCH, BY_STANDBYS)]
OTHER_PARAMETERS = {**SPEC.postgresql.parameters, "work_mem": "8MB"}

LEAST: dict[str, tuple[Edits, Brief]] = {
    "nothing": ([], []),
    "a deadline of our own": ([("timeouts.query", 9)], []),
    "HAProxy's timing": ([("haproxy.check_interval_ms", 500)], each(RELOAD, [ENDPOINT])),
    "the staleness bound": (
        [("replication.max_read_lag_bytes", 1)],
        each(RELOAD, [ENDPOINT]) + each(RESTART, [KEEPER]),
    ),
    "the keeper's waiting time": ([("keeper.attach_after_seconds", 9)], each(RESTART, [KEEPER])),
    "the keeper's port": ([("keeper.port", 7778)], each(RECREATE, [KEEPER])),
    "the keeper's name": ([("keeper.service", "warden")], [(Action.REMOVE, [KEEPER]), (Action.START, ["warden"])]),
    "a setting of the balanced endpoint": ([("pgpool.delay_threshold_bytes", 1)], each(RELOAD, ["pgpool"])),
    "a setting of all endpoints": ([("pgpool.health_check_timeout", 2)], each(RELOAD, ENDPOINTS)),
    "a free setting": ([("pgpool.parameters", {"log_connections": True})], each(RELOAD, ENDPOINTS)),
    "a free setting that needs a start": ([("pgpool.parameters", {"relcache_size": 9})], each(RESTART, ENDPOINTS)),
    "a setting that needs a start": ([("pgpool.child_life_time", 9)], each(RESTART, ENDPOINTS)),
    "the size of one endpoint": (
        [("endpoints.rw.num_init_children", 24)],
        each(RESTART, ["pgpool_rw"]) + each(RELOAD, [ENDPOINT]),
    ),
    "the size of the balanced endpoint": (
        [("endpoints.balanced.max_pool", 3)],
        each(RESTART, ["pgpool"]) + each(RELOAD, [ENDPOINT]),  # the direct endpoints share the remaining connections
    ),
    "the size of a direct endpoint": ([("endpoints.direct_rw.max_sessions", 20)], each(RELOAD, [ENDPOINT])),
    "a direct endpoint's port": ([("endpoints.direct_ro.port", 7781)], each(RECREATE, [ENDPOINT])),
    "no direct endpoint": (
        [("endpoints.direct_rw.port", 0), ("endpoints.direct_ro.port", 0)],
        each(RECREATE, [ENDPOINT]),
    ),
    "a parameter of PostgreSQL": ([("postgresql.parameters", OTHER_PARAMETERS)], PATCH),
    "a parameter that needs a restart": ([("postgresql.max_connections", 520)], each(RELOAD, [ENDPOINT]) + PATCH),
    "the lease": ([("patroni.loop_wait", 1)], PATCH),
    "the synchronous mode": ([("replication.synchronous_mode", "on")], PATCH),
    "etcd's timing": ([("etcd.heartbeat_ms", 50)], each(RESTART, ETCDS)),
    "shared memory": ([("postgresql.shared_memory_mb", 512)], each(RECREATE, BY_STANDBYS)),
    "a node's address": (
        [("nodes.1.address", IPv4Address("10.8.0.77"))],
        each(RECREATE, ["pg_node2"]) + each(RELOAD, [ENDPOINT]) + each(RESTART, [KEEPER]),
    ),
    "a node's port": ([("nodes.1.port", 7777)], each(RECREATE, ["pg_node2"]) + each(RESTART, [KEEPER])),
    "an endpoint's port": ([("endpoints.ro.port", 7779)], each(RECREATE, [ENDPOINT]) + each(RESTART, [KEEPER])),
    "two ports of one container change places": (
        [("endpoints.rw.port", 5101), ("endpoints.ro.port", 5100)],
        each(RECREATE, [ENDPOINT]) + each(RESTART, [KEEPER]),
    ),
    "the dashboard's user": ([("haproxy.stats_user", "me")], each(RECREATE, [ENDPOINT])),
    "the control port's user": ([("roles.pcp", "operator")], each(RECREATE, ENDPOINTS) + each(RESTART, [KEEPER])),
    "an inner port": (
        [("haproxy.primary_port", 7780)],
        each(RESTART, ["pgpool_rw"]) + each(RELOAD, [ENDPOINT]) + each(RESTART, [KEEPER]),
    ),
    "the images": (
        [("images.base", "debian:trixie")],
        each(RECREATE, [*ETCDS, *BY_STANDBYS, *ENDPOINTS, ENDPOINT, KEEPER]),
    ),
    "an endpoint's name": (
        [("endpoints.ro.service", "readers")],
        [(Action.REMOVE, ["pgpool_ro"]), (Action.START, ["readers"]), (RELOAD, [ENDPOINT]), (RESTART, [KEEPER])],
    ),
    "the store and a parameter at once": (
        [("etcd.election_ms", 2000), ("patroni.ttl", 21)],
        each(RESTART, ETCDS) + PATCH,
    ),
}


@pytest.mark.parametrize(("edits", "wanted"), LEAST.values(), ids=LEAST.keys())
def test_a_change_is_applied_by_the_fewest_steps(edits: Edits, wanted: Brief) -> None:
    """On a running cluster the plan has exactly these steps, and the next plan has none."""
    spec, before = edited(edits), deployments.running(SPEC)
    steps = before.plan(spec)
    assert brief(steps) == wanted
    assert before.walk(spec, steps).plan(spec).is_empty
    assert str(steps)
    assert all(step.why for step in steps.steps)


def test_a_fresh_cluster_is_started_in_order() -> None:
    """etcd, the nodes, then the services that route to them."""
    steps = deployments.Deployment().plan(SPEC)
    assert brief(steps) == [
        (Action.START, ETCDS),
        (Action.START, NODES),
        (Action.START, [*ENDPOINTS, ENDPOINT, KEEPER]),
    ]
    assert deployments.Deployment().walk(SPEC, steps).plan(SPEC).is_empty


def test_missing_and_stopped_services_are_started() -> None:
    """Each with its reason; a running service stays. A missing etcd member is no change of etcd's members."""
    seen = deployments.running(SPEC).edit(
        {"etcd2": None, "pg_node3": {"state": "exited"}, "pgpool": {"state": "paused"}, "pgpool_ro": None}
    )
    assert [str(step) for step in seen.plan(SPEC).steps] == [
        "start etcd2: does not exist",
        "start pg_node3: is exited",
        "start pgpool_ro: does not exist",
        "start pgpool: is paused",
    ]


def test_a_paused_container_reads_its_new_files_after_it_continues() -> None:
    """The container continues without a start, with the files of its last start."""
    spec = edited([("haproxy.check_interval_ms", 500)])
    seen = deployments.running(SPEC).edit({ENDPOINT: {"state": "paused"}})
    assert brief(seen.plan(spec)) == [(Action.START, [ENDPOINT]), (RELOAD, [ENDPOINT])]


@pytest.mark.parametrize("leader", NODES)
def test_the_primary_is_disturbed_last(leader: str) -> None:
    """Whichever node leads, the standbys come first, one step each."""
    spec = edited([("postgresql.shared_memory_mb", 512)])
    steps = deployments.running(SPEC, leader).plan(spec)
    order = [*(node for node in NODES if node != leader), leader]
    assert brief(steps) == each(RECREATE, order)


def test_pending_restarts_are_done_standbys_first() -> None:
    """Patroni marks them; a node that restarts for another reason needs no second restart."""
    seen = replace(deployments.running(SPEC, "pg_node2"), pending=frozenset(NODES))
    assert brief(seen.plan(SPEC)) == each(Action.RESTART_POSTGRES, ["pg_node1", "pg_node3", "pg_node2"])
    port = edited([("nodes.0.port", 7777)])
    later = each(Action.RESTART_POSTGRES, ["pg_node3", "pg_node2"])
    assert brief(seen.plan(port)) == each(RECREATE, ["pg_node1"]) + each(RESTART, [KEEPER]) + later


def test_an_added_node_is_started() -> None:
    """The node is started; Pgpool-II takes a new backend at its start, HAProxy at a reload."""
    spec = with_node(4)
    steps = deployments.running(SPEC).plan(spec)
    assert brief(steps) == [
        (Action.START, ["pg_node4"]),
        (RESTART, ["pgpool"]),
        (RELOAD, [ENDPOINT]),
        (RESTART, [KEEPER]),
    ]


def test_a_removed_standby_is_removed_first() -> None:
    """The standby and its volume go before any other step; then the services that had it in their files."""
    steps = deployments.running(SPEC).plan(with_node(2))
    assert brief(steps) == [
        (Action.REMOVE, ["pg_node3"]),
        (RESTART, ["pgpool"]),
        (RELOAD, [ENDPOINT]),
        (RESTART, [KEEPER]),
    ]


def renamed(spec: ClusterSpec, old: str, new: str) -> ClusterSpec:
    """Return the declaration with another name of a node."""
    nodes = tuple(node.model_copy(update={"name": new}) if node.name == old else node for node in spec.nodes)
    return spec.model_copy(update={"nodes": nodes})


def test_a_renamed_standby_is_removed_and_gets_its_port_again() -> None:
    """Its former container still publishes the port until the first step."""
    spec, before = renamed(SPEC, "pg_node3", "pg_other"), deployments.running(SPEC)
    assert brief(before.plan(spec))[:2] == [(Action.REMOVE, ["pg_node3"]), (Action.START, ["pg_other"])]
    assert planning.new_ports(spec, before.actual()) == []


def test_a_renamed_standby_of_a_stopped_cluster_is_refused() -> None:
    """The node that would be removed may be the primary."""
    with pytest.raises(errors.UnsafeChange, match="pg_node3 would be removed with its data"):
        deployments.stopped(SPEC).plan(renamed(SPEC, "pg_node3", "pg_other"))


def test_the_ports_of_new_services_must_be_free() -> None:
    """Also a new port of a service that exists, and every port before the first start."""
    everything = sorted(port for table in SPEC.published_ports().values() for port in table)
    assert sorted(planning.new_ports(SPEC, planning.Actual({}))) == everything
    running = deployments.running(SPEC).actual()
    assert planning.new_ports(SPEC, running) == []
    assert planning.new_ports(with_node(4), running) == [5614]
    assert planning.new_ports(deployments.edit(SPEC, "endpoints.rw.port", 5999), running) == [5999]


def test_a_stopped_cluster_takes_a_parameter_after_its_start() -> None:
    """No Patroni answers before it, so `up` plans once more after the start."""
    spec, before = edited([("postgresql.max_connections", 520)]), deployments.stopped(SPEC)
    first = before.plan(spec)
    assert {step.action for step in first.steps} == {Action.START}
    after = before.walk(spec, first)
    assert brief(after.plan(spec)) == PATCH
    assert after.walk(spec, after.plan(spec)).plan(spec).is_empty


def test_only_the_files_of_a_service_are_its_files() -> None:
    """The balanced endpoint's name is also a folder's: the files of the other endpoints are not its own."""
    files = deployments.desired(SPEC).files
    found = {service: set(planning.files_of(SPEC, service, files)) for service in SPEC.addresses()}
    assert found["pgpool"] == {"pgpool/pgpool/pgpool.conf", "pgpool/pgpool/pool_hba.conf"}
    assert sum(len(paths) for paths in found.values()) == len(set().union(*found.values()))
    assert set(files) - set().union(*found.values()) == {"compose.yml", "pg_service.conf"}
    confusing = edited([("nodes.0.name", "haproxy"), ("nodes.1.name", "etcd"), ("nodes.2.name", "patroni")])
    for name in ("haproxy", "etcd", "patroni"):
        paths = planning.files_of(confusing, name, deployments.desired(confusing).files)
        assert set(paths) == {f"patroni/{name}/patroni.yml"}


CHANGES = [edits for edits, _ in LEAST.values() if edits]
STATES = st.sampled_from([None, {"state": "exited"}, {"state": "paused"}, {"state": "created"}])


@given(
    st.lists(st.sampled_from(CHANGES), max_size=3),
    st.dictionaries(st.sampled_from(list(SPEC.addresses())), STATES, max_size=4),
    st.sampled_from(NODES),
    st.integers(2, 4),
    st.frozensets(st.sampled_from(NODES)),
)
@settings(max_examples=40)
def test_applied_edits_leave_an_empty_plan(
    changes: list[Edits], found: dict[str, Any], leader: str, nodes: int, pending: frozenset[str]
) -> None:
    """Any edits on any running cluster: one plan applies all, or two where no Patroni answered at first."""
    before = replace(deployments.running(SPEC, leader).edit(found), pending=pending)
    spec = edited([edit for edits in changes for edit in edits], with_node(nodes) if nodes != 3 else SPEC)
    try:
        steps = before.plan(spec)
    except errors.UnsafeChange:
        assume(False)
    after = before.walk(spec, steps)
    if before.actual().dynamic is None:
        after = after.walk(spec, after.plan(spec))
    assert after.plan(spec).is_empty, str(after.plan(spec))


KEYS = st.sampled_from(["ttl", "parameters", "postgresql", "work_mem", "pause"])
SCALARS = st.one_of(st.integers(0, 3), st.booleans(), st.sampled_from(["1", "on", "True", "8MB", ""]), st.just(["a"]))
CONFIGS = st.dictionaries(
    KEYS, st.recursive(SCALARS, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=6), max_size=4
)


def _read(tree: Any) -> Any:
    """Return a configuration as Patroni compares it: by the texts of its values."""
    return {key: _read(value) for key, value in tree.items()} if isinstance(tree, dict) else str(tree)


@given(CONFIGS, CONFIGS)
@example({"work_mem": 1}, {"work_mem": "1"})
@example({"parameters": {}}, {"parameters": "on"})
def test_a_difference_that_patroni_applies_gives_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Patroni's own rules for a PATCH apply; afterwards there is no difference, so no plan asks for it again."""
    patched = copy.deepcopy(old)
    deployments.patch(patched, planning.difference(old, new))
    assert _read(patched) == _read(new)
    assert planning.difference(patched, new) == {}


def test_undeclared_keys_of_patronis_configuration_are_removed() -> None:
    """`patronictl pause` writes there; a declared cluster is not paused."""
    before = deployments.running(SPEC)
    paused = replace(before, stored={**(before.stored or {}), "pause": True})
    (step,) = paused.plan(SPEC).steps
    assert (step.action, step.change) == (Action.PATCH, {"pause": None})
