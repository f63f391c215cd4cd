"""The inner port of the read-only endpoint: its sessions are read-only, and where reads go without a standby."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.integration.played_nodes import HELLO, STANDBY_PORT, Endpoint, prepare, start_up, with_endpoint
from tests.poolkeeper.unit import deployments, snapshots

from poolkeeper.system import compose, process
from poolkeeper.system import haproxy_runtime as runtime

pytestmark = pytest.mark.integration

BEGIN_MS = 1000  # a session must begin within this time
TLS, GSS = 80877103, 80877104
SETTING = ("default_transaction_read_only", "on")


@pytest.fixture(scope="module")
def refusing(benches: Benches) -> tuple[Bench, Path, str]:
    """The default policy."""
    spec = deployments.edit(snapshots.SPEC, "haproxy.check_interval_ms", 300)
    return prepare(benches, deployments.edit(spec, "haproxy.connect_timeout_ms", BEGIN_MS))


@pytest.fixture(scope="module")
def falling_back(benches: Benches) -> tuple[Bench, Path, str]:
    """Without a standby, reads go to the primary."""
    spec = deployments.edit(snapshots.SPEC, "haproxy.check_interval_ms", 300)
    return prepare(benches, deployments.edit(spec, "keeper.read_fallback", "primary"))


def test_every_session_is_read_only_from_its_first_byte(refusing: tuple[Bench, Path, str]) -> None:
    """The start-up packet may be split, followed by data, preceded by a request for encryption, or of full length."""
    words = ("user", "app", "options", "-c default_transaction_read_only=off")
    packet, wanted = start_up(*words), start_up(*words, *SETTING)
    long, long_wanted = start_up("user", "a" * 9900), start_up("user", "a" * 9900, *SETTING)
    no_tls = struct.pack(">II", 8, GSS), struct.pack(">II", 8, TLS)

    async def scenario(endpoint: Endpoint) -> None:
        node = endpoint.nodes["pg_node2"]
        node.good.add("/replica")
        await endpoint.wait_for("standbys", pg_node2="up")
        for chunks, received, said in (
            ((packet,), wanted, node.name),
            ((packet, b"Q more"), wanted + b"Q more", node.name * 2),
            ((packet + b"at once",), wanted + b"at once", node.name),
            ((*no_tls, packet), wanted, f"NN{node.name}"),
            ((long,), long_wanted, node.name),
        ):
            node.received = b""
            assert (await endpoint.ask(STANDBY_PORT, *chunks)).startswith(said)
            assert node.received == received
        node.received = b""
        assert await in_pieces(endpoint, packet) == node.name
        assert node.received == wanted

    with_endpoint(refusing, scenario)


async def in_pieces(endpoint: Endpoint, packet: bytes) -> str:
    """Return the answer to a packet that is sent in four pieces."""
    reader, writer = await asyncio.open_connection(endpoint.address, STANDBY_PORT)
    for piece in (packet[:3], packet[3:6], packet[6:11], packet[11:]):
        writer.write(piece)
        await asyncio.sleep(0.05)
    said = (await asyncio.wait_for(reader.read(100), 5)).decode()
    writer.close()
    return said


def test_no_session_passes_unread(refusing: tuple[Bench, Path, str]) -> None:
    """Another protocol, another version, a wrong length or silence never reaches a server."""

    async def scenario(endpoint: Endpoint) -> None:
        node = endpoint.nodes["pg_node2"]
        node.good.add("/replica")
        await endpoint.wait_for("standbys", pg_node2="up")
        lying = struct.pack(">I", 1 << 30) + HELLO[4:]
        for begin in (b"GET / HTTP/1.0\r\n\r\n", start_up("user", "app", version=2 << 16), lying, HELLO[:-1] + b"x"):
            assert await endpoint.ask(STANDBY_PORT, begin) == ""
        for begin in (b"", HELLO[:6], HELLO[:-2]):
            began = time.monotonic()
            assert await endpoint.ask(STANDBY_PORT, begin) == ""
            assert BEGIN_MS / 1000 - 0.1 <= time.monotonic() - began < BEGIN_MS / 1000 + 1
        assert node.received == b""
        (sessions,) = await endpoint.send("show sess")
        assert "fe=standbys" not in sessions

    with_endpoint(refusing, scenario)


def test_without_a_standby_sessions_are_refused(refusing: tuple[Bench, Path, str]) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good |= {"/primary", "/leader"}
        await endpoint.wait_for("primary", pg_node1="up")
        assert await endpoint.ask(STANDBY_PORT) == ""
        assert endpoint.nodes["pg_node1"].received == b""

    with_endpoint(refusing, scenario)


def test_without_a_standby_reads_go_to_the_primary(falling_back: tuple[Bench, Path, str]) -> None:
    """The primary serves reads only then. A returning standby ends those sessions, and so does a cut of the primary."""

    async def scenario(endpoint: Endpoint) -> None:
        assert await endpoint.ask(STANDBY_PORT) == "", "no server is up before its first check"
        primary, standby = endpoint.nodes["pg_node1"], endpoint.nodes["pg_node2"]
        primary.good |= {"/primary", "/leader"}
        await endpoint.wait_for(
            "standbys", **{"pg_node1.fallback": "up", "pg_node1": "down", "pg_node2.fallback": "down"}
        )
        assert await endpoint.ask(STANDBY_PORT) == "pg_node1"
        assert primary.received == start_up("user", "app", *SETTING)
        async with session(endpoint) as (reader, said):
            assert said == "pg_node1"
            standby.good.add("/replica")
            assert await asyncio.wait_for(reader.read(100), 5) == b""
        assert await endpoint.ask(STANDBY_PORT) == "pg_node2"
        await endpoint.send(runtime.state("standbys", "pg_node2", "drain"))
        async with session(endpoint) as (reader, said):
            assert said == "pg_node1"
            primary.good.clear()
            await endpoint.send(runtime.health("primary", "pg_node1", up=False))
            assert await asyncio.wait_for(reader.read(100), 0.5) == b""
        assert await endpoint.ask(STANDBY_PORT) == ""

    with_endpoint(falling_back, scenario)


@contextlib.asynccontextmanager
async def session(endpoint: Endpoint) -> AsyncIterator[tuple[asyncio.StreamReader, str]]:
    """Open a session of the read-only port; yield its reader and the node that answered."""
    reader, writer = await asyncio.open_connection(endpoint.address, STANDBY_PORT)
    writer.write(HELLO)
    yield reader, (await asyncio.wait_for(reader.read(100), 5)).decode()
    writer.close()


@pytest.fixture(scope="module")
def postgres(falling_back: tuple[Bench, Path, str]) -> Iterator[str]:
    """The address of a PostgreSQL that is a primary and trusts every client; it replaces the first node."""
    bench = falling_back[0]
    image, name = bench.images["postgres"], f"{bench.label}-postgres"
    script = (
        "PATH=$(echo /usr/lib/postgresql/*/bin):$PATH && initdb -A trust -D /tmp/data > /dev/null && "
        "echo 'host all all all trust' >> /tmp/data/pg_hba.conf && exec postgres -D /tmp/data -h 0.0.0.0 -k /tmp"
    )
    flags = ["--name", name, "--network", "bridge", "--user", "postgres", "--entrypoint", "sh"]
    process.check(["docker", "run", "-d", *flags, "--label", f"{compose.CLUSTER}={bench.label}", image, "-c", script])
    try:
        yield process.check(["docker", "inspect", "-f", "{{.NetworkSettings.IPAddress}}", name]).strip()
    finally:
        process.run(["docker", "rm", "-f", name])


def test_the_server_refuses_writes_of_a_primary_that_is_read(
    falling_back: tuple[Bench, Path, str], postgres: str
) -> None:
    """No default of role, options or session changes that, and neither do the statements of Pgpool-II at the end."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good |= {"/primary", "/leader"}
        await endpoint.wait_for("standbys", **{"pg_node1.fallback": "up"})
        await endpoint.move("standbys", "pg_node1.fallback", postgres, 5432)
        await asyncio.to_thread(create_table_and_role, postgres)
        await asyncio.to_thread(
            assert_writes_refused, f"host={endpoint.address} port={STANDBY_PORT} user=tricky dbname=postgres"
        )

    with_endpoint(falling_back, scenario)


def create_table_and_role(address: str) -> None:
    """Create a table, and a role whose own setting allows writes."""
    with connect(f"host={address} user=postgres dbname=postgres") as direct:
        direct.execute("CREATE TABLE t (n int); CREATE ROLE tricky SUPERUSER LOGIN")
        direct.execute("ALTER ROLE tricky SET default_transaction_read_only = off")


def connect(dsn: str) -> psycopg.Connection[tuple[object, ...]]:
    """A session of a server that may still be starting."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return psycopg.connect(dsn, autocommit=True, connect_timeout=2)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise


def assert_writes_refused(dsn: str) -> None:
    """Try each way to begin a session, and the one that allows writes, as docs/endpoints.md explains."""
    for options in ("", " options='-c default_transaction_read_only=off'"):
        with psycopg.connect(dsn + options, autocommit=True) as session:
            refused(session)
            session.execute("SET default_transaction_read_only = off")
            session.execute("DISCARD ALL")
            refused(session)
            session.execute("SET default_transaction_read_only = off")
            session.execute("RESET ALL")
            refused(session)
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("BEGIN READ WRITE")
        session.execute("INSERT INTO t VALUES (1)")


def refused(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Assert that a write fails as it does on a standby."""
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        session.execute("INSERT INTO t VALUES (1)")
