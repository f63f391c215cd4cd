"""5200 and 5201 bypass Pgpool-II: prepared statements work there, and roles are followed as at 5100 and 5101."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import functools
import io
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus
from tests.clusters import ClusterUnderTest
from tests.poolkeeper.e2e import keeper_steps, write_attempts
from tests.poolkeeper.e2e.hammer import wait_for
from tests.poolkeeper.e2e.suite_faults import FAIL, PASS, expect, run
from tests.poolkeeper.e2e.test_operations import standbys
from tests.poolkeeper.e2e.test_read_only_endpoint import BOUND, HERE, address, readers

from poolkeeper.render import client_files
from poolkeeper.system import compose, haproxy_runtime

pytestmark = pytest.mark.e2e

WRITES, READS = "direct_rw", "direct_ro"
SSL_REQUEST = struct.pack("!II", 8, 80877103)  # the first word of a client: may it be TLS?
AT_ONCE = 1.0  # seconds: HAProxy's own checks alone need five
Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def leave_it_healthy(cluster: ClusterUnderTest) -> Iterator[None]:
    yield
    keeper_steps.heal(cluster)


def connect(cluster: ClusterUnderTest, endpoint: str, timeout: int = 20) -> Connection:
    """Open a session of an endpoint, with autocommit."""
    return psycopg.connect(f"{cluster.dsn(endpoint)} connect_timeout={timeout}", autocommit=True)


def haproxy_command(cluster: ClusterUnderTest, command: str) -> str:
    """Run a command of HAProxy's runtime API; return its answer."""
    haproxy = cluster.handle.spec.haproxy
    (answer,) = asyncio.run(
        haproxy_runtime.send(str(haproxy.address), haproxy.runtime_port, (command,), keeper_steps.SECONDS)
    )
    return answer


def limit(cluster: ClusterUnderTest, endpoint: str) -> int:
    """Return how many sessions HAProxy allows an endpoint at once."""
    rows = csv.DictReader(io.StringIO(haproxy_command(cluster, f"show stat {endpoint} 1 -1").removeprefix("# ")))
    return int(next(rows)["slim"])


def node_of(session: Connection) -> str:
    """Return the address of the server that answers."""
    return str(session.execute("SELECT host(inet_server_addr())").fetchall()[0][0])


class Ending(threading.Thread):
    """Wait, without sending, until a session's connection is closed; `at` is when (monotonic seconds)."""

    def __init__(self, session: Connection) -> None:
        super().__init__(daemon=True)
        self._descriptor = session.fileno()
        self.at: float | None = None
        self.start()

    def run(self) -> None:
        select.select([self._descriptor], [], [], 120)
        self.at = time.monotonic()


@contextlib.contextmanager
def declared(cluster: ClusterUnderTest, *edits: tuple[str, str]) -> Iterator[None]:
    """Edit cluster.toml (pattern, replacement) and run `up`; restore both at the end."""
    file = cluster.folder / "cluster.toml"
    before = text = file.read_text()
    for pattern, replacement in edits:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE | re.DOTALL)
        assert count == 1, pattern
    file.write_text(text)
    try:
        cluster.ok("up")
        yield
    finally:
        file.write_text(before)
        cluster.ok("up")


def test_prepared_statements(cluster: ClusterUnderTest) -> None:
    """The server keeps them, one name each, across transactions; a COPY that crashes a Pgpool-II child works."""
    with connect(cluster, WRITES) as session:
        session.prepare_threshold = 0
        session.execute("CREATE TEMPORARY TABLE prepared (n int)")
        for n in range(100):
            session.execute("INSERT INTO prepared VALUES (%s)", [n], binary=bool(n % 2))
        assert session.execute("SELECT count(*), sum(n) FROM prepared").fetchall() == [(100, 4950)]
        with session.transaction(), session.pipeline():
            cursors = [session.execute("SELECT %s::int + 1", [n]) for n in range(20)]
        assert [cursor.fetchall() for cursor in cursors] == [[(n + 1,)] for n in range(20)]
        names = session.execute("SELECT statement, name FROM pg_prepared_statements").fetchall()
        assert sum("INSERT INTO prepared" in statement for statement, _ in names) in (1, 2)  # text and binary
        assert copied_rows(session, "prepared") == 100
        assert session.execute("SELECT count(*) FROM prepared").fetchall() == [(100,)]
    with connect(cluster, READS) as session:
        session.prepare_threshold = 0
        for n in range(20):
            assert session.execute("SELECT %s::int, pg_is_in_recovery()", [n]).fetchall() == [(n, True)]


def copied_rows(session: Connection, table: str) -> int:
    """Return the row count of a `COPY … TO STDOUT` in the extended protocol."""
    server, rows = session.pgconn, 0
    assert server.exec_params(f"COPY {table} TO STDOUT".encode(), None).status == ExecStatus.COPY_OUT
    while server.get_copy_data(0)[0] > 0:
        rows += 1
    while (result := server.get_result()) is not None:
        assert result.status == ExecStatus.COMMAND_OK
    return rows


def test_the_direct_endpoints_need_no_pgpool(cluster: ClusterUnderTest) -> None:
    """The endpoints work with every Pgpool-II stopped, and each session has its own server process."""
    spec = cluster.handle.spec
    services = [cluster.container(service) for service in spec.endpoint_by_service()]
    cluster.docker("stop", "--time", "5", *services)
    try:
        with connect(cluster, WRITES) as one, connect(cluster, WRITES) as two, connect(cluster, READS) as three:
            assert one.info.backend_pid != two.info.backend_pid
            assert {node_of(one), node_of(two)} == {address(cluster, cluster.primary())}
            assert node_of(three) in {address(cluster, name) for name in standbys(cluster)}
    finally:
        cluster.docker("start", *services)
        cluster.wait_healthy()


def test_reads_are_spread_and_never_the_primary_s(cluster: ClusterUnderTest) -> None:
    """HAProxy sends each session to the standby with the fewest, Pgpool-II's included; each refuses every write."""
    wanted = {address(cluster, name) for name in standbys(cluster)}
    with contextlib.ExitStack() as stack:
        found: Counter[str] = Counter()
        while set(found) < wanted and found.total() < 40:
            session = stack.enter_context(connect(cluster, READS))
            found[node_of(session)] += 1
            for words in ("SELECT 1", "SET default_transaction_read_only = off", "DISCARD ALL"):
                session.execute(words.encode())
                with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    session.execute("CREATE TABLE refused ()")
        assert set(found) == wanted


def write_attempt_clients(cluster: ClusterUnderTest, count: int) -> list[write_attempts.WriteAttempts]:
    """Start clients of 5201 that try to write, each with a session."""
    clients = [write_attempts.WriteAttempts(cluster.dsn(READS)) for _ in range(count)]
    for client in clients:
        client.start()
    wait_for(lambda: all(client.tried for client in clients), "a session each")
    return clients


def test_no_session_of_the_read_only_endpoint_writes_through_a_switchover(cluster: ClusterUnderTest) -> None:
    """The primary's role moves to the very node that sessions read from."""
    with connect(cluster, "rw") as session:
        session.execute("DROP TABLE IF EXISTS write_attempts")
        session.execute("CREATE TABLE write_attempts (n int)")
    clients = write_attempt_clients(cluster, 6)
    try:
        by_address = {address(cluster, name): name for name in standbys(cluster)}
        target = by_address[clients[0].first_node]
        cluster.ok("switchover", "--to", target)
        before = sum(client.tried for client in clients)
        wait_for(lambda: sum(client.tried for client in clients) > before + 20, "attempts afterwards")
    finally:
        for client in clients:
            client.stop()
    assert [word for client in clients for word in client.wrong] == []
    with connect(cluster, "rw") as session:
        assert session.execute("SELECT n FROM write_attempts").fetchall() == []
        session.execute("DROP TABLE write_attempts")


def test_a_switchover_ends_every_session_of_the_former_primary(cluster: ClusterUnderTest) -> None:
    """Idle sessions end too. A new session meanwhile waits and reaches the next primary; none is refused."""
    former = address(cluster, cluster.primary())
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(connect(cluster, WRITES)) for _ in range(5)]
        assert {node_of(session) for session in kept} == {former}
        endings = [Ending(session) for session in kept]
        order = cluster.spawn("switchover")
        nodes = [*ask(cluster)]
        while order.poll() is None:
            nodes += ask(cluster)
        assert order.wait() == 0
        nodes += ask(cluster)
        for ending in endings:
            ending.join(10)
    now = address(cluster, cluster.primary())
    assert {node for node, _ in nodes} == {former, now}
    first = next(at for node, at in nodes if node == now)
    assert all(ending.at is not None and ending.at < first + AT_ONCE for ending in endings)
    moved = [node for node, _ in nodes]
    assert moved == sorted(moved, key=lambda node: node == now), "a session reached the former primary again"


def ask(cluster: ClusterUnderTest) -> list[tuple[str, float]]:
    """Return the node that answers a new session, and when; nothing if the session ends with its primary."""
    with connect(cluster, WRITES) as session:
        try:
            return [(node_of(session), time.monotonic())]
        except psycopg.OperationalError:
            return []


@pytest.mark.timeout(180)
def test_sessions_of_a_frozen_primary_end_with_its_role(cluster: ClusterUnderTest) -> None:
    """A paused node cannot end them, so HAProxy does, at once when the next primary accepts writes."""
    former = cluster.primary()
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(connect(cluster, WRITES)) for _ in range(3)]
        endings = [Ending(session) for session in kept]
        cluster.docker("pause", cluster.container(former))
        try:
            keeper_steps.new_primary(cluster, former, 60)
            wait_for(lambda: writes_elsewhere(cluster, former), "a primary that accepts writes", 30)
            accepted = time.monotonic()
            for ending in endings:
                ending.join(10)
            assert all(ending.at is not None and ending.at < accepted + AT_ONCE for ending in endings)
            with connect(cluster, WRITES) as session:
                assert node_of(session) != address(cluster, former)
        finally:
            cluster.docker("unpause", cluster.container(former))
            cluster.wait_healthy()


def writes_elsewhere(cluster: ClusterUnderTest, former: str) -> bool:
    """Return whether a node other than the former primary reports that it accepts writes."""
    others = (f"node{i}" for i, node in enumerate(cluster.handle.spec.nodes, start=1) if node.name != former)
    for endpoint in others:
        with contextlib.suppress(psycopg.Error), connect(cluster, endpoint, 2) as session:
            if session.execute("SELECT pg_is_in_recovery()").fetchall() == [(False,)]:
                return True
    return False


def test_a_new_session_waits_for_the_next_primary(cluster: ClusterUnderTest) -> None:
    """A session that is opened just after the primary's death waits and is not refused."""
    former = cluster.primary()
    with keeper_steps.killed(cluster, former), connect(cluster, WRITES) as session:
        assert session.execute(HERE).fetchall()[0][1] is False
        assert node_of(session) != address(cluster, former)


def test_without_a_standby_reads_are_refused(cluster: ClusterUnderTest) -> None:
    """5201 has the rule of 5101: never the primary, unless that is declared."""
    with keeper_steps.killed(cluster, *standbys(cluster)):
        wait_for(lambda: readers(cluster.dsn(READS), 1) == {"": 1}, "a refusal")
        assert readers(cluster.dsn(READS), 2) == {"": 2}


def test_without_a_standby_reads_go_to_the_primary_where_that_is_declared(cluster: ClusterUnderTest) -> None:
    """These sessions end when a standby is back; a write is refused there too."""
    primary = address(cluster, cluster.primary())
    policy = {"read_fallback": '"primary"', "max_read_staleness_seconds": str(BOUND)}
    with keeper_steps.edited(cluster, **policy):
        with keeper_steps.killed(cluster, *standbys(cluster)):
            wait_for(lambda: readers(cluster.dsn(READS), 1) == {primary: 1}, "a reader on the primary")
            session = connect(cluster, READS)
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                session.execute("CREATE TABLE not_here ()")
            ending = Ending(session)
        ending.join(60)
        assert ending.at is not None
        session.close()
        wait_for(lambda: not readers(cluster.dsn(READS))[primary], "readers on standbys alone")


def is_answered(cluster: ClusterUnderTest, endpoint: str, seconds: float) -> bool:
    """Return whether the server answers a new client. A plain socket: psycopg keeps that of a failed attempt open."""
    spec = cluster.handle.spec
    with socket.create_connection(
        (client_files.client_host(spec), client_files.endpoints(spec)[endpoint]), seconds
    ) as client:
        client.sendall(SSL_REQUEST)
        return bool(select.select([client], [], [], seconds)[0])


def test_a_full_endpoint_lets_the_next_client_wait(cluster: ClusterUnderTest) -> None:
    """The client is served when a session ends; other endpoints are not affected."""
    with declared(cluster, (r"(\[endpoints\.direct_rw\]\nport = \d+\nmax_sessions = )0", r"\g<1>2")):
        wait_for(lambda: limit(cluster, WRITES) == 2, "HAProxy's new worker")
        one, two = connect(cluster, WRITES), connect(cluster, WRITES)
        try:
            assert is_answered(cluster, "rw", 3)
            assert not is_answered(cluster, WRITES, 3)
            connect(cluster, "rw").close()
            one.close()
            connect(cluster, WRITES, 3).close()
        finally:
            one.close()
            two.close()


@pytest.mark.timeout(300)
def test_direct_endpoints_are_turned_off_and_on_again(cluster: ClusterUnderTest) -> None:
    """Without a port the endpoint does not exist; a file without these tables gets both. Only HAProxy is re-created."""
    spec, haproxy = cluster.handle.spec, cluster.container(cluster.handle.spec.haproxy.service)
    ports = {key: endpoint.port for key, endpoint in spec.direct_endpoints().items()}
    assert set(ports) == {WRITES, READS}
    before = {name: found.identity for name, found in compose.containers(spec.name).items()}
    with declared(cluster, *((rf"^port = {port}$", "port = 0") for port in ports.values())):
        assert cluster.handle.spec.direct_endpoints() == {}
        published = cluster.docker("port", haproxy)
        assert not any(f":{port}" in published for port in ports.values())
        assert cluster.run("test", "--only", "18").returncode != 0
        with declared(cluster, (r"^\[endpoints\.direct_rw\].*?(?=^# ── HAProxy)", "")):
            assert {key: endpoint.port for key, endpoint in cluster.handle.spec.direct_endpoints().items()} == ports
            connect(cluster, WRITES).close()
            connect(cluster, READS).close()
    after = {name: found.identity for name, found in compose.containers(spec.name).items()}
    assert {name for name in after if after[name] != before[name]} == {spec.haproxy.service}


def test_an_added_user_can_log_in(cluster: ClusterUnderTest) -> None:
    """PostgreSQL itself checks the password: it accepts the right one only."""
    name, password = "e2e_direct", "a Password-3"
    cluster.ok("user", "add", name, "--database", name, "--password-stdin", stdin=password)
    try:
        for endpoint in (WRITES, READS):
            where = re.sub(r" user=.*", "", cluster.dsn(endpoint))
            login = {"user": name, "dbname": name, "connect_timeout": 5}
            wait_for(functools.partial(can_log_in, where, login, password), f"a login at {endpoint}")
            assert not can_log_in(where, login, "wrong")
    finally:
        cluster.ok("user", "drop", name, "--database", name, "--yes")


def can_log_in(where: str, login: dict[str, Any], password: str) -> bool:
    """Return whether a login succeeds."""
    try:
        psycopg.connect(where, password=password, **login).close()
    except psycopg.OperationalError:
        return False
    return True


def test_the_suite_finds_a_closed_endpoint(cluster: ClusterUnderTest) -> None:
    """One endpoint is disabled while the primary answers: the suite fails it and passes the other one."""
    expect(run(cluster.target(), 18), direct_endpoints=PASS)
    haproxy_command(cluster, f"disable frontend {WRITES}")
    try:
        found = run(cluster.target(), 18)
    finally:
        haproxy_command(cluster, f"enable frontend {WRITES}")
    expect(found, direct_endpoints__direct_rw=FAIL, direct_endpoints__direct_ro=PASS)
