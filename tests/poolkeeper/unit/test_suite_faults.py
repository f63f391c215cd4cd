"""For each of the 20 checks of any cluster: readings that fail it, and readings that leave it unknown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.poolkeeper.unit.suite_sample import (
    ROWS,
    SCHEMA,
    SILENT,
    ambiguous,
    backend,
    bad,
    healthy,
    node,
    ok,
    proxy_rows,
    put,
    refused,
    server,
    target,
    without,
)

from poolkeeper.model.observed import HaproxyView
from poolkeeper.model.probe import (
    Arrival,
    Balance,
    EndpointFacts,
    Failure,
    Inserts,
    PgpoolFacts,
    Readings,
    RowsSeen,
    Sender,
    Server,
    SlotFacts,
    WriteAttempt,
)
from poolkeeper.model.verdict import GROUPS, OWN_GROUPS, Outcome, Verdict
from poolkeeper.suite.checks import groups

GOOD = healthy()
COMMON = frozenset(GROUPS) - OWN_GROUPS
CHECKS = [verdict.check for verdict in groups.evaluate(target(), GOOD, COMMON)]
NODES = ("nodes.n1", "nodes.n2", "nodes.n3")
DARK = without(GOOD, *NODES)


def verdict_of(check: str, readings: Readings, *, foreign: bool = False) -> Verdict:
    """Return the verdict of one check."""
    return next(v for v in groups.evaluate(target(foreign=foreign), readings) if v.check == check)


def nodes_are(primaries: str) -> Readings:
    """Return readings where these nodes report that they are primaries, and the others standbys."""
    facts = {name: replace(node(name, ""), in_recovery=name not in primaries.split()) for name in ("n1", "n2", "n3")}
    return replace(GOOD, nodes={name: ok(fact, name) for name, fact in facts.items()})


def balance(served: dict[Server, int], selects: tuple[int, ...] = (112, 112, 112), failed: int = 0) -> Readings:
    """Return a load-balancing reading; the counters began at 100."""
    before = tuple(backend(name, "n2") for name in ("n1", "n2", "n3"))
    after = tuple(replace(row, selects=count) for row, count in zip(before, selects, strict=True))
    return put(GOOD, "balance", ok(Balance(36, before, after, served, (SILENT,) * failed)))


def backends(**changes: str) -> Readings:
    """Return SHOW pool_nodes with n3's row changed."""
    rows = (backend("n1", "n2"), backend("n2", "n2"), backend("n3", "n2", **changes))
    return put(GOOD, "backends", ok(rows))


def stats(view: HaproxyView) -> Readings:
    """Return a dashboard reading."""
    return put(GOOD, "stats", ok(view))


def attempt(code: str, *, in_recovery: bool = True) -> Readings:
    """Return a write on n1."""
    return put(GOOD, "attempts.n1", ok(WriteAttempt(in_recovery, code, "text")))


SPREAD = {server("n1"): 12, server("n2"): 12, server("n3"): 12}
TWO_SERVE = {server("n1"): 18, server("n2"): 18}
STANDBY, PRIMARY = EndpointFacts(server("n1"), True), EndpointFacts(server("n2"), False)

FAILS: list[tuple[str, Readings]] = [
    *((f"node_status.{n}", without(GOOD, f"nodes.{n}")) for n in ("n1", "n2", "n3")),
    ("node_status.n1", without(GOOD, "nodes.n1", failure=refused("57P03", "the database system is starting up"))),
    ("node_status.n1", without(without(GOOD, *NODES), "nodes.n2", "nodes.n1", failure=refused("57P03"))),
    ("pgpool_connection.query", without(GOOD, "balanced")),
    ("pgpool_connection.query", without(GOOD, "balanced", failure=refused("28P01"))),
    ("pgpool_connection.query", put(GOOD, "balanced", ok(EndpointFacts(Server("1.0", "10.0.0.9"), False)))),
    ("pgpool_connection.backends", backends(status="down")),
    ("pgpool_connection.backends", backends(status="quarantine")),
    ("pgpool_connection.backends", backends(server_status="down")),
    ("pgpool_connection.backends", backends(role="primary")),
    ("pgpool_connection.backends", put(GOOD, "backends", ok((backend("n1", "n1"), backend("n2", "n1"))))),
    ("pgpool_connection.backends", put(GOOD, "backends", ok(tuple(backend(n, "n3") for n in ("n1", "n2", "n3"))))),
    ("pgpool_connection.backends", put(GOOD, "backends", ok(tuple(backend(n, "") for n in ("n1", "n2", "n3"))))),
    ("pgpool_connection.backends", without(GOOD, "backends", failure=refused("42704"))),
    ("pgpool_connection.backends", nodes_are("n1 n2")),
    ("haproxy_connectivity.rw", without(GOOD, "rw")),
    ("haproxy_connectivity.rw", put(GOOD, "rw", ok(STANDBY))),
    ("haproxy_connectivity.ro", without(GOOD, "ro")),
    ("haproxy_connectivity.ro", put(GOOD, "ro", ok(PRIMARY))),
    ("streaming_replication.n1", put(GOOD, "arrivals.n1", ok(Arrival(SCHEMA, None, 5.0)))),
    ("streaming_replication.n1", put(GOOD, "arrivals.n1", ok(Arrival(SCHEMA, "another", 5.0)))),
    ("streaming_replication.n3", put(GOOD, "arrivals.n3", ok(Arrival(SCHEMA, None, 5.0)))),
    ("streaming_replication.n2", nodes_are("n1 n2")),
    ("write_isolation.n1", attempt("")),
    ("write_isolation.n1", attempt("42501")),
    ("write_isolation.n1", attempt("25006", in_recovery=False)),
    ("write_isolation.n3", put(GOOD, "attempts.n3", ok(WriteAttempt(False, "", "accepted")))),
    ("write_isolation.n3", nodes_are("n2 n3")),
    ("ddl_replication.n1", put(GOOD, "columns.n1", ok(Arrival("integer", None, 5.0)))),
    ("ddl_replication.n3", put(GOOD, "columns.n3", ok(Arrival("integer", "text", 5.0)))),
    ("load_balancing", balance({server("n2"): 36})),
    ("load_balancing", balance(SPREAD, (136, 100, 100))),
    ("load_balancing", balance(TWO_SERVE, (118, 102, 116))),
    ("load_balancing", balance(SPREAD, failed=3)),
    ("version_consistency", put(GOOD, "nodes.n3", ok(node("n3", "n2", "17.10 (Debian 17.10-1)")))),
    ("version_consistency", without(put(GOOD, "nodes.n3", ok(node("n3", "n2", "17.10"))), "nodes.n1")),
    ("wal_streaming", put(GOOD, "senders.n2", ok((Sender("n1", "streaming"),)))),
    ("wal_streaming", put(GOOD, "senders.n2", ok((Sender("n1", "streaming"), Sender("n3", "catchup"))))),
    ("wal_streaming", put(GOOD, "senders.n2", ok((Sender("n1", "streaming"), Sender("pg_receivewal", "streaming"))))),
    ("wal_streaming", nodes_are("n1 n2")),
    ("wal_streaming", nodes_are("")),
    ("replication_slots", put(GOOD, "slots.n2", ok((SlotFacts("n1", "physical", True),)))),
    (
        "replication_slots",
        put(GOOD, "slots.n2", ok((SlotFacts("n1", "physical", True), SlotFacts("n3", "physical", False)))),
    ),
    (
        "replication_slots",
        put(GOOD, "slots.n2", ok((SlotFacts("n1", "physical", True), SlotFacts("n3", "logical", True)))),
    ),
    ("concurrent_writes", put(GOOD, "rows.n1", ok(RowsSeen(ROWS[:-1], 5.0)))),
    ("concurrent_writes", put(GOOD, "rows.n2", ok(RowsSeen((*ROWS, (9, 9)), 0.1)))),
    ("concurrent_writes", put(GOOD, "rows.n3", ok(RowsSeen((ROWS[0], *ROWS), 0.1)))),
    ("concurrent_writes", put(GOOD, "rows.n3", ok(RowsSeen((ROWS[0], *ROWS[:-1]), 0.1)))),
    ("concurrent_writes", put(GOOD, "inserts", ok(Inserts(ROWS, ROWS[:-1], (refused("57P01"),))))),
    ("concurrent_writes", put(GOOD, "inserts", ok(Inserts(ROWS, ROWS[:-2], (ambiguous(), SILENT))))),
    ("concurrent_writes", put(GOOD, "inserts", ok(Inserts(ROWS, ROWS[:-1])))),
    ("pgpool_version", put(GOOD, "pgpool", ok(PgpoolFacts("4.3.9 (tamahomeboshi)", 32)))),
    ("pgpool_version", put(GOOD, "pgpool", ok(PgpoolFacts("4.6.1", 0)))),
    ("pgpool_version", put(GOOD, "pgpool", ok(PgpoolFacts("seventeen", 32)))),
    ("pgpool_version", without(GOOD, "pgpool", failure=refused("42704"))),
    ("haproxy_stats", stats(HaproxyView("3.0.11", proxy_rows(endpoint_rw_BACKEND="DOWN")))),
    ("haproxy_stats", stats(HaproxyView("3.0.11", proxy_rows()[1:]))),
    ("haproxy_stats", without(GOOD, "stats")),
    ("haproxy_stats", without(GOOD, "stats", failure=refused("csv"))),
    ("haproxy_stats", without(GOOD, "stats", failure=refused("503"))),
]

UNKNOWN: list[tuple[str, Readings]] = [
    *((f"node_status.{n}", DARK) for n in ("n1", "n2", "n3")),
    ("node_status.n1", put(GOOD, "nodes.n1", None)),
    ("node_status.n1", without(GOOD, "nodes.n1", failure=refused("28P01"))),
    ("pgpool_connection.query", without(DARK, "balanced")),
    ("pgpool_connection.query", put(GOOD, "balanced", None)),
    ("pgpool_connection.backends", without(GOOD, "backends")),
    ("pgpool_connection.backends", without(GOOD, "backends", failure=refused("28P01"))),
    ("pgpool_connection.backends", without(GOOD, "nodes.n2")),
    ("pgpool_connection.backends", without(GOOD, "nodes.n1")),
    ("haproxy_connectivity.rw", without(DARK, "rw")),
    ("haproxy_connectivity.ro", without(DARK, "ro")),
    *(
        (f"{check}.{n}", without(GOOD, field))
        for check, write, seen in (
            ("streaming_replication", "inserted", "arrivals"),
            ("ddl_replication", "altered", "columns"),
        )
        for n in ("n1", "n3")
        for field in ("workspace", write, f"{seen}.{n}", f"nodes.{n}")
    ),
    ("streaming_replication.n1", without(GOOD, "inserted", failure=ambiguous())),
    ("write_isolation.n1", without(GOOD, "attempts.n1")),
    ("write_isolation.n3", put(GOOD, "attempts.n3", None)),
    ("load_balancing", without(GOOD, "balance")),
    ("load_balancing", balance({}, failed=36)),
    ("load_balancing", balance(SPREAD, (12, 12, 12))),
    ("version_consistency", without(GOOD, "nodes.n3")),
    ("wal_streaming", without(GOOD, "senders.n2")),
    ("wal_streaming", without(GOOD, "nodes.n2")),
    ("wal_streaming", put(GOOD, "senders.n2", ok((Sender("n1", None), Sender("n3", None))))),
    ("replication_slots", without(GOOD, "slots.n2")),
    ("replication_slots", without(GOOD, "nodes.n2")),
    ("concurrent_writes", without(GOOD, "workspace")),
    ("concurrent_writes", without(GOOD, "inserts")),
    ("concurrent_writes", without(GOOD, "rows.n3")),
    ("concurrent_writes", put(GOOD, "inserts", ok(Inserts(ROWS, ROWS[:-1], (ambiguous(),))))),
    ("pgpool_version", without(GOOD, "pgpool")),
    ("haproxy_stats", without(DARK, "stats")),
    ("haproxy_stats", without(GOOD, "stats", failure=refused("401"))),
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


def test_healthy_readings_pass() -> None:
    assert {v.outcome for v in groups.evaluate(target(), GOOD)} == {Outcome.PASS}
    assert all(v.evidence and v.summary for v in groups.evaluate(target(), GOOD))


@pytest.mark.parametrize("table", [FAILS, UNKNOWN])
def test_each_check_has_a_case(table: list[tuple[str, Readings]]) -> None:
    assert len(CHECKS) == 20
    assert set(CHECKS) <= {check for check, _ in table}


def test_prerequisite_is_the_evidence() -> None:
    """A check that could not write shows the reason, and not the evidence of other checks."""
    failed = put(GOOD, "workspace", bad(refused("53100", "could not extend file: No space left on device")))
    found = verdict_of("ddl_replication.n1", failed)
    assert "No space left" in found.summary
    assert [e.returned for e in found.evidence] == ["could not extend file: No space left on device"]


@pytest.mark.parametrize("failure", [SILENT, refused("57P03"), refused("28P01")])
def test_a_summary_has_no_wrapping(failure: Failure) -> None:
    text = 'app@127.0.0.1:5612/app: connection failed: connection to server at "127.0.0.1", port 5612 failed: Oh no'
    found = verdict_of("node_status.n1", without(GOOD, "nodes.n1", failure=replace(failure, text=text)))
    assert "Oh no" in found.summary
    assert "connection to server" not in found.summary


def test_foreign_names_may_differ() -> None:
    """In another cluster, application names, slots, host names and the node of the read-only endpoint differ."""
    hosts = tuple(replace(backend(n, "n2"), hostname=f"db{n}.example") for n in ("n1", "n2", "n3"))
    readings = replace(
        GOOD,
        senders={"n2": ok((Sender("walreceiver", "streaming"), Sender("walreceiver", "streaming")))},
        slots={"n2": ok((SlotFacts("a", "physical", True), SlotFacts("b", "physical", True)))},
        backends=ok(hosts),
        ro=ok(PRIMARY),
        stats=ok(HaproxyView("2.8", proxy_rows()[3:])),
    )
    assert {v.outcome for v in groups.evaluate(target(foreign=True), readings)} == {Outcome.PASS}
    stale = put(readings, "balanced", ok(STANDBY))
    assert verdict_of("pgpool_connection.backends", stale, foreign=True).outcome is Outcome.FAIL
    dark = put(readings, "balanced", None)
    assert verdict_of("pgpool_connection.backends", dark, foreign=True).outcome is Outcome.UNKNOWN
    short = put(readings, "senders.n2", ok((Sender("walreceiver", "streaming"),)))
    assert verdict_of("wal_streaming", short, foreign=True).outcome is Outcome.FAIL
    empty = put(readings, "stats", ok(HaproxyView("2.8", ())))
    assert verdict_of("haproxy_stats", empty, foreign=True).outcome is Outcome.FAIL
    down = put(readings, "stats", ok(HaproxyView("2.8", proxy_rows(endpoint_ro_BACKEND="DOWN"))))
    assert verdict_of("haproxy_stats", down, foreign=True).outcome is Outcome.FAIL
