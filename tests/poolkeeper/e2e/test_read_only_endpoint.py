"""5101 is read-only before, during and after a role change, never too old, and has a policy for want of a standby."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import keeper_steps, write_attempts
from tests.poolkeeper.e2e.hammer import wait_for
from tests.poolkeeper.e2e.test_operations import Writer, standbys

from poolkeeper.model import proxies
from poolkeeper.system import haproxy_runtime
from poolkeeper_lab.faults.host import Host

pytestmark = pytest.mark.e2e

BOUND = 5  # seconds that a standby may be behind
HERE = "SELECT host(inet_server_addr()), pg_is_in_recovery()"


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    yield
    keeper_steps.heal(cluster)


@pytest.fixture(scope="module")
def lenient(cluster: ClusterUnderTest) -> Iterator[ClusterUnderTest]:
    """Reads go to the primary where no standby is eligible, and a standby soon becomes ineligible."""
    with keeper_steps.edited(cluster, read_fallback='"primary"', max_read_staleness_seconds=str(BOUND)):
        yield cluster


def address(cluster: ClusterUnderTest, node: str) -> str:
    """A node's address in the network."""
    return str(cluster.handle.spec.addresses()[node])


def readers(dsn: str, count: int = 8) -> Counter[str]:
    """Return the nodes that serve this number of new sessions; "" for each that is refused."""
    found: Counter[str] = Counter()
    for _ in range(count):
        try:
            with psycopg.connect(f"{dsn} connect_timeout=10", autocommit=True) as session:
                found[session.execute(HERE).fetchall()[0][0]] += 1
        except psycopg.Error:
            found[""] += 1
    return found


def wait_reader(cluster: ClusterUnderTest, node: str, seconds: float = 30) -> None:
    """Until the node serves new sessions; Pgpool-II's own may all be pooled ones, to another node."""
    dsn, wanted = keeper_steps.inner_dsn(cluster), address(cluster, node)
    wait_for(lambda: readers(dsn, 4)[wanted], f"a reader on {node}", seconds)


def test_no_session_writes_through_a_switchover(cluster: ClusterUnderTest) -> None:
    """To the very node that a session reads from: it is lost, or refused, and so is whatever comes after it."""
    with write_attempts.clients(cluster) as clients:
        by_address = {address(cluster, node): node for node in standbys(cluster)}
        target = by_address[clients[0].first_node]
        cluster.ok("switchover", "--to", target)
        before = sum(client.tried for client in clients)
        wait_for(lambda: sum(client.tried for client in clients) > before + 20, "attempts afterwards")
    assert cluster.primary() == target


def test_no_session_writes_through_a_failover(cluster: ClusterUnderTest) -> None:
    """The sessions are on both standbys, one of which becomes the primary at once."""
    former = cluster.primary()
    with write_attempts.clients(cluster, 8) as clients, keeper_steps.killed(cluster, former):
        assert len({client.first_node for client in clients}) == 2
        keeper_steps.new_primary(cluster, former)
        before = sum(client.tried for client in clients)
        wait_for(lambda: sum(client.tried for client in clients) > before + 20, "attempts afterwards", 40)
    wait_reader(cluster, former)


def test_without_a_standby_reads_are_refused(cluster: ClusterUnderTest) -> None:
    with keeper_steps.killed(cluster, *standbys(cluster)):
        wait_for(lambda: readers(cluster.dsn("ro"), 1) == {"": 1}, "a refusal")
        assert readers(cluster.dsn("ro"), 2) == {"": 2}


def test_without_a_standby_reads_go_to_the_primary(lenient: ClusterUnderTest) -> None:
    """The primary serves reads only while there is no standby; a write is refused there as on a standby."""
    cluster, primary = lenient, address(lenient, lenient.primary())
    assert primary not in readers(cluster.dsn("ro"))
    with keeper_steps.killed(cluster, *standbys(cluster)):
        wait_for(lambda: readers(cluster.dsn("ro"), 1) == {primary: 1}, "a reader on the primary")
        with psycopg.connect(cluster.dsn("ro"), autocommit=True) as session:
            assert session.execute(HERE).fetchall() == [(primary, False)]
            for _ in range(2):
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    session.execute("CREATE TABLE not_here ()")
                session.execute("DISCARD ALL")
    wait_for(lambda: not readers(cluster.dsn("ro"))[primary], "readers on standbys alone")


@pytest.mark.timeout(180)
def test_stale_standby_serves_no_reads(lenient: ClusterUnderTest) -> None:
    """The standby's replay is frozen (Patroni would resume a pause); the other serves, and later both do."""
    cluster, victim = lenient, standbys(lenient)[0]
    host = Host(cluster.handle)
    replay = [p.pid for p in host.processes(victim) if p.argv[0].startswith("postgres:") and "startup" in p.argv[0]]
    assert len(replay) == 1
    with Writer(cluster) as writer:
        wait_reader(cluster, victim)
        host.send(signal.SIGSTOP, replay, victim)
        try:
            wait_for(lambda: not is_reader(cluster, victim), "it to be taken out", 4 * BOUND)
            served = readers(cluster.dsn("ro"))
            assert not served[address(cluster, victim)]
            assert not served[address(cluster, cluster.primary())]
            assert not served[""]
        finally:
            host.send(signal.SIGCONT, replay, victim)
        wait_for(lambda: is_reader(cluster, victim), "it to be let in again", 30)
        wait_reader(cluster, victim)
    assert writer.lost() == set()


def is_reader(cluster: ClusterUnderTest, node: str) -> bool:
    """May HAProxy give it a session of the endpoint?"""
    endpoint = cluster.handle.spec.haproxy
    servers = asyncio.run(haproxy_runtime.servers(str(endpoint.address), endpoint.runtime_port, keeper_steps.SECONDS))
    return any(s.is_usable for s in servers if (s.proxy, s.server) == (proxies.STANDBYS, node))
