"""Properties of all readings: no check passes without its readings, and the number of checks is fixed."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit.suite_sample import SILENT, ambiguous, bad, healthy, names, node, ok, put, refused, target

from poolkeeper.model.probe import Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import OWN_GROUPS, Outcome, Suite, merge
from poolkeeper.suite.checks import groups, node_roles

PRIMARY = "n2"
NODES = frozenset(f"nodes.{name}" for name in names())
FAILURES = [SILENT, ambiguous(), *map(refused, ("28P01", "57P03", "53300", "42704", "25006", "08004", "401"))]


def requirements(target: Target) -> dict[str, frozenset[str]]:
    """Return the readings that each check needs to pass, by check."""
    needed = {
        "pgpool_connection.query": {"balanced"},
        "pgpool_connection.backends": {"backends", *NODES},
        "haproxy_connectivity.rw": {"rw"},
        "haproxy_connectivity.ro": {"ro"},
        "load_balancing": {"balance"},
        "version_consistency": set(NODES),
        "wal_streaming": {f"nodes.{PRIMARY}", f"senders.{PRIMARY}"},
        "replication_slots": {f"nodes.{PRIMARY}", f"slots.{PRIMARY}"},
        "concurrent_writes": {"workspace", "inserts", *(f"rows.{name}" for name in target.names)},
        "pgpool_version": {"pgpool"},
        "haproxy_stats": {"stats"},
        "read_only_endpoint.refusal": {"read_only"},
        "read_only_endpoint.spread": {"read_only"},
        "no_drift.roles": {"backends", "stats", *NODES, *(f"patroni.{name}" for name in target.names)},
        "no_drift.keeper": {"keeper"},
        "quorum_commit.in_force": {f"nodes.{PRIMARY}", f"commit.{PRIMARY}"},
        "quorum_commit.session": {"session_commit"},
        "keeper.alive": {"keeper"},
        "direct_endpoints.direct_rw": {"direct_rw"},
        "direct_endpoints.direct_ro": {"direct_ro"},
        "keeper.primary": {"keeper", f"nodes.{PRIMARY}"},
    }
    for name in target.names:
        needed[f"node_status.{name}"] = {f"nodes.{name}"}
        needed[f"streaming_replication.{name}"] = {"workspace", "inserted", f"arrivals.{name}", f"nodes.{name}"}
        needed[f"ddl_replication.{name}"] = {"workspace", "altered", f"columns.{name}", f"nodes.{name}"}
        needed[f"write_isolation.{name}"] = {f"attempts.{name}"}
    return {check: frozenset(of) for check, of in needed.items()}


REQUIRED = requirements(target())
EVERYTHING = sorted(frozenset().union(*REQUIRED.values()))


@given(st.dictionaries(st.sampled_from(EVERYTHING), st.none() | st.sampled_from(FAILURES)), st.booleans())
def test_no_pass_without_its_readings(gone: dict[str, object], foreign: bool) -> None:
    """No check passes that depends on a missing or failed reading, alone or among others."""
    readings = healthy(primary=PRIMARY)
    for field, failure in gone.items():
        readings = put(readings, field, None if failure is None else bad(failure))  # type: ignore[arg-type]
    for verdict in groups.evaluate(target(foreign=foreign), readings):
        lost = REQUIRED[verdict.check] & gone.keys()
        assert not (lost and verdict.outcome is Outcome.PASS), f"{verdict.check} passes without {sorted(lost)}"


@given(st.dictionaries(st.sampled_from(EVERYTHING), st.none() | st.sampled_from(FAILURES)))
def test_an_undisturbed_check_passes_or_reports_why_not(gone: dict[str, object]) -> None:
    """Missing readings of other checks do not disturb a check that has its own readings and those of every node."""
    gone = {field: failure for field, failure in gone.items() if field not in NODES}
    readings = healthy(primary=PRIMARY)
    for field, failure in gone.items():
        readings = put(readings, field, None if failure is None else bad(failure))  # type: ignore[arg-type]
    for verdict in groups.evaluate(target(), readings):
        if not REQUIRED[verdict.check] & gone.keys():
            assert verdict.outcome is Outcome.PASS, verdict


@given(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(
            st.just(count), st.lists(st.sampled_from(["primary", "standby", "silent"]), min_size=count, max_size=count)
        )
    )
)
def test_the_number_of_checks_follows_the_number_of_nodes(cluster: tuple[int, list[str]]) -> None:
    """For any roles of n nodes: n node checks, three times n - 1 standby checks, and 21 of the complete cluster."""
    count, states = cluster
    readings = healthy(max(count, 2))
    said = dict(zip(names(count), states, strict=True))
    nodes = {
        name: bad() if state == "silent" else ok(replace(node(name, ""), in_recovery=state == "standby"))
        for name, state in said.items()
    }
    verdicts = groups.evaluate(target(count), replace(readings, nodes=nodes))
    assert len(verdicts) == count + 3 * (count - 1) + 11 + 10
    assert len({v.check for v in verdicts}) == len(verdicts)
    standbys = node_roles.standbys(target(count), replace(readings, nodes=nodes))
    assert {name for name, state in said.items() if state == "standby"} <= set(standbys) or "primary" not in states


@pytest.mark.parametrize(("count", "checks"), [(2, 16), (3, 20), (4, 24)])
def test_counts(count: int, checks: int) -> None:
    verdicts = groups.evaluate(target(count), healthy(count))
    assert len([v for v in verdicts if v.group not in OWN_GROUPS]) == checks
    assert len(verdicts) == checks + 10
    assert {v.outcome for v in verdicts} == {Outcome.PASS}
    foreign = groups.evaluate(target(count, foreign=True), healthy(count))
    assert len(foreign) == checks
    assert {v.outcome for v in foreign} == {Outcome.PASS}


def test_twenty_checks_in_thirteen_groups_and_ten_of_our_own() -> None:
    found = [v.group for v in groups.evaluate(target(), healthy())]
    assert [found.count(group) for group in range(1, 14)] == [3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    assert [found.count(group) for group in sorted(OWN_GROUPS)] == [2, 2, 2, 2, 2]
    assert found == sorted(found)


@pytest.mark.parametrize("primary", ["n1", "n2", "n3"])
def test_standbys_come_from_what_nodes_report(primary: str) -> None:
    checks = {v.check for v in groups.evaluate(target(), healthy(primary=primary))}
    for group in ("streaming_replication", "write_isolation", "ddl_replication"):
        assert {name for name in names() if f"{group}.{name}" in checks} == set(names()) - {primary}


@pytest.mark.parametrize("readings", ["failed", "missing"])
def test_an_unreachable_cluster_is_all_unknown(readings: str) -> None:
    """Without any answer, all 30 checks are unknown: none passes, and none reports a failure of the cluster."""
    seen = Readings()
    if readings == "failed":
        good = healthy()
        single = {f.name: bad() for f in fields(good) if not isinstance(getattr(good, f.name), dict)}
        seen = replace(Readings(), nodes={name: bad() for name in names()}, **single)  # type: ignore[arg-type]
    verdicts = groups.evaluate(target(), seen)
    assert [v.outcome for v in verdicts] == [Outcome.UNKNOWN] * 30
    assert merge(v.outcome for v in verdicts) is Outcome.UNKNOWN
    assert Suite("sample", "2026-03-02T10:14:31+00:00", 1.0, verdicts).outcome is Outcome.UNKNOWN


def test_only_the_chosen_groups_are_checked() -> None:
    assert [v.check for v in groups.evaluate(target(), healthy(), frozenset({12, 3}))] == [
        "haproxy_connectivity.rw",
        "haproxy_connectivity.ro",
        "pgpool_version",
    ]
