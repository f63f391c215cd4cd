"""For each rule of `doctor`: a fact for which it fires, and missing facts for which the finding is unknown."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import deployments
from tests.poolkeeper.unit import doctor_sample as sample
from tests.poolkeeper.unit.doctor_sample import (
    GIB,
    OTHER,
    PRIMARY,
    SLOT,
    SPEC,
    STANDBY,
    counted,
    doing,
    silent,
    with_endpoint,
    with_entry,
    with_fact,
    with_node,
)
from tests.poolkeeper.unit.suite_sample import bad

from poolkeeper.cli import doctor_command
from poolkeeper.doctor.rules import all_rules
from poolkeeper.model.diagnosis import (
    ClusterFacts,
    DeadRows,
    DoctorFinding,
    EtcdLoad,
    HostLoad,
    StandbyLag,
    Traffic,
    Vacuuming,
    Volume,
)
from poolkeeper.model.observed import Container, PatroniMember, PatroniView
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome

GOOD = sample.healthy()
CHECKS = sorted({finding.check for finding in all_rules.evaluate(SPEC, GOOD)})


def found(facts: ClusterFacts, outcome: Outcome, spec: ClusterSpec = SPEC) -> list[DoctorFinding]:
    """Return the findings of that outcome."""
    return [finding for finding in all_rules.evaluate(spec, facts) if finding.outcome is outcome]


def slots(**changes: Any) -> ClusterFacts:
    """Return the facts with another slot of the primary."""
    return with_node(slots=(replace(SLOT, **changes),))


def standby(**changes: Any) -> ClusterFacts:
    """Return the facts with another row of one standby on the primary."""
    rows = sample.load(PRIMARY).standbys
    return with_node(standbys=(replace(rows[0], **changes), rows[1]))


def settings(**changes: str) -> ClusterFacts:
    """Return the facts with other settings of the primary."""
    return with_node(settings={**sample.SETTINGS, **changes})


def etcd(**changes: Any) -> ClusterFacts:
    """Return the facts with another load of the first etcd member."""
    load = EtcdLoad(10**6, 2 * GIB, sample.FSYNCS, 0, 2)
    return with_entry("etcd", "etcd1", replace(load, **changes))


def container(**changes: Any) -> ClusterFacts:
    """Return the facts with another container of the primary."""
    made = Container(PRIMARY, PRIMARY, "", "running", "healthy", "", "", "", 0, 0)
    return with_fact("containers", {PRIMARY: replace(made, **changes)})


def patroni(*, paused: bool = False, pending: bool = False) -> ClusterFacts:
    """Return the facts with another view of the first node's Patroni."""
    members = tuple(PatroniMember(n.name, "replica", "streaming", 1, 0, pending_restart=pending) for n in SPEC.nodes)
    return with_entry("patroni", PRIMARY, PatroniView(members, paused))


SLOW = ((0.064, 900), (0.128, 980), (0.256, 1000))
LIMITS: tuple[tuple[str, str, ClusterFacts], ...] = (
    ("endpoints.sessions", "rw", with_fact("traffic", sample.traffic(sessions=27))),
    ("endpoints.sessions", "ro", with_fact("traffic", sample.traffic(sessions=30, key="ro"))),
    ("endpoints.sessions", "balanced", with_endpoint("balanced", busy=29)),
    ("endpoints.sessions", "direct_rw", with_fact("traffic", sample.traffic(sessions=42, key="direct_rw"))),
    ("endpoints.sessions", "direct_ro", with_fact("traffic", sample.traffic(sessions=46, key="direct_ro"))),
    ("endpoints.pairs", "rw", with_endpoint("rw", pairs=tuple((f"u{i}", "app") for i in range(5)))),
    ("endpoints.reuse", "balanced", with_endpoint("balanced", connections=30, uses=31)),
    ("haproxy.queue", "rw", with_fact("traffic", sample.traffic(queued=1))),
    ("haproxy.queue", "ro", with_fact("traffic", sample.traffic(queued=3, key="ro"))),
    ("haproxy.queue", "direct_rw", with_fact("traffic", sample.traffic(sessions=46, key="direct_rw"))),
    ("haproxy.queue", "direct_ro", with_fact("traffic", sample.traffic(sessions=46, key="direct_ro"))),
    ("haproxy.sessions", "primary", with_fact("traffic", sample.traffic(endpoints=3500))),
    ("postgresql.start", STANDBY, replace(silent("nodes", STANDBY), failed_starts={STANDBY: "FATAL: no tablespace"})),
    ("postgresql.connections", PRIMARY, doing(clients=450)),
    ("postgresql.connections", STANDBY, doing(STANDBY, clients=450)),
    ("postgresql.cache", PRIMARY, counted(hits=9_000, reads=1_000)),
    ("postgresql.temp_files", PRIMARY, counted(temp_files=1_001)),
    ("postgresql.deadlocks", PRIMARY, counted(deadlocks=11)),
    ("postgresql.checkpoints", PRIMARY, counted(checkpoints_requested=200, seconds=20_000.0)),
    ("postgresql.long_transactions", PRIMARY, doing(longest_transaction=901.0)),
    ("postgresql.idle_in_transaction", PRIMARY, doing(longest_idle_transaction=301.0)),
    ("postgresql.oldest_xmin", PRIMARY, doing(xmin_age=10_000_001)),
    ("postgresql.oldest_xmin", PRIMARY, doing(prepared_age=10_000_001)),
    ("postgresql.oldest_xmin", PRIMARY, slots(xmin_age=10_000_001)),
    ("postgresql.prepared_transactions", PRIMARY, doing(prepared=1, longest_prepared=301.0)),
    ("postgresql.lock_waits", PRIMARY, doing(lock_waits=1, longest_lock_wait=1.2)),
    ("postgresql.pending_restart", STANDBY, patroni(pending=True)),
    ("replication.quorum", "cluster", with_node(standbys=sample.load(PRIMARY).standbys[:1])),
    ("replication.quorum", "cluster", standby(state="catchup")),
    ("replication.commit_wait", "cluster", doing(slow_commits=1)),
    ("replication.lag", STANDBY, standby(bytes=SPEC.pgpool.delay_threshold_bytes + 1)),
    ("replication.lag", STANDBY, standby(seconds=31.0)),
    ("replication.lag", OTHER, with_node(standbys=sample.load(PRIMARY).standbys[:1])),
    ("replication.slots", PRIMARY, slots(active=False, retained_bytes=3 * GIB, safe_bytes=GIB)),
    ("replication.slots", PRIMARY, slots(wal_status="lost", retained_bytes=None, safe_bytes=None)),
    ("replication.slots", PRIMARY, slots(wal_status="unreserved")),
    ("cluster.maintenance", "cluster", patroni(paused=True)),
    ("vacuum.wraparound", "cluster", with_node(oldest_xid=("app", 300_000_001))),
    ("vacuum.multixact_wraparound", "cluster", with_node(oldest_multixact=("app", 600_000_001))),
    ("vacuum.autovacuum", "cluster", settings(autovacuum="off")),
    ("vacuum.disabled_tables", "app", with_entry("vacuuming", "app", Vacuuming(("public.t",), ()))),
    ("vacuum.dead_rows", "app", with_entry("vacuuming", "app", Vacuuming((), (DeadRows("public.t", 20_000, 9),)))),
    (
        "disk.volume",
        STANDBY,
        with_entry("volumes", STANDBY, (Volume("/data", 105, 80, 20), Volume("/dev/shm", 9, 0, 9))),
    ),
    ("disk.volume", "etcd2", with_entry("volumes", "etcd2", (Volume("/var/lib/etcd", 100, 80, 20),))),
    (
        "disk.shared_memory",
        PRIMARY,
        with_entry("volumes", PRIMARY, (Volume("/data", 9, 0, 9), Volume("/dev/shm", 10, 9, 1))),
    ),
    ("etcd.size", "etcd1", etcd(db_bytes=int(1.7 * GIB))),
    ("etcd.fsync", "etcd1", etcd(fsyncs=SLOW)),
    ("machine.processors", "machine", with_fact("host", HostLoad(4, 8.1, 16_000, 9_000))),
    ("machine.memory", "machine", with_fact("host", HostLoad(4, 1.0, 16_000, 1_500))),
    ("machine.out_of_memory", "containers", container(oom_killed=True)),
)


def test_no_rule_fires_for_the_sample() -> None:
    findings = all_rules.evaluate(SPEC, GOOD)
    assert [j for j in findings if j.outcome is not Outcome.PASS] == []
    assert all_rules.outcome(findings) is Outcome.PASS
    assert all(j.advice == "" and j.figure and j.threshold and j.evidence for j in findings)


def test_every_check_has_a_limiting_fact() -> None:
    assert sorted({check for check, _, _ in LIMITS}) == CHECKS


@pytest.mark.parametrize(("check", "subject", "facts"), LIMITS, ids=[f"{c}-{s}" for c, s, _ in LIMITS])
def test_a_limiting_fact_gives_a_finding(check: str, subject: str, facts: ClusterFacts) -> None:
    """The rule fires, the finding has all that a reader needs, and the exit code is 1."""
    caught = next(j for j in found(facts, Outcome.FAIL) if (j.check, j.subject) == (check, subject))
    assert caught.figure
    assert caught.threshold
    assert caught.advice
    assert caught.evidence
    assert caught.key or caught.query or caught.advice
    assert all_rules.EXIT_CODES[all_rules.outcome(all_rules.evaluate(SPEC, facts))] == 1


@pytest.mark.parametrize(("check", "subject", "facts"), LIMITS, ids=[f"{c}-{s}" for c, s, _ in LIMITS])
def test_a_limiting_fact_makes_few_other_rules_fire(check: str, subject: str, facts: ClusterFacts) -> None:
    """A rule checks its own fact: another rule fires only where it describes the same limit."""
    others = {j.check for j in found(facts, Outcome.FAIL)} - {check}
    same = {"haproxy.sessions", "replication.lag", "replication.quorum", "postgresql.oldest_xmin"}
    if subject.startswith("direct_"):
        same |= {"endpoints.sessions", "haproxy.queue"}  # a full endpoint gives both
    assert others <= same, subject


def test_every_key_is_a_key_of_the_file_or_a_parameter() -> None:
    """The key of a finding can be written into cluster.toml."""
    keys = {j.key for _, _, facts in LIMITS for j in found(facts, Outcome.FAIL) if j.key}
    for key in keys:
        table: Any = ClusterSpec()
        parts = key.split(".")
        if parts[:2] == ["postgresql", "parameters"]:
            assert len(parts) == 3
            continue
        for part in parts:
            table = getattr(table, part)


SILENCES = [
    ("nodes", PRIMARY),
    ("nodes", STANDBY),
    ("endpoints", "balanced"),
    ("vacuuming", "app"),
    ("etcd", "etcd3"),
    ("volumes", STANDBY),
    ("volumes", "etcd1"),
    ("traffic", ""),
    ("databases", ""),
    ("host", ""),
    ("containers", ""),
]


@pytest.mark.parametrize(("name", "key"), SILENCES)
def test_a_missing_reading_is_unknown_and_never_a_pass(name: str, key: str) -> None:
    facts = silent(name, key)
    unknown = found(facts, Outcome.UNKNOWN)
    assert unknown
    assert all(j.message and j.figure == "?" for j in unknown)
    assert all_rules.EXIT_CODES[all_rules.outcome(all_rules.evaluate(SPEC, facts))] == 3


def test_one_silent_patroni_does_not_hide_the_reports_of_the_others() -> None:
    assert found(silent("patroni", PRIMARY), Outcome.UNKNOWN) == []


def test_without_any_fact_every_check_is_unknown() -> None:
    unknown = {j.check for j in found(ClusterFacts(), Outcome.UNKNOWN)}
    assert unknown == set(CHECKS)
    assert found(ClusterFacts(), Outcome.PASS) == []
    assert all_rules.outcome(()) is Outcome.UNKNOWN


def test_a_fail_outweighs_an_unknown() -> None:
    facts = replace(doing(lock_waits=1, longest_lock_wait=2.0), host=bad())
    assert all_rules.outcome(all_rules.evaluate(SPEC, facts)) is Outcome.FAIL


def test_with_two_primaries_the_checks_of_the_primary_are_unknown() -> None:
    facts = with_node(STANDBY, in_recovery=False)
    assert facts.primary is None
    assert "replication.quorum" in {j.check for j in found(facts, Outcome.UNKNOWN)}


def test_a_full_endpoint_is_found_by_haproxys_count_alone() -> None:
    """A full endpoint admits no session that could ask Pgpool-II itself."""
    facts = replace(with_fact("traffic", sample.traffic(sessions=30)), endpoints={**GOOD.endpoints, "rw": bad()})
    assert ("endpoints.sessions", "rw") in {(j.check, j.subject) for j in found(facts, Outcome.FAIL)}


def test_without_synchronous_replication_no_standby_has_to_acknowledge() -> None:
    declared = SPEC.model_copy(update={"replication": SPEC.replication.model_copy(update={"synchronous_mode": "off"})})
    rows = tuple(StandbyLag(name, "streaming", "async", 0, None) for name in (STANDBY, OTHER))
    assert found(with_node(standbys=rows), Outcome.FAIL, declared) == []
    assert "replication.quorum" in {j.check for j in found(with_node(standbys=rows), Outcome.FAIL)}


def test_little_work_is_not_evaluated() -> None:
    """A server that has just started has bad ratios; they mean nothing yet."""
    few = counted(hits=10, reads=90, temp_files=3, deadlocks=1, transactions=5, checkpoints_requested=9, seconds=60.0)
    assert found(few, Outcome.FAIL) == []


def test_no_container_at_all_is_unknown() -> None:
    assert {j.check for j in found(with_fact("containers", {}), Outcome.UNKNOWN)} == {"machine.out_of_memory"}


def test_clients_that_wait_at_haproxys_server_are_counted() -> None:
    rows = [replace(r, queued=0) if r.name == "BACKEND" else r for r in sample.traffic(queued=4)]
    caught = next(j for j in found(with_fact("traffic", tuple(rows)), Outcome.FAIL) if j.check == "haproxy.queue")
    assert (caught.subject, caught.figure) == ("rw", "4")


@pytest.mark.parametrize(
    ("sessions", "firing"),
    [
        (41, set()),
        (42, {"endpoints.sessions"}),
        (45, {"endpoints.sessions"}),
        (46, {"endpoints.sessions", "haproxy.queue"}),
    ],
)
def test_a_direct_endpoint_is_evaluated_against_its_own_limit(sessions: int, firing: set[str]) -> None:
    """The endpoint serves 46 sessions: 90% of them are a finding; new clients wait, uncounted, only when it is full."""
    facts = with_fact("traffic", sample.traffic(sessions=sessions, key="direct_ro"))
    findings = {j.check: j for j in all_rules.evaluate(SPEC, facts) if j.subject == "direct_ro"}
    assert set(findings) == {"endpoints.sessions", "haproxy.queue"}
    assert {check for check, j in findings.items() if j.outcome is Outcome.FAIL} == firing
    assert (findings["endpoints.sessions"].figure, findings["haproxy.queue"].figure) == (
        f"{sessions} of 46",
        f"{46 - sessions} free",
    )
    assert {j.key for j in findings.values()} == {"endpoints.direct_ro.max_sessions"}
    assert ("does not count" in findings["haproxy.queue"].message) == ("haproxy.queue" in firing)


@pytest.mark.parametrize("reason", ["no frontend direct_rw", "direct_rw has no limit"])
def test_a_direct_endpoint_that_haproxy_does_not_report_is_unknown(reason: str) -> None:
    """This is the state before the first `up` with such an endpoint; the other endpoint is evaluated separately."""
    rows = [row for row in sample.traffic() if row.proxy != "direct_rw"]
    if "limit" in reason:
        rows.append(Traffic("direct_rw", "FRONTEND", 0, 0, 50, 50, None))
    unknown = found(with_fact("traffic", tuple(rows)), Outcome.UNKNOWN)
    assert {(j.check, j.subject) for j in unknown} == {
        ("endpoints.sessions", "direct_rw"),
        ("haproxy.queue", "direct_rw"),
    }
    assert all(reason in j.message for j in unknown)


def test_a_direct_endpoint_without_a_port_has_no_finding() -> None:
    off = deployments.edit(SPEC, "endpoints.direct_rw.port", 0)
    rows = tuple(row for row in sample.traffic() if row.proxy != "direct_rw")
    findings = all_rules.evaluate(off, with_fact("traffic", rows))
    assert {j.outcome for j in findings} == {Outcome.PASS}
    assert {j.subject for j in findings if j.subject.startswith("direct")} == {"direct_ro"}


def test_databases_beyond_the_checked_ones_are_unknown() -> None:
    facts = with_fact("databases", ("app", "postgres", "one_more"))
    assert {j.subject for j in found(facts, Outcome.UNKNOWN)} == {"one_more"}


@given(
    st.sets(st.sampled_from([f.name for f in fields(ClusterFacts) if f.name != "failed_starts"]))
)  # holds faults only
def test_fewer_facts_never_make_a_pass(missing: set[str]) -> None:
    """A healthy cluster passes only if no fact is missing."""
    facts = replace(GOOD, **{name: getattr(ClusterFacts(), name) for name in missing})
    assert (all_rules.outcome(all_rules.evaluate(SPEC, facts)) is Outcome.PASS) == (not missing)


def test_the_document_has_every_finding_with_its_evidence() -> None:
    findings = all_rules.evaluate(SPEC, doing(lock_waits=2, longest_lock_wait=5.0))
    document = doctor_command.document("c", findings, Outcome.FAIL, 1)
    assert (document["schema"], document["outcome"], document["exit_code"]) == (1, "fail", 1)
    assert len(document["findings"]) == len(findings)
    assert all(row["evidence"] for row in document["findings"])
