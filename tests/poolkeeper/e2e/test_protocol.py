"""Message sequences at each endpoint, and what each version of Pgpool-II answers otherwise than PostgreSQL.

docs/endpoints.md names each difference. A difference that goes away, and a new one, fails these tests.
"""

from __future__ import annotations

import contextlib

import psycopg
import pytest
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import wire_cases
from tests.poolkeeper.e2e.hammer import pool_version, wait_for

from poolkeeper.model import proxies

pytestmark = pytest.mark.e2e

TRIES = 4  # a session's read node is chance
DEPARTURES = 5
# A COMMIT that only the primary refuses ends the session at 9999, if the primary is not the first node of Pgpool-II's
# list and the session reads from another one.
FAILED_COMMITS = {"deferred_key_at_commit", "rollback_after_a_failed_commit"}
# At 9999 with Pgpool-II 4.6 these answers depend on the node that the session reads from.
BY_CHANCE = {"empty_query_when_failed", "semicolon_when_failed"}
SESSIONS = 20
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
IN_COPY = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY left%' AND state <> 'idle'"


@pytest.fixture(scope="module")
def differences(cluster: ClusterUnderTest) -> dict[str, list[str]]:
    """Return what the Pgpool-II that runs answers otherwise than PostgreSQL."""
    return wire_cases.DIFFERENCES[pool_version(cluster)]


@pytest.mark.parametrize("name", wire_cases.CASES)
@pytest.mark.parametrize("endpoint", ["node1", "direct_rw"])
def test_a_session_without_a_pool_is_postgresql(cluster: ClusterUnderTest, endpoint: str, name: str) -> None:
    endpoint = endpoint.replace("node1", cluster.primary().replace("pg_", ""))
    assert wire_cases.run(cluster.dsn(endpoint), name) == wire_cases.POSTGRESQL[name]


@pytest.mark.parametrize("name", wire_cases.CASES)
@pytest.mark.parametrize("endpoint", ["rw", "balanced"])
def test_a_pooled_session_is_postgresql_except_for_known_differences(
    cluster: ClusterUnderTest, differences: dict[str, list[str]], endpoint: str, name: str
) -> None:
    for _ in range(TRIES):
        answers = wire_cases.run(cluster.dsn(endpoint), name)
        if endpoint == "balanced" and name in BY_CHANCE and answers == wire_cases.POSTGRESQL[name]:
            continue
        is_first = cluster.primary() == cluster.handle.spec.nodes[0].name
        if endpoint == "balanced" and name in FAILED_COMMITS and not is_first and answers == [wire_cases.LOST]:
            continue
        assert answers == differences.get(name, wire_cases.POSTGRESQL[name])


@pytest.mark.parametrize("endpoint", ["direct_rw", "rw", "balanced"])
def test_a_client_that_leaves_in_a_copy_frees_its_session(cluster: ClusterUnderTest, endpoint: str) -> None:
    """Its server session ends the COPY, and the endpoint serves the next client."""
    with psycopg.connect(cluster.dsn("direct_rw"), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS left_alone (n int)")
        wires = [wire_cases.Wire(cluster.dsn(endpoint)) for _ in range(DEPARTURES)]
        for wire in wires:
            assert wire.extended("COPY left_alone FROM STDIN") == ["COPY_IN"]
            wire.server.put_copy_data(b"1\n")
            wire.server.flush()
        wait_for(lambda: connection.execute(IN_COPY).fetchone() == (DEPARTURES,), "the sessions to copy")
        for wire in wires:
            wire.server.finish()
        wait_for(lambda: connection.execute(IN_COPY).fetchone() == (0,), "the sessions to leave their COPY")
        assert connection.execute("SELECT count(*) FROM left_alone").fetchone() == (0,)


@pytest.mark.parametrize("endpoint", ["rw", "ro", "direct_rw", "direct_ro"])
def test_a_cancel_request_ends_its_statement(cluster: ClusterUnderTest, endpoint: str) -> None:
    """Also at a pooled endpoint that is full: each of its sessions runs a statement, and each one is cancelled."""
    pooled = cluster.handle.spec.endpoints
    full = {"rw": pooled.rw.num_init_children, "ro": pooled.ro.num_init_children}
    count = full[endpoint] - proxies.SPARE_CHILDREN if endpoint in full else SESSIONS
    with contextlib.ExitStack() as stack:
        wires = [stack.enter_context(wire_cases.Wire(cluster.dsn(endpoint))) for _ in range(count)]
        for wire in wires:
            wire.server.send_query(b"SELECT pg_sleep(60)")
        wait_for(lambda: sleeping(cluster) == count, "the statements to run")
        for wire in wires:
            wire.server.get_cancel().cancel()
        assert [wire.answers() for wire in wires] == [["57014"]] * count
        assert [wire.simple("SELECT 1") for wire in wires] == [[wire_cases.ROWS]] * count


def sleeping(cluster: ClusterUnderTest) -> int:
    """Return the number of statements that sleep, on all nodes."""
    found = 0
    for node in cluster.handle.spec.nodes:
        with psycopg.connect(cluster.dsn(node.name.replace("pg_", ""), "superuser"), autocommit=True) as connection:
            ((count,),) = connection.execute(SLEEPING).fetchall()
            found += count
    return found
