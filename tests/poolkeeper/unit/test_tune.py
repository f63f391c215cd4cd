"""The proposals of `tune` hold for every machine: within its memory and the spec's rules, and monotonic in both."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper.decide import endpoint_sizing, sizing
from poolkeeper.model import endpoint_keys, spec_rules
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_endpoints import DirectEndpoint, Endpoint, Endpoints
from poolkeeper.model.tuning import Choice, Machine, Proposal, Wish, WorkloadKind, size

SPEC = ClusterSpec()
MIB = {"MB": 1, "GB": 1024}
# Most of these are possible; any of the others may not be.
MACHINES = st.builds(Machine, st.integers(1, 512), st.integers(16_000, 2**21))
WISHES = st.builds(
    Wish, st.none() | st.integers(1, 600), st.none() | st.integers(1, 5), st.sampled_from(list(WorkloadKind))
)
ANY_MACHINES = st.builds(Machine, st.integers(1, 512), st.integers(256, 2**21))
ANY_WISHES = st.builds(
    Wish, st.none() | st.integers(1, 3000), st.none() | st.integers(1, 100), st.sampled_from(list(WorkloadKind))
)
DIRECT = ("direct_rw", "direct_ro")


def _spec(nodes: int, members: int, children: int, pools: int, direct: tuple[tuple[bool, int], ...]) -> ClusterSpec:
    """Return a cluster with just enough max_connections; a direct endpoint may be off, or have a number of its own."""
    given = dict(zip(DIRECT, direct, strict=True))
    endpoints: dict[str, Any] = {key: _endpoint(key, children, pools) for key in endpoint_keys.POOLED}
    endpoints |= {key: _direct(key, *port) for key, port in given.items()}
    needed = 3 * children * pools + sum(max(1, number) for is_on, number in direct if is_on) + 23
    return snapshots.spec_of(
        nodes,
        members,
        endpoints=Endpoints(**endpoints),
        postgresql=SPEC.postgresql.model_copy(update={"max_connections": needed}),
    )


def _endpoint(key: str, children: int, pools: int) -> Endpoint:
    endpoint: Endpoint = getattr(SPEC.endpoints, key)
    return endpoint.model_copy(update={"num_init_children": children, "max_pool": pools})


def _direct(key: str, is_on: bool, number: int) -> DirectEndpoint:
    endpoint: DirectEndpoint = getattr(SPEC.endpoints, key)
    return endpoint.model_copy(update={"max_sessions": number, **({} if is_on else {"port": 0})})


_ENDPOINT = st.tuples(st.booleans(), st.just(0) | st.integers(1, 200))
SPECS = st.builds(
    _spec,
    st.integers(2, 5),
    st.sampled_from((1, 3, 5)),
    st.integers(4, 64),
    st.integers(1, 6),
    st.tuples(_ENDPOINT, _ENDPOINT),
)


def mb(text: Any) -> int:
    """Return a proposed size in MiB."""
    found = re.fullmatch(r"(\d+)(MB|GB)", str(text))
    assert found, text
    return int(found[1]) * MIB[found[2]]


def proposed(made: Proposal) -> dict[str, Any]:
    """Return key → proposed value, with the key's last part for parameters."""
    return {choice.key.removeprefix("postgresql.parameters."): choice.proposed for choice in made.choices}


def propose_or_reject(spec: ClusterSpec, machine: Machine, wish: Wish) -> Proposal:
    """Return the proposal; reject the example where there is none."""
    try:
        return sizing.propose(spec, machine, wish)
    except errors.ProposalRefused:
        assume(False)
        raise


@given(SPECS, MACHINES, WISHES)
def test_every_proposal_is_within_the_rules_and_the_machine(spec: ClusterSpec, on: Machine, wish: Wish) -> None:
    made = propose_or_reject(spec, on, wish)
    assert spec_rules.broken_rules(made.spec) == []
    assert made.total_mb <= on.memory_mb + 1e-6
    assert all(share.mb >= 0 for share in made.budget)
    found, nodes = proposed(made), len(spec.nodes)
    taken = mb(found["shared_buffers"]) * nodes + 4 * mb(found["maintenance_work_mem"])
    direct = sum(made.spec.direct_sessions().values())
    sessions = sum(found[f"endpoints.{key}.num_init_children"] for key in endpoint_keys.POOLED) + direct
    taken += int(2 * mb(found["work_mem"]) * sessions)
    assert taken <= on.memory_mb
    assert mb(found["effective_cache_size"]) <= on.memory_mb / nodes
    assert found["postgresql.shared_memory_mb"] <= max(256, on.memory_mb)


@given(SPECS, MACHINES, WISHES)
def test_the_budget_of_connections_is_what_the_endpoints_need(spec: ClusterSpec, on: Machine, wish: Wish) -> None:
    """Each endpoint takes its part of the clients, with the processes that HAProxy leaves free."""
    made = propose_or_reject(spec, on, wish)
    found = proposed(made)
    pooled = sum(
        found[f"endpoints.{k}.num_init_children"] * found[f"endpoints.{k}.max_pool"] for k in endpoint_keys.POOLED
    )
    direct = made.spec.direct_sessions()
    reserved = spec.postgresql.admin_connections + spec.postgresql.superuser_reserved_connections
    needed = pooled + sum(direct.values()) + reserved
    assert needed <= found["postgresql.max_connections"] <= max(20, needed + 20)
    if wish.clients:
        parts = endpoint_sizing.SHARES[wish.workload]
        for key, part in parts.items():
            assert found[f"endpoints.{key}.num_init_children"] - 2 >= part * wish.clients
        for key, sessions in direct.items():
            assert sessions >= parts[endpoint_sizing.LIKE[key]] * wish.clients


@given(SPECS, MACHINES, WISHES)
def test_direct_endpoints_are_sized_by_clients_alone(spec: ClusterSpec, on: Machine, wish: Wish) -> None:
    """Each one serves at least a few clients; without --clients its number stays; one without a port is left out."""
    made = propose_or_reject(spec, on, wish)
    found = {key: value for key, value in proposed(made).items() if key.endswith("max_sessions")}
    assert list(found) == [f"endpoints.{key}.max_sessions" for key in spec.direct_endpoints()]
    assert set(made.spec.direct_endpoints()) == set(spec.direct_endpoints())
    for key, endpoint in spec.direct_endpoints().items():
        least = min(4, endpoint.max_sessions or 4) if wish.clients is None else 4
        assert made.spec.direct_sessions()[key] >= least
        if wish.clients is None:
            assert found[f"endpoints.{key}.max_sessions"] == endpoint.max_sessions


@given(SPECS, MACHINES, WISHES)
def test_the_lines_of_the_budget_count_every_session(spec: ClusterSpec, on: Machine, wish: Wish) -> None:
    """The limits are those of the resulting cluster: a direct endpoint's session is one connection, on one node."""
    made = propose_or_reject(spec, on, wish)
    after, count = made.spec, len(spec.nodes)
    direct = sum(after.direct_sessions().values())
    pool = after.endpoints.balanced
    opened = after.pooled_connections + (count - 1) * pool.num_init_children * pool.max_pool
    opened += direct + count * after.postgresql.admin_connections
    assert next(share.mb for share in made.budget if share.title == "connections") == opened * sizing.CONNECTION
    sessions = direct + sum(endpoint.num_init_children for endpoint in after.endpoint_by_service().values())
    assert (
        next(s.mb for s in made.budget if s.title == "HAProxy") == sizing.ENDPOINT + sessions * sizing.ENDPOINT_SESSION
    )


@given(SPECS, MACHINES, WISHES)
def test_tuning_again_changes_nothing(spec: ClusterSpec, on: Machine, wish: Wish) -> None:
    made = propose_or_reject(spec, on, wish)
    assert sizing.propose(made.spec, on, wish).changes == ()


def refusal(spec: ClusterSpec, on: Machine, wish: Wish) -> str:
    """Return the hint of a refusal; "" for a possible wish."""
    try:
        sizing.propose(spec, on, wish)
    except errors.ProposalRefused as e:
        return e.hint
    return ""


MEMORY = ("shared_buffers", "effective_cache_size", "work_mem", "maintenance_work_mem", "max_wal_size", "min_wal_size")


@given(SPECS, MACHINES, WISHES, st.integers(0, 2**18))
def test_more_memory_makes_no_memory_setting_smaller(spec: ClusterSpec, on: Machine, wish: Wish, more: int) -> None:
    little = proposed(propose_or_reject(spec, on, wish))
    much = proposed(sizing.propose(spec, Machine(on.cores, on.memory_mb + more), wish))
    assert [name for name in MEMORY if mb(much[name]) < mb(little[name])] == []


@given(SPECS, MACHINES, st.integers(1, 400), st.integers(0, 200), WISHES)
def test_more_clients_get_no_fewer_places(spec: ClusterSpec, on: Machine, few: int, more: int, wish: Wish) -> None:
    """More clients get no fewer processes and connections, and no more memory for each of them."""
    many = proposed(propose_or_reject(spec, on, Wish(few + more, wish.pairs, wish.workload)))
    less = proposed(sizing.propose(spec, on, Wish(few, wish.pairs, wish.workload)))
    counts = ["postgresql.max_connections", *(f"endpoints.{key}.num_init_children" for key in endpoint_keys.POOLED)]
    counts += [f"endpoints.{key}.max_sessions" for key in spec.direct_endpoints()]
    assert [name for name in counts if many[name] < less[name]] == []
    assert [name for name in ("shared_buffers", "work_mem") if mb(many[name]) > mb(less[name])] == []


@given(st.integers(1, 512), st.integers(0, 512), st.sampled_from(list(WorkloadKind)))
def test_more_cores_make_no_fewer_workers(cores: int, more: int, workload: WorkloadKind) -> None:
    names = ("max_parallel_workers", "max_parallel_workers_per_gather", "max_worker_processes")
    few = proposed(sizing.propose(SPEC, Machine(cores, 2**20), Wish(workload=workload)))
    many = proposed(sizing.propose(SPEC, Machine(cores + more, 2**20), Wish(workload=workload)))
    assert [name for name in names if many[name] < few[name]] == []
    assert few["max_parallel_workers"] <= cores
    assert few["max_worker_processes"] >= few["max_parallel_workers"] + 4


@settings(max_examples=50)
@given(SPECS, ANY_MACHINES, ANY_WISHES)
def test_a_refusal_names_the_highest_possible_number_of_clients(spec: ClusterSpec, on: Machine, wish: Wish) -> None:
    """The number of clients in the hint is possible, and one more is not."""
    hint = refusal(spec, on, wish)
    room = re.search(r"--clients (\d+)", hint)
    assert hint == "" or room or "too small" in hint
    if room:
        clients = int(room[1])
        assert refusal(spec, on, Wish(clients, wish.pairs, wish.workload)) == ""
        assert wish.clients is None or refusal(spec, on, Wish(clients + 1, wish.pairs, wish.workload))


REFUSED: tuple[tuple[Machine, Wish, str], ...] = (
    (Machine(2, 1024), Wish(10), "no memory to sort in"),
    (Machine(64, 2**21), Wish(2000, 1), "2000 are the limit"),
    (Machine(64, 2**21), Wish(1900, 4), "10000 are the limit"),
)


@pytest.mark.parametrize(("on", "wish", "message"), REFUSED)
def test_an_impossible_wish_is_refused(on: Machine, wish: Wish, message: str) -> None:
    with pytest.raises(errors.ProposalRefused, match=message):
        sizing.propose(SPEC, on, wish)


@pytest.mark.parametrize(("on", "wish"), [(Machine(0, 2**20), Wish()), (Machine(1, 2**20), Wish(0))])
def test_a_number_below_1_is_a_wrong_request(on: Machine, wish: Wish) -> None:
    with pytest.raises(errors.UsageError, match="at least 1"):
        sizing.propose(SPEC, on, wish)


def test_an_example_in_figures() -> None:
    """Two cores and 24 GB for a hundred clients of one user and database: as computed by hand."""
    found = proposed(sizing.propose(SPEC, Machine(2, 24_000), Wish(100, 1)))
    assert [found[f"endpoints.{key}.num_init_children"] for key in endpoint_keys.POOLED] == [102, 27, 27]
    assert [found[f"endpoints.{key}.max_sessions"] for key in DIRECT] == [100, 25]
    assert found["postgresql.max_connections"] == 310  # 102 + 27 + 27 + 100 + 25 + 20 + 3 = 304
    assert found["shared_buffers"] == "1672MB"
    assert (found["max_parallel_workers"], found["max_parallel_workers_per_gather"]) == (1, 0)
    assert found["checkpoint_timeout"] == "15min"
    assert found["haproxy.queue_timeout_ms"] == 60_000


def test_without_a_wish_the_endpoints_stay() -> None:
    made = sizing.propose(SPEC, Machine(2, 24_000), Wish())
    assert [c.key for c in made.changes if c.key.startswith(("endpoints", "postgresql.max_conn"))] == []
    why = next(choice for choice in made.choices if choice.key == "endpoints.direct_rw.max_sessions").why
    assert "an even share of what max_connections leaves, 46" in why


def test_more_clients_later_replace_an_earlier_proposal() -> None:
    """The sessions that an earlier proposal gave a direct endpoint are no fixed number."""
    before = sizing.propose(SPEC, Machine(8, 64_000), Wish(50, 1)).spec
    assert before.direct_sessions() == {"direct_rw": 50, "direct_ro": 13}
    after = sizing.propose(before, Machine(8, 64_000), Wish(200, 1)).spec
    assert after.direct_sessions() == {"direct_rw": 200, "direct_ro": 50}


def test_without_direct_endpoints_there_is_room_for_more() -> None:
    """The hint counts them, and suggests that one may be turned off."""
    off = _spec(3, 3, 32, 4, ((False, 0), (False, 0)))
    on, wish = Machine(2, 8_000), Wish(1_000, 1)
    with_them, without = refusal(SPEC, on, wish), refusal(off, on, wish)
    room = [int(found[1]) for hint in (with_them, without) if (found := re.search(r"--clients (\d+)", hint))]
    assert room[0] < room[1]
    assert "port = 0" in with_them
    assert "port = 0" not in without


def test_a_default_that_is_proposed_is_no_change() -> None:
    """PostgreSQL's default is 8 worker processes: no value is written for them, and no server restarts."""
    made = sizing.propose(SPEC, Machine(4, 24_000), Wish())
    workers = next(choice for choice in made.choices if choice.key.endswith("max_worker_processes"))
    assert (workers.now, workers.default, workers.proposed, workers.is_change) == (None, 8, 8, False)


def test_every_choice_has_a_reason_and_a_source() -> None:
    made = sizing.propose(SPEC, Machine(8, 32_000), Wish(100, 1, WorkloadKind.REPORTING))
    assert [c.key for c in made.choices if not c.why.endswith(".") or not c.source] == []
    assert any("Per node" in note for note in made.notes)


@pytest.mark.parametrize(
    ("now", "then", "is_change"),
    [
        ("1GB", "1024MB", False),
        ("1024 MB", "1GB", False),
        ("1GB", "1025MB", True),
        ("900s", "15min", False),
        ("8", 8, False),
        (None, 8, True),
        ("off", "on", True),
        ("0.5", "0.5", False),
    ],
)
def test_only_another_value_is_a_change(now: Any, then: Any, is_change: bool) -> None:
    assert Choice(("postgresql", "parameters", "x"), now, then, "", "").is_change is is_change


@pytest.mark.parametrize(("given_mb", "text"), [(1024.9, "1GB"), (1536, "1536MB"), (16, "16MB"), (2048, "2GB")])
def test_sizes_as_postgresql_writes_them(given_mb: float, text: str) -> None:
    assert size(given_mb) == text


def test_a_broken_rule_is_named() -> None:
    """A spec that breaks a rule for another reason gives no proposal."""
    broken = SPEC.model_copy(update={"patroni": SPEC.patroni.model_copy(update={"ttl": 20, "retry_timeout": 30})})
    with pytest.raises(errors.ProposalRefused, match="ttl"):
        sizing.propose(broken, Machine(2, 24_000), Wish())
