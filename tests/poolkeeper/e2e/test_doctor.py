"""`doctor` on a real cluster: it finds each limit that a test causes; and `up` applies what `tune` writes."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.clusters import ClusterUnderTest, load_json
from tests.poolkeeper.e2e.hammer import wait_for
from tests.poolkeeper.unit import doctor_sample

from poolkeeper.doctor.rules import all_rules
from poolkeeper.model import spec_rules

pytestmark = pytest.mark.e2e

SECONDS = 60.0  # until a caused limit is found
# Findings that a busy machine may cause at any time, in any test.
OF_THE_MACHINE = {"machine.processors", "machine.memory", "machine.out_of_memory", "etcd.fsync", "disk.volume"}
# Findings from counters that earlier tests of the session raised, or from momentary changes.
OF_THE_PAST = {
    *("postgresql.checkpoints", "postgresql.cache", "postgresql.deadlocks"),
    *("endpoints.pairs", "endpoints.reuse", "replication.lag", "vacuum.dead_rows"),
}


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    """Leave a healthy cluster to the next test."""
    yield
    cluster.ok("up")


def run_doctor(cluster: ClusterUnderTest) -> tuple[int, list[dict[str, Any]]]:
    """Run `doctor --json`; return its exit code and its findings."""
    done = cluster.run("doctor", "--json")
    document = load_json(done.stdout)
    assert document["exit_code"] == done.returncode, done.stderr
    findings = document["findings"]
    assert isinstance(findings, list)
    return done.returncode, findings


def of(findings: list[dict[str, Any]], outcome: str) -> set[tuple[str, str]]:
    """Return (check, subject) of each finding with that outcome."""
    return {(j["check"], j["subject"]) for j in findings if j["outcome"] == outcome}


def wait_for_finding(cluster: ClusterUnderTest, check: str, subject: str) -> dict[str, Any]:
    """Run `doctor` until this rule fires for this subject; return the finding."""
    deadline = time.monotonic() + SECONDS
    while True:
        code, findings = run_doctor(cluster)
        caught = [j for j in findings if (j["check"], j["subject"], j["outcome"]) == (check, subject, "fail")]
        if caught:
            assert code == 1
            assert caught[0]["advice"]
            assert caught[0]["evidence"]
            return caught[0]
        assert time.monotonic() < deadline, f"{check} of {subject} is not found: {sorted(of(findings, 'fail'))}"


def test_doctor_can_check_everything(cluster: ClusterUnderTest) -> None:
    """Every check of the rules is present, none is unknown, and only the machine limits an idle cluster."""
    expected = {j.check for j in all_rules.evaluate(doctor_sample.SPEC, doctor_sample.healthy())}
    code, findings = run_doctor(cluster)
    assert {j["check"] for j in findings} == expected
    assert of(findings, "unknown") == set()
    firing = {check for check, _ in of(findings, "fail")}
    assert firing <= OF_THE_MACHINE | OF_THE_PAST
    assert code == (1 if firing else 0)
    shown = cluster.run("doctor", "--all").stdout
    assert any(line.startswith(f"{len(findings)} ") for line in shown.splitlines())


def test_a_session_that_waits_for_a_lock_is_found(cluster: ClusterUnderTest) -> None:
    dsn = cluster.dsn("rw")
    with psycopg.connect(dsn, autocommit=True) as setup:
        setup.execute("CREATE TABLE IF NOT EXISTS locked (n int)")
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE locked")
        waiter = threading.Thread(target=_count, args=(dsn,))
        waiter.start()
        try:
            caught = wait_for_finding(cluster, "postgresql.lock_waits", cluster.primary())
        finally:
            holder.rollback()
            waiter.join(timeout=60)
    assert caught["figure"] == "1"
    with psycopg.connect(dsn, autocommit=True) as setup:
        setup.execute("DROP TABLE locked")


def _count(dsn: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute("SELECT count(*) FROM locked")


def test_a_full_endpoint_and_its_waiting_client_are_found(cluster: ClusterUnderTest) -> None:
    """The endpoint serves its maximum of sessions; then one more waits."""
    dsn, endpoint = cluster.dsn("rw"), cluster.handle.spec.endpoints.rw
    with contextlib.ExitStack() as held:
        for _ in range(endpoint.num_init_children - 2):
            held.enter_context(psycopg.connect(dsn, connect_timeout=20))
        caught = wait_for_finding(cluster, "endpoints.sessions", "rw")
        assert caught["key"] == "endpoints.rw.num_init_children"
        waiter = threading.Thread(target=_connect, args=(dsn,))
        waiter.start()
        wait_for_finding(cluster, "haproxy.queue", "rw")
    waiter.join(timeout=60)


def test_a_full_direct_endpoint_is_found(cluster: ClusterUnderTest) -> None:
    """The endpoint serves its maximum of sessions; new clients wait in the kernel, and HAProxy's queue is empty."""
    dsn, sessions = cluster.dsn("direct_rw"), cluster.handle.spec.direct_sessions()["direct_rw"]
    with contextlib.ExitStack() as held:
        for _ in range(sessions):
            held.enter_context(psycopg.connect(dsn, connect_timeout=20))
        caught = wait_for_finding(cluster, "haproxy.queue", "direct_rw")
        assert (caught["figure"], caught["key"]) == ("0 free", "endpoints.direct_rw.max_sessions")
        wait_for_finding(cluster, "endpoints.sessions", "direct_rw")
    _, findings = run_doctor(cluster)
    assert {("haproxy.queue", "direct_ro"), ("endpoints.sessions", "direct_ro")} <= of(findings, "pass")


def _connect(dsn: str) -> None:
    """Open a session, or be refused: haproxy.queue_timeout_ms may end before a session is free."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn, connect_timeout=120):
        pass


def test_more_pairs_than_a_process_keeps_are_found(cluster: ClusterUnderTest) -> None:
    database, most = cluster.handle.spec.roles.app_database, cluster.handle.spec.endpoints.rw.max_pool
    pairs = [(role, name) for role in ("app", "superuser", "check") for name in (database, "postgres")]
    assert len(pairs) - 1 > most, "this needs more pairs than max_pool, without that of the checks"
    with contextlib.ExitStack() as held:
        for role, name in pairs:
            session = held.enter_context(psycopg.connect(cluster.dsn("rw", role, name), autocommit=True))
            session.execute("SELECT 1")
        caught = wait_for_finding(cluster, "endpoints.pairs", "rw")
    assert caught["key"] == "endpoints.rw.max_pool"


def test_a_table_without_autovacuum_is_found(cluster: ClusterUnderTest) -> None:
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        session.execute("CREATE TABLE unvacuumed (n int) WITH (autovacuum_enabled = false)")
    try:
        caught = wait_for_finding(cluster, "vacuum.disabled_tables", cluster.handle.spec.roles.app_database)
        assert "unvacuumed" in caught["message"]
    finally:
        with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
            session.execute("DROP TABLE unvacuumed")


def test_maintenance_mode_is_found(cluster: ClusterUnderTest) -> None:
    cluster.ok("maintenance", "on")
    try:
        wait_for_finding(cluster, "cluster.maintenance", "cluster")
    finally:
        cluster.ok("maintenance", "off")


def test_a_stopped_standby_is_a_finding_and_its_own_facts_are_unknown(cluster: ClusterUnderTest) -> None:
    primary = cluster.primary()
    away = next(node.name for node in cluster.handle.spec.nodes if node.name != primary)
    cluster.docker("stop", cluster.container(away))
    wait_for_finding(cluster, "replication.quorum", "cluster")
    _, findings = run_doctor(cluster)
    assert {("postgresql.connections", away), ("disk.volume", away)} <= of(findings, "unknown")
    assert ("postgresql.connections", primary) in of(findings, "pass")


def test_a_frozen_member_is_unknown_within_the_limit(cluster: ClusterUnderTest) -> None:
    frozen = cluster.container("etcd3")
    cluster.docker("pause", frozen)
    try:
        begin = time.monotonic()
        code, findings = run_doctor(cluster)
        assert time.monotonic() - begin < 40
    finally:
        cluster.docker("unpause", frozen)
    assert {("etcd.size", "etcd3"), ("etcd.fsync", "etcd3")} <= of(findings, "unknown")
    assert code in (1, 3)
    assert (code == 3) == (not of(findings, "fail"))


def test_up_applies_the_values_that_tune_writes(cluster: ClusterUnderTest) -> None:
    """Tune for a small machine, so that the values suit any machine that runs this; then restore the file."""
    path = cluster.folder / "cluster.toml"
    before = path.read_text()
    asked = ("tune", "--cores", "2", "--memory", "6", "--clients", "40", "--pairs", "1")
    try:
        cluster.ok(*asked, "--write")
        spec = cluster.handle.spec
        assert spec_rules.broken_rules(spec) == []
        assert spec.endpoints.rw.num_init_children == 42
        assert spec.direct_sessions() == {"direct_rw": 40, "direct_ro": 10}
        assert [line for line in before.split("\n") if line.startswith("#")] == [
            line for line in path.read_text().split("\n") if line.startswith("#")
        ]
        cluster.ok("up")
        cluster.wait_healthy()
        assert "has these values already" in cluster.run(*asked, "--write").stderr
        names = ("shared_buffers", "work_mem", "max_wal_size", "effective_cache_size")
        for i in range(1, len(spec.nodes) + 1):
            with psycopg.connect(cluster.dsn(f"node{i}", "superuser"), autocommit=True) as session:
                assert _setting(session, "max_connections") == str(spec.postgresql.max_connections)
                for name in names:
                    assert _bytes(session, _setting(session, name)) == _bytes(session, spec.postgresql.parameters[name])
        _, findings = run_doctor(cluster)
        assert ("postgresql.pending_restart", cluster.primary()) in of(findings, "pass")
    finally:
        path.write_text(before)
        cluster.ok("up")


def _setting(session: psycopg.Connection[Any], name: str) -> str:
    ((value,),) = session.execute("SELECT current_setting(%s)", [name]).fetchall()
    return str(value)


def _bytes(session: psycopg.Connection[Any], text: object) -> int:
    ((value,),) = session.execute("SELECT pg_size_bytes(%s)", [str(text)]).fetchall()
    return int(value)


def test_a_tablespace_that_standbys_lack_is_found_and_repaired_by_the_advice(cluster: ClusterUnderTest) -> None:
    """Its directory exists on the primary only, so no standby replays it, and none starts again."""
    primary, path = cluster.primary(), "/srv/fast"
    standbys = [node.name for node in cluster.handle.spec.nodes if node.name != primary]
    make = f"install -d -o postgres -g postgres {path}"
    cluster.docker("exec", "--user", "0", cluster.container(primary), *make.split())
    with psycopg.connect(cluster.dsn("direct_rw", "superuser"), autocommit=True) as server:
        server.execute("SET synchronous_commit = local")  # no standby will acknowledge it
        server.execute(f"CREATE TABLESPACE fast LOCATION '{path}'")
        try:
            for standby in standbys:
                finding = wait_for_finding(cluster, "postgresql.start", standby)
                assert f'directory "{path}" does not exist' in finding["message"]
                assert finding["message"] in cluster.run("status").stdout
                _, _, command = finding["advice"].partition("docker ")
                cluster.docker(*command.split())
            cluster.wait_healthy()
        finally:
            server.execute("DROP TABLESPACE fast")
            server.execute("CHECKPOINT")
        ((position,),) = server.execute("SELECT pg_current_wal_lsn()::text").fetchall()
    # A server that starts from an earlier checkpoint replays CREATE TABLESPACE again, and needs the directory.
    for standby in standbys:
        checkpoint(cluster, standby, position)


def checkpoint(cluster: ClusterUnderTest, standby: str, position: object) -> None:
    """Wait until a standby has replayed a position of the WAL, and have it write its own checkpoint."""
    with psycopg.connect(cluster.dsn(standby.replace("pg_", ""), "superuser"), autocommit=True) as server:

        def has_replayed() -> bool:
            return server.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [position]).fetchone() == (True,)

        wait_for(has_replayed, "the standby to replay the checkpoint")
        server.execute("CHECKPOINT")
