"""For each of the 10 checks of Poolkeeper's own clusters, a fault in a real cluster that it finds.

The keeper repairs within a second what it can repair. Tests of such a fault stop it, which is a fault of its own group;
one test keeps it running and undoes its repairs. Only the keeper with a wrong primary is simulated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e.suite_faults import (
    FAIL,
    PASS,
    UNKNOWN,
    Found,
    by_check,
    container_fault,
    detach,
    expect,
    keeper_stopped,
    left_behind,
    rewriting_proxy,
    run,
    run_until,
    sql,
    standbys_of,
)

from poolkeeper.model.proxies import STANDBYS
from poolkeeper.model.verdict import Suite
from poolkeeper.suite import test
from poolkeeper.system import haproxy_runtime

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def _healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    """Inject each fault into a healthy cluster; each test leaves one, and no schema of the suite in it."""
    cluster.wait_healthy()
    yield
    cluster.wait_healthy()
    assert left_behind(cluster) == []


async def command_haproxy(cluster: ClusterUnderTest, *commands: str) -> None:
    """Send these commands to HAProxy's runtime API."""
    endpoint = cluster.opened.spec.haproxy
    await haproxy_runtime.send(str(endpoint.address), endpoint.runtime_port, commands, 5)


def out_of_the_endpoint(node: str) -> tuple[str, ...]:
    """Return the commands that give this node no new reads and end those that it has."""
    end = haproxy_runtime.end_sessions(STANDBYS, node)
    return haproxy_runtime.state(STANDBYS, node, "drain"), end, end


def test_the_primary_serves_reads(cluster: ClusterUnderTest) -> None:
    """Read-Only Endpoint: the standbys are out and the primary is in, so it executes the write of the check."""
    primary, standbys = cluster.primary(), standbys_of(cluster)
    inject = [command for name in standbys for command in out_of_the_endpoint(name)]
    inject += [haproxy_runtime.state(STANDBYS, primary, "ready"), haproxy_runtime.health(STANDBYS, primary, up=True)]
    repair = [haproxy_runtime.health(STANDBYS, primary, up=False), *out_of_the_endpoint(primary)]
    repair += [haproxy_runtime.state(STANDBYS, name, "ready") for name in standbys]
    found: Found = {}
    with keeper_stopped(cluster):
        try:
            for _ in range(5):  # HAProxy's own check of a leader takes it out again after a few seconds
                asyncio.run(command_haproxy(cluster, *inject))
                found = run(cluster.target(), 3, 14, 18)
                if found["read_only_endpoint.refusal"].outcome is FAIL:
                    break
        finally:
            asyncio.run(command_haproxy(cluster, *repair))
    expect(found, read_only_endpoint=FAIL, haproxy_connectivity__ro=FAIL, haproxy_connectivity__rw=PASS)
    expect(found, direct_endpoints__direct_ro=FAIL, direct_endpoints__direct_rw=PASS)
    assert primary in found["read_only_endpoint.refusal"].summary


def test_one_standby_serves_all_reads(cluster: ClusterUnderTest) -> None:
    """Read-Only Endpoint: no spread, and still no write. No Drift: HAProxy does not have the other standby as one."""
    idle, busy = standbys_of(cluster)
    with keeper_stopped(cluster):
        try:
            asyncio.run(command_haproxy(cluster, *out_of_the_endpoint(idle)))
            found = run(cluster.target(), 14, 15)
        finally:
            asyncio.run(command_haproxy(cluster, haproxy_runtime.state(STANDBYS, idle, "ready")))
    expect(found, read_only_endpoint__refusal=PASS, read_only_endpoint__spread=FAIL, no_drift__roles=FAIL)
    assert busy in found["read_only_endpoint.spread"].summary
    assert f"{idle} is standby by its own report, out by HAProxy" in found["no_drift.roles"].summary


def test_detached_standby_without_a_keeper(cluster: ClusterUnderTest) -> None:
    """No Drift: Pgpool-II reports a standby as down. Keeper: it does not answer, so its repairs are unknown."""
    index = cluster.target().names.index(standbys_of(cluster)[0])
    found: Found = {}
    with keeper_stopped(cluster):
        for _ in range(10):  # Pgpool-II answers before it has detached the node, so the first run may be too early
            detach(cluster, index)
            found = run(cluster.target(), 15, 17)
            if found["no_drift.roles"].outcome is FAIL:
                break
    expect(found, no_drift__roles=FAIL, no_drift__keeper=UNKNOWN, keeper__alive=FAIL, keeper__primary=UNKNOWN)


def test_repairs_of_the_keeper_are_undone(cluster: ClusterUnderTest) -> None:
    """No Drift: a standby is repeatedly taken out of the endpoint, so the keeper always has something to repair."""
    standby = standbys_of(cluster)[0]

    @asynccontextmanager
    async def contested() -> AsyncIterator[None]:
        async def undo() -> None:
            while True:
                await command_haproxy(cluster, haproxy_runtime.state(STANDBYS, standby, "drain"))

        tasks = [asyncio.create_task(undo()) for _ in range(2)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def fight() -> Suite:
        deadline = time.monotonic() + 30
        async with contested():
            while True:  # a repair holds until the keeper polls again, for a second at most
                suite = await test.run_suite(cluster.target(), frozenset({15, 17}), lambda _: None)
                if by_check(suite)["no_drift.keeper"].outcome is FAIL or time.monotonic() > deadline:
                    return suite

    try:
        found = by_check(asyncio.run(fight()))
    finally:
        asyncio.run(command_haproxy(cluster, haproxy_runtime.state(STANDBYS, standby, "ready")))
    expect(found, no_drift__keeper=FAIL, keeper=PASS)
    assert standby in found["no_drift.keeper"].summary


@contextmanager
def overruled(cluster: ClusterUnderTest, setting: str, value: str) -> Iterator[None]:
    """Override a setting of Patroni's on the primary while the block runs."""
    primary = cluster.primary()
    try:
        sql(cluster, primary, f"ALTER SYSTEM SET {setting} = '{value}'")
        sql(cluster, primary, "SELECT pg_reload_conf()")
        yield
    finally:
        sql(cluster, primary, f"ALTER SYSTEM RESET {setting}")
        sql(cluster, primary, "SELECT pg_reload_conf()")


def test_commits_wait_for_no_standby(cluster: ClusterUnderTest) -> None:
    """Quorum Commit: the primary's synchronous_standby_names was emptied by hand."""
    with overruled(cluster, "synchronous_standby_names", ""):
        found = by_check(run_until(cluster, lambda f: f["quorum_commit.in_force"].outcome is FAIL, 16))
    expect(found, quorum_commit__in_force=FAIL, quorum_commit__session=PASS)
    assert "empty" in found["quorum_commit.in_force"].summary


def test_no_standby_is_there_to_acknowledge(cluster: ClusterUnderTest) -> None:
    """Quorum Commit: both standbys are stopped, so a commit waits for a standby that is absent."""
    with container_fault(cluster, "stop", "start", *standbys_of(cluster)):
        found = by_check(run_until(cluster, lambda f: f["quorum_commit.in_force"].outcome is FAIL, 16))
    expect(found, quorum_commit__in_force=FAIL, quorum_commit__session=PASS)
    assert "0 standbys" in found["quorum_commit.in_force"].summary


@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
def test_sessions_do_not_wait(cluster: ClusterUnderTest, value: str) -> None:
    """Quorum Commit: the standbys are there, but a session does not wait until they have its commit on disk."""
    with overruled(cluster, "synchronous_commit", value):
        found = by_check(run_until(cluster, lambda f: f["quorum_commit.session"].outcome is FAIL, 16))
    expect(found, quorum_commit__session=FAIL, quorum_commit__in_force=PASS)
    assert value in found["quorum_commit.session"].summary


def test_keeper_without_its_sources(cluster: ClusterUnderTest) -> None:
    """Keeper: it receives nothing from HAProxy and the balancing Pgpool-II, and reports that."""
    spec = cluster.opened.spec
    with container_fault(cluster, "stop", "start", spec.haproxy.service, spec.endpoints.balanced.service):
        found = by_check(run_until(cluster, lambda f: f["keeper.alive"].outcome is FAIL, 14, 15, 17))
    expect(found, keeper__alive=FAIL, keeper__primary=PASS, read_only_endpoint=UNKNOWN, no_drift=UNKNOWN)


def test_keeper_with_another_primary(cluster: ClusterUnderTest) -> None:
    """Keeper: the answer on its port names another node as primary."""
    target, primary = cluster.target(), cluster.primary()
    other = standbys_of(cluster)[0]
    true, forged = (f'"primary": "{name}"'.encode() for name in (primary, other))
    assert target.own
    host, port = target.own.keeper
    assert host == "127.0.0.1"
    own = target.own

    async def misdirected() -> Suite:
        async with rewriting_proxy(port, true, forged) as elsewhere:
            wrong = replace(target, own=replace(own, keeper=(host, elsewhere)))
            return await test.run_suite(wrong, frozenset({17}), lambda _: None)

    found = by_check(asyncio.run(misdirected()))
    expect(found, keeper__primary=FAIL, keeper__alive=PASS)
    assert other in found["keeper.primary"].summary
