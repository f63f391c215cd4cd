"""For each of the 20 checks of any cluster, a fault in a real one that it finds; no object of the suite remains.

Most faults are the cluster's own: a node frozen or stopped, replay frozen, a backend detached, an endpoint stopped. A
healthy server cannot report a false version or, as a standby, take writes. There the target is misdirected instead: the
port that the suite gets leads to another server, as a mistaken proxy or port mapping would.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e.suite_faults import (
    FAIL,
    PASS,
    SHORT,
    UNKNOWN,
    Found,
    by_check,
    container_fault,
    detach,
    expect,
    expect_each,
    keeper_stopped,
    left_behind,
    process_frozen,
    rewriting_proxy,
    run,
    run_until,
    sql,
    standbys_of,
)

from poolkeeper.core import errors
from poolkeeper.model.verdict import OWN_GROUPS, Suite
from poolkeeper.suite import test
from poolkeeper.suite.collect import workspace
from poolkeeper.system import postgres

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    """Inject each fault into a healthy cluster; each test leaves one, and no schema of the suite in it."""
    cluster.wait_healthy()
    yield
    cluster.wait_healthy()
    assert left_behind(cluster) == []


def test_a_healthy_cluster_passes(cluster: ClusterUnderTest) -> None:
    """All checks pass, in time and each with its evidence, and the suite contains no password."""
    suite = asyncio.run(test.run_suite(cluster.target(), None, lambda _: None))
    assert [f"{v.check}: {v.summary}" for v in suite.verdicts if v.outcome is not PASS] == []
    assert len([verdict for verdict in suite.verdicts if verdict.group not in OWN_GROUPS]) == 20
    assert len(suite.verdicts) == 30
    assert suite.seconds <= 12
    assert all(verdict.evidence for verdict in suite.verdicts)
    assert {"PostgreSQL", "Pgpool-II", "HAProxy"} <= suite.versions.keys()
    assert [role for _, _, role in suite.topology].count("primary") == 1
    secrets = [cluster.secret(name) for name in ("superuser", "app", "check", "stats", "pcp")]
    assert not [secret for secret in secrets if secret in repr(suite) + repr(cluster.target())]


def test_an_unreachable_cluster_is_unknown(cluster: ClusterUnderTest) -> None:
    """With every port closed, no check passes, and none reports a failure of the cluster."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        port, target = closed.getsockname()[1], cluster.target()
        nodes = {name: replace(dsn, port=port) for name, dsn in target.nodes.items()}
        endpoints = {name: replace(getattr(target, name), port=port) for name in ("balanced", "rw", "ro")}
        assert target.own
        direct = {key: replace(dsn, port=port) for key, dsn in target.own.direct.items()}
        unused = dict.fromkeys(target.names, "127.255.255.254")
        own = replace(target.own, patroni=unused, keeper=("127.0.0.1", port), direct=direct)
        dark = replace(target, nodes=nodes, monitors=nodes, stats_url=f"http://127.0.0.1:{port}", own=own, **endpoints)
        found = run(dark)
    assert [v.outcome for v in found.values()] == [UNKNOWN] * 30


def test_each_node_frozen(cluster: ClusterUnderTest) -> None:
    """Node Status: each node alone fails; all together are unknown, since the fault may be on the side of the suite."""
    target = replace(cluster.target(), timeout=SHORT)
    for name in target.names:
        with container_fault(cluster, "pause", "unpause", name):
            found = run(target, 1)
        expect_each(found, FAIL, [f"node_status.{name}"])
        expect_each(found, PASS, [f"node_status.{other}" for other in target.names if other != name])
    with container_fault(cluster, "pause", "unpause", *target.names):
        expect(run(target, 1), node_status=UNKNOWN)


def test_frozen_replay(cluster: ClusterUnderTest) -> None:
    """Streaming and DDL Replication on both standbys and Concurrent Writes fail: no standby replays a change."""
    with process_frozen(cluster, "startup", standbys_of(cluster)):
        found = run(replace(cluster.target(), timeout=SHORT), 4, 5, 6, 9, 11)
    expect(found, streaming_replication=FAIL, ddl_replication=FAIL, concurrent_writes=FAIL)
    expect(found, write_isolation=PASS, wal_streaming=PASS)


def test_frozen_replay_on_one(cluster: ClusterUnderTest) -> None:
    """The standby that replays passes, the other one fails: each check reads the node that it names."""
    frozen, running = standbys_of(cluster)
    with process_frozen(cluster, "startup", [frozen]):
        found = run(replace(cluster.target(), timeout=SHORT), 4, 6)
    expect_each(found, FAIL, [f"streaming_replication.{frozen}", f"ddl_replication.{frozen}"])
    expect_each(found, PASS, [f"streaming_replication.{running}", f"ddl_replication.{running}"])


def test_stopped_standby(cluster: ClusterUnderTest) -> None:
    """Pgpool-II's backends, WAL Streaming and Replication Slots fail; the version of the standby is unknown."""
    stopped = standbys_of(cluster)[0]
    with container_fault(cluster, "stop", "start", stopped):
        found = by_check(run_until(cluster, lambda f: f["pgpool_connection.backends"].outcome is FAIL, 1, 2, 8, 9, 10))
    expect(found, pgpool_connection__backends=FAIL, wal_streaming=FAIL, replication_slots=FAIL)
    expect(found, version_consistency=UNKNOWN)
    expect_each(found, FAIL, [f"node_status.{stopped}"])


def test_detached_standbys(cluster: ClusterUnderTest) -> None:
    """Pgpool-II reports backends down, and Load Balancing fails: all reads go to the primary."""
    indexes = [cluster.target().names.index(name) for name in standbys_of(cluster)]
    found: Found = {}
    with keeper_stopped(cluster):
        for _ in range(10):  # Pgpool-II answers before it has detached the node, so the first run may be too early
            for index in indexes:
                detach(cluster, index)
            found = run(cluster.target(), 2, 7)
            if {found[check].outcome for check in ("pgpool_connection.backends", "load_balancing")} == {FAIL}:
                break
    expect(found, pgpool_connection__query=PASS, pgpool_connection__backends=FAIL, load_balancing=FAIL)


def test_stopped_endpoints(cluster: ClusterUnderTest) -> None:
    """With HAProxy and the balancing Pgpool-II stopped, their checks fail, the nodes' pass, the rest are unknown."""
    spec = cluster.opened.spec
    with container_fault(cluster, "stop", "start", spec.haproxy.service, spec.endpoints.balanced.service):
        found = run(cluster.target())
    expect(found, pgpool_connection__query=FAIL, haproxy_connectivity=FAIL, haproxy_stats=FAIL)
    expect(found, node_status=PASS, write_isolation=PASS, version_consistency=PASS)
    expect(found, wal_streaming=PASS, replication_slots=PASS)
    expect(found, pgpool_connection__backends=UNKNOWN, streaming_replication=UNKNOWN, ddl_replication=UNKNOWN)
    expect(found, load_balancing=UNKNOWN, concurrent_writes=UNKNOWN, pgpool_version=UNKNOWN)


def test_stopped_endpoint(cluster: ClusterUnderTest) -> None:
    """Without the read-write endpoint's Pgpool-II, it fails, the dashboard shows that, and the other one passes."""
    with container_fault(cluster, "stop", "start", cluster.opened.spec.endpoints.rw.service):
        found = by_check(run_until(cluster, lambda f: f["haproxy_stats"].outcome is FAIL, 3, 13))
    expect(found, haproxy_connectivity__rw=FAIL, haproxy_connectivity__ro=PASS, haproxy_stats=FAIL)
    assert "endpoint_rw BACKEND" in found["haproxy_stats"].summary


def test_swapped_endpoints(cluster: ClusterUnderTest) -> None:
    """HAProxy Connectivity: the read-write endpoint leads to a standby, and the read-only endpoint to the primary."""
    target = cluster.target()
    expect(run(replace(target, rw=target.ro, ro=target.rw), 3), haproxy_connectivity=FAIL)


def test_standby_that_accepts_writes(cluster: ClusterUnderTest) -> None:
    """Write Isolation: the standbys' ports lead to the primary, which accepts the write; the suite rolls it back."""
    target = cluster.target()
    misdirected = dict.fromkeys(target.names, target.nodes[cluster.primary()])
    found = run(replace(target, nodes=misdirected), 4, 5)
    expect(found, write_isolation=FAIL)
    assert all("accepted" in v.summary for v in found.values() if v.group == 5)


def test_balanced_port_without_pgpool(cluster: ClusterUnderTest) -> None:
    """PgPool-II Version and its backends: PostgreSQL itself answers on the port of Pgpool-II."""
    target = cluster.target()
    found = run(replace(target, balanced=target.nodes[cluster.primary()]), 2, 7, 12)
    expect(found, pgpool_version=FAIL, pgpool_connection__backends=FAIL, load_balancing=UNKNOWN)


def test_another_version(cluster: ClusterUnderTest) -> None:
    """Version Consistency: one node reports another version."""
    target, name = cluster.target(), standbys_of(cluster)[0]
    ((version,),) = sql(cluster, name, "SHOW server_version")
    reported = str(version).split()[0]
    other = reported[:-1] + ("1" if reported[-1] != "1" else "2")

    async def forged() -> Suite:
        async with rewriting_proxy(target.monitors[name].port, reported.encode(), other.encode()) as port:
            monitors = {**target.monitors, name: replace(target.monitors[name], port=port)}
            return await test.run_suite(replace(target, monitors=monitors), frozenset({1, 8}), lambda _: None)

    found = by_check(asyncio.run(forged()))
    expect(found, version_consistency=FAIL, node_status=PASS)
    assert other in found["version_consistency"].summary


def test_hanging_commits_leave_nothing(cluster: ClusterUnderTest) -> None:
    """No standby acknowledges, so the schema's commit hangs: checks that need it are unknown, and it is removed."""
    said: list[str] = []
    with process_frozen(cluster, "walreceiver", standbys_of(cluster)):
        found = run(replace(cluster.target(), timeout=SHORT), 4, 6, 11, say=said.append)
        assert left_behind(cluster) == []
    expect(found, streaming_replication=UNKNOWN, ddl_replication=UNKNOWN, concurrent_writes=UNKNOWN)
    assert not any("could be reached" in line for line in said)


def test_interrupted_run_leaves_nothing(cluster: ClusterUnderTest) -> None:
    """Ctrl-C (a cancelled task) while the suite works in its schema: the schema is gone when the run has ended."""

    async def interrupted() -> list[str]:
        working = asyncio.Event()
        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            if "schema" in line:
                working.set()

        task = asyncio.create_task(test.run_suite(cluster.target(), None, say))
        await asyncio.wait_for(working.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return said

    assert any("poolkeeper_check_" in line for line in asyncio.run(interrupted()))
    assert left_behind(cluster) == []


def test_leftovers_of_dead_runs_are_removed(cluster: ClusterUnderTest) -> None:
    """A run removes the schema of a run that was killed two hours ago, and keeps a young one."""
    target, now = cluster.target(), datetime.now(UTC)
    old, young = workspace.Workspace().schema, workspace.Workspace().schema
    worker = target.nodes[cluster.primary()]
    for schema, made in ((old, now - timedelta(hours=2)), (young, now - timedelta(minutes=5))):
        asyncio.run(postgres.query(worker, workspace.creation(schema, made), 10))
    try:
        run(target, 4)
        assert left_behind(cluster) == [young]
    finally:
        with contextlib.suppress(errors.ServerRefused):
            asyncio.run(postgres.query(worker, f"DROP SCHEMA {young} CASCADE", 10))
