"""`doctor` on a real cluster: it sees each limit that is planted there; and `tune` writes what `up` can apply."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.clusters import ClusterUnderTest, load_json
from tests.poolkeeper.unit import doctor_sample

from poolkeeper.doctor.rules import all_rules
from poolkeeper.model import rules

pytestmark = pytest.mark.e2e

SECONDS = 60.0  # until what was planted shows
# What a busy machine may show at any time, whatever is tested.
OF_THE_MACHINE = {"machine.processors", "machine.memory", "machine.out_of_memory", "etcd.fsync", "disk.volume"}
# What earlier tests of the session may have left in counters, or move for a moment.
OF_THE_PAST = {
    *("postgresql.checkpoints", "postgresql.cache", "postgresql.deadlocks"),
    *("endpoints.pairs", "endpoints.reuse", "replication.lag", "vacuum.dead_rows"),
}


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    """Whatever a test did, the next one finds a healthy cluster."""
    yield
    cluster.ok("up")


def look(cluster: ClusterUnderTest) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the judgements of one `doctor --json`."""
    done = cluster.run("doctor", "--json")
    document = load_json(done.stdout)
    assert document["exit_code"] == done.returncode, done.stderr
    judgements = document["judgements"]
    assert isinstance(judgements, list)
    return done.returncode, judgements


def of(judgements: list[dict[str, Any]], outcome: str) -> set[tuple[str, str]]:
    """(check, subject) of that outcome."""
    return {(j["check"], j["subject"]) for j in judgements if j["outcome"] == outcome}


def wait_for_limit(cluster: ClusterUnderTest, check: str, subject: str) -> dict[str, Any]:
    """Look until that is called a limit; the judgement."""
    deadline = time.monotonic() + SECONDS
    while True:
        code, judgements = look(cluster)
        caught = [j for j in judgements if (j["check"], j["subject"], j["outcome"]) == (check, subject, "fail")]
        if caught:
            assert code == 1
            assert caught[0]["advice"]
            assert caught[0]["evidence"]
            return caught[0]
        assert time.monotonic() < deadline, f"{check} of {subject} is not seen: {sorted(of(judgements, 'fail'))}"


def test_it_can_look_at_everything(cluster: ClusterUnderTest) -> None:
    """Every check of the judges is there, none is unknown, and nothing limits an idle cluster but its machine."""
    expected = {j.check for j in all_rules.judge(doctor_sample.SPEC, doctor_sample.healthy())}
    code, judgements = look(cluster)
    assert {j["check"] for j in judgements} == expected
    assert of(judgements, "unknown") == set()
    limits = {check for check, _ in of(judgements, "fail")}
    assert limits <= OF_THE_MACHINE | OF_THE_PAST
    assert code == (1 if limits else 0)
    shown = cluster.run("doctor", "--all").stdout
    assert f"{len(judgements)} looks" in shown


def test_it_sees_who_waits_for_a_lock(cluster: ClusterUnderTest) -> None:
    dsn = cluster.dsn("rw")
    with psycopg.connect(dsn, autocommit=True) as setup:
        setup.execute("CREATE TABLE IF NOT EXISTS locked (n int)")
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE locked")
        waiter = threading.Thread(target=_count, args=(dsn,))
        waiter.start()
        try:
            caught = wait_for_limit(cluster, "postgresql.lock_waits", cluster.primary())
        finally:
            holder.rollback()
            waiter.join(timeout=60)
    assert caught["figure"] == "1"
    with psycopg.connect(dsn, autocommit=True) as setup:
        setup.execute("DROP TABLE locked")


def _count(dsn: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute("SELECT count(*) FROM locked")


def test_it_sees_a_full_endpoint_and_who_waits_at_its_endpoint(cluster: ClusterUnderTest) -> None:
    """As many sessions as the endpoint lets in; then one more, which waits."""
    dsn, endpoint = cluster.dsn("rw"), cluster.handle.spec.endpoints.rw
    with contextlib.ExitStack() as held:
        for _ in range(endpoint.num_init_children - 2):
            held.enter_context(psycopg.connect(dsn, connect_timeout=20))
        caught = wait_for_limit(cluster, "endpoints.sessions", "rw")
        assert caught["key"] == "endpoints.rw.num_init_children"
        waiter = threading.Thread(target=_connect, args=(dsn,))
        waiter.start()
        wait_for_limit(cluster, "haproxy.queue", "rw")
    waiter.join(timeout=60)


def test_it_sees_a_full_direct_endpoint(cluster: ClusterUnderTest) -> None:
    """As many sessions as its endpoint lets in; who comes then waits in the kernel, and HAProxy's queue is empty."""
    dsn, sessions = cluster.dsn("direct_rw"), cluster.handle.spec.direct_sessions()["direct_rw"]
    with contextlib.ExitStack() as held:
        for _ in range(sessions):
            held.enter_context(psycopg.connect(dsn, connect_timeout=20))
        caught = wait_for_limit(cluster, "haproxy.queue", "direct_rw")
        assert (caught["figure"], caught["key"]) == ("0 free", "endpoints.direct_rw.max_sessions")
        wait_for_limit(cluster, "endpoints.sessions", "direct_rw")
    _, judgements = look(cluster)
    assert {("haproxy.queue", "direct_ro"), ("endpoints.sessions", "direct_ro")} <= of(judgements, "pass")


def _connect(dsn: str) -> None:
    """It may be refused: haproxy.queue_timeout_ms may end before a place is free."""
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(dsn, connect_timeout=120):
        pass


def test_it_sees_more_pairs_than_a_process_keeps(cluster: ClusterUnderTest) -> None:
    database, most = cluster.handle.spec.roles.app_database, cluster.handle.spec.endpoints.rw.max_pool
    pairs = [(role, name) for role in ("app", "superuser", "check") for name in (database, "postgres")]
    assert len(pairs) - 1 > most, "this needs more pairs than max_pool, without that of the checks"
    with contextlib.ExitStack() as held:
        for role, name in pairs:
            session = held.enter_context(psycopg.connect(cluster.dsn("rw", role, name), autocommit=True))
            session.execute("SELECT 1")
        caught = wait_for_limit(cluster, "endpoints.pairs", "rw")
    assert caught["key"] == "endpoints.rw.max_pool"


def test_it_sees_a_table_that_nobody_vacuums(cluster: ClusterUnderTest) -> None:
    with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
        session.execute("CREATE TABLE unvacuumed (n int) WITH (autovacuum_enabled = false)")
    try:
        caught = wait_for_limit(cluster, "vacuum.disabled_tables", cluster.handle.spec.roles.app_database)
        assert "unvacuumed" in caught["message"]
    finally:
        with psycopg.connect(cluster.dsn("rw"), autocommit=True) as session:
            session.execute("DROP TABLE unvacuumed")


def test_it_sees_maintenance_mode(cluster: ClusterUnderTest) -> None:
    cluster.ok("maintenance", "on")
    try:
        wait_for_limit(cluster, "cluster.maintenance", "cluster")
    finally:
        cluster.ok("maintenance", "off")


def test_a_standby_that_is_away_is_a_limit_and_its_own_facts_unknown(cluster: ClusterUnderTest) -> None:
    primary = cluster.primary()
    away = next(node.name for node in cluster.handle.spec.nodes if node.name != primary)
    cluster.docker("stop", cluster.container(away))
    wait_for_limit(cluster, "replication.quorum", "cluster")
    _, judgements = look(cluster)
    assert {("postgresql.connections", away), ("disk.volume", away)} <= of(judgements, "unknown")
    assert ("postgresql.connections", primary) in of(judgements, "pass")


def test_who_is_frozen_is_unknown_within_the_limit(cluster: ClusterUnderTest) -> None:
    frozen = cluster.container("etcd3")
    cluster.docker("pause", frozen)
    try:
        begin = time.monotonic()
        code, judgements = look(cluster)
        assert time.monotonic() - begin < 40
    finally:
        cluster.docker("unpause", frozen)
    assert {("etcd.size", "etcd3"), ("etcd.fsync", "etcd3")} <= of(judgements, "unknown")
    assert code in (1, 3)
    assert (code == 3) == (not of(judgements, "fail"))


def test_what_tune_writes_is_what_up_applies(cluster: ClusterUnderTest) -> None:
    """Half of the memory of a small machine, so that it fits wherever this runs; then back."""
    path = cluster.folder / "cluster.toml"
    before = path.read_text()
    asked = ("tune", "--cores", "2", "--memory", "6", "--clients", "40", "--pairs", "1")
    try:
        cluster.ok(*asked, "--write")
        spec = cluster.handle.spec
        assert rules.broken_rules(spec) == []
        assert spec.endpoints.rw.num_init_children == 42
        assert spec.direct_sessions() == {"direct_rw": 40, "direct_ro": 10}
        assert [line for line in before.split("\n") if line.startswith("#")] == [
            line for line in path.read_text().split("\n") if line.startswith("#")
        ]
        cluster.ok("up")
        cluster.wait_healthy()
        assert "say" in cluster.run(*asked, "--write").stderr
        names = ("shared_buffers", "work_mem", "max_wal_size", "effective_cache_size")
        for i in range(1, len(spec.nodes) + 1):
            with psycopg.connect(cluster.dsn(f"node{i}", "superuser"), autocommit=True) as session:
                assert _setting(session, "max_connections") == str(spec.postgresql.max_connections)
                for name in names:
                    assert _bytes(session, _setting(session, name)) == _bytes(session, spec.postgresql.parameters[name])
        _, judgements = look(cluster)
        assert ("postgresql.pending_restart", cluster.primary()) in of(judgements, "pass")
    finally:
        path.write_text(before)
        cluster.ok("up")


def _setting(session: psycopg.Connection[Any], name: str) -> str:
    ((value,),) = session.execute("SELECT current_setting(%s)", [name]).fetchall()
    return str(value)


def _bytes(session: psycopg.Connection[Any], text: object) -> int:
    ((value,),) = session.execute("SELECT pg_size_bytes(%s)", [str(text)]).fetchall()
    return int(value)
