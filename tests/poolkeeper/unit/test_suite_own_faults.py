"""For each of the 10 checks of Poolkeeper's own clusters: readings that fail it, and readings that leave it unknown."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.poolkeeper.unit.suite_sample import (
    SILENT,
    acknowledgers,
    backend,
    dashboard,
    endpoint,
    healthy,
    names,
    node,
    ok,
    patroni,
    put,
    refused,
    server,
    target,
    without,
)

from poolkeeper.core import errors
from poolkeeper.model.observed import KeeperView, PatroniView
from poolkeeper.model.probe import (
    Acknowledger,
    CommitFacts,
    EndpointFacts,
    Failure,
    Readings,
    ReadOnlyFacts,
    ReadOnlySession,
    Server,
)
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import OWN_GROUPS, Outcome, Suite, Verdict
from poolkeeper.suite import test
from poolkeeper.suite.checks import groups

GOOD = healthy()
ALL, STANDBYS = names(), ["n1", "n3"]
NODES = tuple(f"nodes.{name}" for name in ALL)
DARK = without(GOOD, *NODES)
KEEPS = KeeperView(True, "n2", (), False, (), 0.0)
CHECKS = [verdict.check for verdict in groups.evaluate(target(), GOOD, OWN_GROUPS)]
HONEST = ReadOnlySession(server("n1"), True, "25006", "25006")


def verdict_of(check: str, readings: Readings, own: Target | None = None) -> Verdict:
    """Return the verdict of one check."""
    return next(v for v in groups.evaluate(own or target(), readings) if v.check == check)


def sessions(*tried: ReadOnlySession, failures: tuple[Failure, ...] = (), busy: bool = True, **status: str) -> Readings:
    """Return these sessions of the read-only endpoint; `busy`: the dashboard reports others on every standby."""
    view = dashboard(ALL, "n2", **status) if busy else None
    return put(GOOD, "read_only", ok(ReadOnlyFacts(tried, failures, view)))


def direct(tried: ReadOnlySession) -> Readings:
    """Return this session of the direct read-only endpoint."""
    return put(GOOD, "direct_ro", ok(ReadOnlyFacts((tried,), (), None)))


def all_on(name: str, **changes: object) -> tuple[ReadOnlySession, ...]:
    """Return eight sessions on one node."""
    return (replace(HONEST, server=server(name), **changes),) * 8  # type: ignore[arg-type]


def nodes_are(primaries: str) -> Readings:
    """Return readings where these nodes report that they are primaries, and the others standbys."""
    facts = {name: replace(node(name, ""), in_recovery=name not in primaries.split()) for name in ALL}
    return replace(GOOD, nodes={name: ok(fact, name) for name, fact in facts.items()})


def commits(names_in_force: str, standbys: tuple[Acknowledger, ...]) -> Readings:
    """Return readings with these standbys for the primary to wait for."""
    return put(GOOD, "commit.n2", ok(CommitFacts(names_in_force, standbys)))


def keeps(**changes: object) -> Readings:
    """Return readings with a keeper that reports this instead."""
    return put(GOOD, "keeper", ok(replace(KEEPS, **changes)))  # type: ignore[arg-type]


def stats(**status: str) -> Readings:
    """Return readings with a dashboard that reports this instead about a server."""
    return put(GOOD, "stats", ok(dashboard(ALL, "n2", **status)))


DETACHED = backend("n3", "n2", status="down")
ONE_STANDBY = all_on("n1")
UNSEEN = without(GOOD, "nodes.n3")

FAILS: list[tuple[str, Readings]] = [
    ("read_only_endpoint.refusal", sessions(*ONE_STANDBY, replace(HONEST, first="", asked=""))),
    ("read_only_endpoint.refusal", sessions(*ONE_STANDBY, replace(HONEST, asked=""))),
    ("read_only_endpoint.refusal", sessions(*ONE_STANDBY, replace(HONEST, in_recovery=False))),
    ("read_only_endpoint.refusal", sessions(*ONE_STANDBY, replace(HONEST, first="42501"))),
    ("read_only_endpoint.refusal", sessions(replace(HONEST, asked=""), failures=(SILENT,))),
    ("read_only_endpoint.spread", sessions(*ONE_STANDBY, replace(HONEST, server=server("n2"), in_recovery=False))),
    ("read_only_endpoint.spread", sessions(*ONE_STANDBY, replace(HONEST, server=Server("1.0", "10.0.0.9")))),
    ("read_only_endpoint.spread", sessions(*ONE_STANDBY, busy=False)),
    ("read_only_endpoint.spread", sessions(*ONE_STANDBY, standbys_n3="DRAIN")),
    ("read_only_endpoint.spread", sessions(*ONE_STANDBY, failures=(refused("53300"),))),
    ("no_drift.roles", put(GOOD, "patroni.n3", ok(patroni(ALL, "n1")))),
    ("no_drift.roles", put(GOOD, "patroni.n1", ok(PatroniView(patroni(ALL, "n2").members[:2])))),
    ("no_drift.roles", put(GOOD, "backends", ok(tuple(backend(name, "n1") for name in ALL)))),
    ("no_drift.roles", put(GOOD, "backends", ok(tuple(backend(name, "n2") for name in ALL[:2])))),
    ("no_drift.roles", put(GOOD, "backends", ok((backend("n1", "n2"), backend("n2", "n2"), DETACHED)))),
    ("no_drift.roles", stats(standbys_n3="DRAIN")),
    ("no_drift.roles", stats(standbys_n2="UP")),
    ("no_drift.roles", stats(primary_n1="UP")),
    ("no_drift.roles", without(put(GOOD, "patroni.n3", ok(patroni(ALL, "n1"))), "stats", "nodes.n1")),
    ("no_drift.roles", nodes_are("n1 n2")),
    ("no_drift.roles", nodes_are("")),
    ("no_drift.keeper", keeps(open_matters=("attach to Pgpool-II n3: it streams",), drift_seconds=4.2)),
    ("no_drift.keeper", keeps(open_matters=("attach to Pgpool-II n3: it streams",), blind=("routes: refused",))),
    ("quorum_commit.in_force", commits("", acknowledgers(STANDBYS, "async"))),
    ("quorum_commit.in_force", commits("ANY 1 (n1,n3)", ())),
    ("quorum_commit.in_force", commits("ANY 1 (n1,n3)", acknowledgers(STANDBYS, "potential"))),
    ("quorum_commit.in_force", commits("ANY 1 (n1,n3)", (Acknowledger("n1", "catchup", "quorum"),))),
    ("quorum_commit.in_force", commits("ANY 0 (n1,n3)", acknowledgers(STANDBYS))),
    ("quorum_commit.in_force", nodes_are("n1 n2")),
    *(("quorum_commit.session", put(GOOD, "session_commit", ok(value))) for value in ("off", "local", "remote_write")),
    ("keeper.alive", without(GOOD, "keeper")),
    ("keeper.alive", without(GOOD, "keeper", failure=refused("503"))),
    ("keeper.alive", without(DARK, "keeper", failure=refused("json"))),
    ("keeper.alive", keeps(healthy=False)),
    ("keeper.alive", keeps(blind=("store: no answer",))),
    ("keeper.alive", keeps(maintenance=True)),
    ("keeper.primary", keeps(primary="n1")),
    ("keeper.primary", keeps(primary=None)),
    ("keeper.primary", nodes_are("n1 n2")),
    ("direct_endpoints.direct_rw", without(GOOD, "direct_rw")),
    ("direct_endpoints.direct_rw", put(GOOD, "direct_rw", ok(EndpointFacts(server("n1"), True)))),
    ("direct_endpoints.direct_rw", put(GOOD, "direct_rw", ok(EndpointFacts(Server("1.0", "10.0.0.9"), False)))),
    ("direct_endpoints.direct_ro", direct(replace(HONEST, first=""))),
    ("direct_endpoints.direct_ro", direct(replace(HONEST, asked=""))),
    ("direct_endpoints.direct_ro", direct(replace(HONEST, in_recovery=False))),
]

UNKNOWN: list[tuple[str, Readings]] = [
    *(
        (check, readings)
        for check in ("read_only_endpoint.refusal", "read_only_endpoint.spread")
        for readings in (
            without(GOOD, "read_only"),
            put(GOOD, "read_only", None),
            sessions(failures=(SILENT,) * 8),
            sessions(),
        )
    ),
    ("read_only_endpoint.refusal", sessions(*ONE_STANDBY, failures=(SILENT,))),
    ("read_only_endpoint.spread", put(UNSEEN, "read_only", ok(endpoint(["n1"], None)))),
    ("read_only_endpoint.spread", put(DARK, "read_only", ok(endpoint(["n1"], dashboard(ALL, "n2"))))),
    *(("no_drift.roles", without(GOOD, field)) for field in (*NODES, "patroni.n3", "backends", "stats")),
    ("no_drift.roles", put(GOOD, "patroni.n1", None)),
    ("no_drift.roles", DARK),
    ("no_drift.keeper", without(GOOD, "keeper")),
    ("no_drift.keeper", put(GOOD, "keeper", None)),
    ("no_drift.keeper", keeps(blind=("pool: no answer",))),
    ("no_drift.keeper", keeps(maintenance=True)),
    ("no_drift.keeper", keeps(healthy=False)),
    ("quorum_commit.in_force", without(GOOD, "commit.n2")),
    ("quorum_commit.in_force", without(GOOD, "nodes.n2")),
    ("quorum_commit.in_force", commits("ANY 1 (n1,n3)", acknowledgers(STANDBYS, None))),
    ("quorum_commit.session", without(GOOD, "session_commit")),
    ("quorum_commit.session", put(GOOD, "session_commit", None)),
    ("keeper.alive", without(DARK, "keeper")),
    ("keeper.alive", put(GOOD, "keeper", None)),
    ("keeper.primary", without(GOOD, "keeper")),
    ("keeper.primary", without(GOOD, "nodes.n2")),
    ("direct_endpoints.direct_rw", without(DARK, "direct_rw")),
    ("direct_endpoints.direct_rw", put(GOOD, "direct_rw", None)),
    ("direct_endpoints.direct_ro", without(GOOD, "direct_ro")),
    ("direct_endpoints.direct_ro", put(GOOD, "direct_ro", None)),
    ("direct_endpoints.direct_ro", put(GOOD, "direct_ro", ok(ReadOnlyFacts((), (SILENT,), None)))),
]


def cases(table: list[tuple[str, Readings]]) -> list[object]:
    """Return the rows of a table, each with its own id."""
    return [pytest.param(*row, id=f"{row[0]}-{i}") for i, row in enumerate(table)]


@pytest.mark.parametrize(("check", "readings"), cases(FAILS))
def test_an_injected_fault_fails(check: str, readings: Readings) -> None:
    found = verdict_of(check, readings)
    assert found.outcome is Outcome.FAIL, found.summary
    assert found.evidence


@pytest.mark.parametrize(("check", "readings"), cases(UNKNOWN))
def test_a_missing_reading_is_unknown(check: str, readings: Readings) -> None:
    found = verdict_of(check, readings)
    assert found.outcome is Outcome.UNKNOWN, found.summary


@pytest.mark.parametrize("table", [FAILS, UNKNOWN])
def test_each_check_has_a_case(table: list[tuple[str, Readings]]) -> None:
    assert len(CHECKS) == 10
    assert set(CHECKS) == {check for check, _ in table}


def test_pooled_sessions_may_all_reach_one_standby() -> None:
    """HAProxy's own count shows that the others serve too; without a session on one node, there is no spread."""
    found = verdict_of("read_only_endpoint.spread", sessions(*ONE_STANDBY))
    assert found.outcome is Outcome.PASS
    assert "HAProxy counts others on n3" in found.summary


def test_the_only_standby_answers_all_sessions() -> None:
    assert verdict_of("read_only_endpoint.spread", healthy(2), target(2)).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("in_force", "declared", "outcome"),
    [
        ("ANY 2 (n1,n3)", 2, Outcome.PASS),
        ("2 (n1, n3)", 2, Outcome.PASS),
        ("FIRST 2 (n1,n3)", 2, Outcome.PASS),
        ("any 1 (*)", 1, Outcome.PASS),
        ('"n1"', 1, Outcome.PASS),
        ("ANY 1 (n1,n3)", 2, Outcome.FAIL),
        ("n1, n3", 2, Outcome.FAIL),
        ("ANY 2 (n1,n3)", 3, Outcome.FAIL),
    ],
)
def test_quorum_has_the_declared_number_of_acknowledgements(in_force: str, declared: int, outcome: Outcome) -> None:
    found = verdict_of(
        "quorum_commit.in_force", commits(in_force, acknowledgers(STANDBYS, "sync")), target(acknowledgements=declared)
    )
    assert found.outcome is outcome, found.summary


def test_declared_off_is_left_out() -> None:
    """Without a promise, no check passes, fails or is unknown."""
    off = target(acknowledgements=0)
    assert list(groups.inapplicable(off)) == [16]
    verdicts = groups.evaluate(off, GOOD)
    assert {v.group for v in verdicts} == set(range(1, 19)) - {16}
    assert {v.outcome for v in verdicts} == {Outcome.PASS}


def test_without_direct_endpoints_their_group_is_left_out() -> None:
    """With one of two, only that one is checked."""
    ours = target()
    assert ours.own is not None
    for left in ({}, {"direct_ro": ours.own.direct["direct_ro"]}):
        some = replace(ours, own=replace(ours.own, direct=left))
        assert [v.check for v in groups.evaluate(some, GOOD) if v.group == 18] == [
            f"direct_endpoints.{key}" for key in left
        ]
        assert (18 in groups.inapplicable(some)) is not bool(left)


@pytest.mark.parametrize("group", sorted(OWN_GROUPS))
def test_another_cluster_is_not_checked_against_our_promises(group: int) -> None:
    """The group is left out by default, refused with the reason if requested, and never passes."""
    foreign = target(foreign=True)
    verdicts = groups.evaluate(foreign, GOOD, frozenset({group}))
    assert verdicts == ()
    assert Suite("another", "2026-03-02T10:14:31+00:00", 1.0, verdicts).outcome is Outcome.UNKNOWN
    with pytest.raises(errors.UsageError, match="a cluster that Poolkeeper started"):
        asyncio.run(test.run_suite(foreign, frozenset({group}), lambda _: None))


def test_the_default_run_reports_what_it_leaves_out() -> None:
    said: list[str] = []
    assert test.applicable(target(acknowledgements=0), None, said.append) == frozenset(range(1, 19)) - {16}
    assert said == [
        "group 16, Quorum Commit, does not apply, since cluster.toml declares replication.synchronous_mode off"
    ]
    assert test.applicable(target(), None, said.append) == frozenset(range(1, 19))
    assert len(said) == 1
