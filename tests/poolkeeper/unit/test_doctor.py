"""For each judge of `doctor`: a planted fact that it calls a limit, and facts from which it cannot know."""

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
CHECKS = sorted({judgement.check for judgement in all_rules.judge(SPEC, GOOD)})


def found(facts: ClusterFacts, outcome: Outcome, spec: ClusterSpec = SPEC) -> list[DoctorFinding]:
    """The judgements of that outcome."""
    return [judgement for judgement in all_rules.judge(spec, facts) if judgement.outcome is outcome]


def slots(**changes: Any) -> ClusterFacts:
    """The primary with another slot."""
    return with_node(slots=(replace(SLOT, **changes),))


def standby(**changes: Any) -> ClusterFacts:
    """The primary's row of one standby changed."""
    rows = sample.load(PRIMARY).standbys
    return with_node(standbys=(replace(rows[0], **changes), rows[1]))


def settings(**changes: str) -> ClusterFacts:
    """Other settings of the primary."""
    return with_node(settings={**sample.SETTINGS, **changes})


def etcd(**changes: Any) -> ClusterFacts:
    """Another load of the first etcd member."""
    load = EtcdLoad(10**6, 2 * GIB, sample.FSYNCS, 0, 2)
    return with_entry("etcd", "etcd1", replace(load, **changes))


def container(**changes: Any) -> ClusterFacts:
    """Another container of the primary."""
    made = Container(PRIMARY, PRIMARY, "", "running", "healthy", "", "", "", 0, 0)
    return with_fact("containers", {PRIMARY: replace(made, **changes)})


def patroni(*, paused: bool = False, pending: bool = False) -> ClusterFacts:
    """Another word of the first node's Patroni."""
    members = tuple(PatroniMember(n.name, "replica", "streaming", 1, 0, pending_restart=pending) for n in SPEC.nodes)
    return with_entry("patroni", PRIMARY, PatroniView(members, paused))


SLOW = ((0.064, 900), (0.128, 980), (0.256, 1000))
PLANTED: tuple[tuple[str, str, ClusterFacts], ...] = (
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


def test_nothing_limits_the_sample() -> None:
    judged = all_rules.judge(SPEC, GOOD)
    assert [j for j in judged if j.outcome is not Outcome.PASS] == []
    assert all_rules.outcome(judged) is Outcome.PASS
    assert all(j.advice == "" and j.figure and j.threshold and j.evidence for j in judged)


def test_every_check_has_a_planted_fact() -> None:
    assert sorted({check for check, _, _ in PLANTED}) == CHECKS


@pytest.mark.parametrize(("check", "subject", "facts"), PLANTED, ids=[f"{c}-{s}" for c, s, _ in PLANTED])
def test_planted_fact_is_caught(check: str, subject: str, facts: ClusterFacts) -> None:
    """It is called a limit, with all that a reader needs, and the exit code is 1."""
    limits = found(facts, Outcome.FAIL)
    caught = next(j for j in limits if (j.check, j.subject) == (check, subject))
    assert caught.figure
    assert caught.threshold
    assert caught.advice
    assert caught.evidence
    assert caught.key or caught.query or caught.advice
    assert all_rules.EXIT_CODES[all_rules.outcome(all_rules.judge(SPEC, facts))] == 1


@pytest.mark.parametrize(("check", "subject", "facts"), PLANTED, ids=[f"{c}-{s}" for c, s, _ in PLANTED])
def test_planted_fact_troubles_few_others(check: str, subject: str, facts: ClusterFacts) -> None:
    """A judge looks at its own fact: what else is called a limit is at most the same thing by another word."""
    others = {j.check for j in found(facts, Outcome.FAIL)} - {check}
    same = {"haproxy.sessions", "replication.lag", "replication.quorum", "postgresql.oldest_xmin"}
    if subject.startswith("direct_"):
        same |= {"endpoints.sessions", "haproxy.queue"}  # a full one is both
    assert others <= same, subject


def test_every_key_is_a_key_of_the_file_or_a_parameter() -> None:
    """What is to be changed can be written into cluster.toml."""
    keys = {j.key for _, _, facts in PLANTED for j in found(facts, Outcome.FAIL) if j.key}
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
def test_what_was_not_seen_is_unknown_and_never_fine(name: str, key: str) -> None:
    facts = silent(name, key)
    unknown = found(facts, Outcome.UNKNOWN)
    assert unknown
    assert all(j.message and j.figure == "?" for j in unknown)
    assert all_rules.EXIT_CODES[all_rules.outcome(all_rules.judge(SPEC, facts))] == 3


def test_one_silent_patroni_does_not_hide_what_the_others_say() -> None:
    assert found(silent("patroni", PRIMARY), Outcome.UNKNOWN) == []


def test_nothing_at_all_is_unknown_by_every_check() -> None:
    unknown = {j.check for j in found(ClusterFacts(), Outcome.UNKNOWN)}
    assert unknown == set(CHECKS)
    assert found(ClusterFacts(), Outcome.PASS) == []
    assert all_rules.outcome(()) is Outcome.UNKNOWN


def test_a_limit_outweighs_what_is_unknown() -> None:
    facts = replace(doing(lock_waits=1, longest_lock_wait=2.0), host=bad())
    assert all_rules.outcome(all_rules.judge(SPEC, facts)) is Outcome.FAIL


def test_two_primaries_are_unknown_where_the_primary_is_asked() -> None:
    facts = with_node(STANDBY, in_recovery=False)
    assert facts.primary is None
    assert "replication.quorum" in {j.check for j in found(facts, Outcome.UNKNOWN)}


def test_a_full_endpoint_is_seen_by_haproxy_alone() -> None:
    """A full endpoint lets nobody in to ask Pgpool-II itself."""
    facts = replace(with_fact("traffic", sample.traffic(sessions=30)), endpoints={**GOOD.endpoints, "rw": bad()})
    assert ("endpoints.sessions", "rw") in {(j.check, j.subject) for j in found(facts, Outcome.FAIL)}


def test_without_synchronous_replication_no_standby_need_acknowledge() -> None:
    declared = SPEC.model_copy(update={"replication": SPEC.replication.model_copy(update={"synchronous_mode": "off"})})
    rows = tuple(StandbyLag(name, "streaming", "async", 0, None) for name in (STANDBY, OTHER))
    assert found(with_node(standbys=rows), Outcome.FAIL, declared) == []
    assert "replication.quorum" in {j.check for j in found(with_node(standbys=rows), Outcome.FAIL)}


def test_little_work_is_not_judged() -> None:
    """A server that has hardly begun has bad ratios; they say nothing yet."""
    few = counted(hits=10, reads=90, temp_files=3, deadlocks=1, transactions=5, checkpoints_requested=9, seconds=60.0)
    assert found(few, Outcome.FAIL) == []


def test_no_container_at_all_is_unknown() -> None:
    assert {j.check for j in found(with_fact("containers", {}), Outcome.UNKNOWN)} == {"machine.out_of_memory"}


def test_who_waits_at_haproxys_server_counts_too() -> None:
    rows = [replace(r, queued=0) if r.name == "BACKEND" else r for r in sample.traffic(queued=4)]
    caught = next(j for j in found(with_fact("traffic", tuple(rows)), Outcome.FAIL) if j.check == "haproxy.queue")
    assert (caught.subject, caught.figure) == ("rw", "4")


@pytest.mark.parametrize(
    ("sessions", "limits"),
    [
        (41, set()),
        (42, {"endpoints.sessions"}),
        (45, {"endpoints.sessions"}),
        (46, {"endpoints.sessions", "haproxy.queue"}),
    ],
)
def test_a_direct_endpoint_is_judged_by_its_own_limit(sessions: int, limits: set[str]) -> None:
    """46 at once: from nine tenths on it is nearly full; who comes waits only when it is full, and is not counted."""
    facts = with_fact("traffic", sample.traffic(sessions=sessions, key="direct_ro"))
    judged = {j.check: j for j in all_rules.judge(SPEC, facts) if j.subject == "direct_ro"}
    assert set(judged) == {"endpoints.sessions", "haproxy.queue"}
    assert {check for check, j in judged.items() if j.outcome is Outcome.FAIL} == limits
    assert (judged["endpoints.sessions"].figure, judged["haproxy.queue"].figure) == (
        f"{sessions} of 46",
        f"{46 - sessions} free",
    )
    assert {j.key for j in judged.values()} == {"endpoints.direct_ro.max_sessions"}
    assert ("does not count" in judged["haproxy.queue"].message) == ("haproxy.queue" in limits)


@pytest.mark.parametrize("said", ["no frontend direct_rw", "direct_rw has no limit"])
def test_a_direct_endpoint_that_haproxy_does_not_tell_of_is_unknown(said: str) -> None:
    """As before the first `up` with such an endpoint; the other one is judged by itself."""
    rows = [row for row in sample.traffic() if row.proxy != "direct_rw"]
    if "limit" in said:
        rows.append(Traffic("direct_rw", "FRONTEND", 0, 0, 50, 50, None))
    unknown = found(with_fact("traffic", tuple(rows)), Outcome.UNKNOWN)
    assert {(j.check, j.subject) for j in unknown} == {
        ("endpoints.sessions", "direct_rw"),
        ("haproxy.queue", "direct_rw"),
    }
    assert all(said in j.message for j in unknown)


def test_a_direct_endpoint_without_a_port_is_not_missed() -> None:
    off = deployments.edit(SPEC, "endpoints.direct_rw.port", 0)
    rows = tuple(row for row in sample.traffic() if row.proxy != "direct_rw")
    judged = all_rules.judge(off, with_fact("traffic", rows))
    assert {j.outcome for j in judged} == {Outcome.PASS}
    assert {j.subject for j in judged if j.subject.startswith("direct")} == {"direct_ro"}


def test_databases_beyond_those_looked_into_are_unknown() -> None:
    facts = with_fact("databases", ("app", "postgres", "one_more"))
    assert {j.subject for j in found(facts, Outcome.UNKNOWN)} == {"one_more"}


@given(st.sets(st.sampled_from([f.name for f in fields(ClusterFacts)])))
def test_less_knowledge_never_makes_it_fine(missing: set[str]) -> None:
    """Whatever is taken away from a cluster at ease, the answer is fine only if nothing was."""
    facts = replace(GOOD, **{name: getattr(ClusterFacts(), name) for name in missing})
    assert (all_rules.outcome(all_rules.judge(SPEC, facts)) is Outcome.PASS) == (not missing)


def test_the_document_has_every_judgement_with_its_evidence() -> None:
    judged = all_rules.judge(SPEC, doing(lock_waits=2, longest_lock_wait=5.0))
    told = doctor_command.document("c", judged, Outcome.FAIL, 1)
    assert (told["schema"], told["outcome"], told["exit_code"]) == (1, "fail", 1)
    assert len(told["judgements"]) == len(judged)
    assert all(row["evidence"] for row in told["judgements"])
