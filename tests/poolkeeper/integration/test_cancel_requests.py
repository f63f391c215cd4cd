"""Requests to cancel at HAProxy: they reach the servers past a full endpoint, and no other session changes."""

from __future__ import annotations

import asyncio
import struct
import time
from pathlib import Path

import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.integration.played_nodes import CANCEL, HELLO, STANDBY_PORT, Endpoint, prepare, with_endpoint
from tests.poolkeeper.unit import deployments, snapshots

pytestmark = pytest.mark.integration

READ_WRITE, READ_ONLY, DIRECT_READS = 5100, 5101, 5201
CHECK_MS = 300
TLS, GSS = struct.pack(">II", 8, 80877103), struct.pack(">II", 8, 80877104)
AT_ONCE = 0.5  # seconds
Prepared = tuple[Bench, Path, str]


@pytest.fixture(scope="module")
def prepared(benches: Benches) -> Prepared:
    """Frequent checks. No Pgpool-II runs behind the endpoints, as if all of its sessions were in use."""
    return prepare(benches, deployments.edit(snapshots.SPEC, "haproxy.check_interval_ms", CHECK_MS))


async def cancelled(endpoint: Endpoint, port: int, *before: bytes) -> str:
    """Send a request to cancel; return the answers to the packets before it, once HAProxy has closed the connection."""
    began = time.monotonic()
    said = await endpoint.ask(port, *before, CANCEL)
    assert time.monotonic() - began < AT_ONCE
    return said


async def roles(endpoint: Endpoint) -> None:
    """Make the first node the primary, and the two others standbys."""
    endpoint.nodes["pg_node1"].good |= {"/primary", "/leader"}
    for name in ("pg_node2", "pg_node3"):
        endpoint.nodes[name].good.add("/replica")
    await endpoint.wait_for("primary", pg_node1="up", pg_node2="down", pg_node3="down")
    await endpoint.wait_for("standbys", pg_node1="down", pg_node2="up", pg_node3="up")


@pytest.mark.parametrize("before", [(), (TLS,), (GSS, TLS)], ids=["plain", "tls", "gss and tls"])
def test_a_request_at_the_read_write_endpoint_reaches_the_primary_alone(
    prepared: Prepared, before: tuple[bytes, ...]
) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        await roles(endpoint)
        assert await cancelled(endpoint, READ_WRITE, *before) == "N" * len(before)
        assert [node.received for node in endpoint.nodes.values()] == [CANCEL, b"", b""]

    with_endpoint(prepared, scenario)


@pytest.mark.parametrize("port", [READ_ONLY, STANDBY_PORT, DIRECT_READS])
def test_a_request_at_a_read_only_port_reaches_every_standby(prepared: Prepared, port: int) -> None:
    """Only one of them has the process that the request names."""

    async def scenario(endpoint: Endpoint) -> None:
        await roles(endpoint)
        assert await cancelled(endpoint, port) == ""
        assert [node.received for node in endpoint.nodes.values()] == [b"", CANCEL, CANCEL]

    with_endpoint(prepared, scenario)


def test_many_requests_at_once_are_all_delivered(prepared: Prepared) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        await roles(endpoint)
        assert await asyncio.gather(*(cancelled(endpoint, READ_WRITE) for _ in range(50))) == [""] * 50
        assert endpoint.nodes["pg_node1"].received == CANCEL * 50

    with_endpoint(prepared, scenario)


def test_a_request_without_a_server_ends_at_once(prepared: Prepared) -> None:
    """No server is up, so no statement runs that it could cancel; the hold of new sessions does not apply."""

    async def scenario(endpoint: Endpoint) -> None:
        assert await cancelled(endpoint, READ_WRITE) == ""
        assert [node.received for node in endpoint.nodes.values()] == [b"", b"", b""]

    with_endpoint(prepared, scenario)


@pytest.mark.parametrize(
    "packet",
    [struct.pack(">II", 12, 80877102) + b"1234", struct.pack(">II", 1 << 30, 80877102) + CANCEL[8:]],
    ids=["too short", "too long"],
)
def test_a_request_of_another_length_is_refused(prepared: Prepared, packet: bytes) -> None:
    async def scenario(endpoint: Endpoint) -> None:
        await roles(endpoint)
        assert await endpoint.ask(READ_WRITE, packet) == ""
        assert [node.received for node in endpoint.nodes.values()] == [b"", b"", b""]

    with_endpoint(prepared, scenario)


def test_a_request_with_a_long_key_is_delivered(prepared: Prepared) -> None:
    """Protocol 3.2 has keys of up to 256 bytes."""
    packet = struct.pack(">III", 268, 80877102, 1) + b"k" * 256

    async def scenario(endpoint: Endpoint) -> None:
        await roles(endpoint)
        reader, writer = await asyncio.open_connection(endpoint.address, READ_WRITE)
        writer.write(packet)
        assert await asyncio.wait_for(reader.read(100), 5) == b""
        writer.close()
        assert endpoint.nodes["pg_node1"].received == packet

    with_endpoint(prepared, scenario)


def test_a_session_goes_to_pgpool_and_not_to_a_server(prepared: Prepared) -> None:
    """Pgpool-II does not run here, so the session is refused."""

    async def scenario(endpoint: Endpoint) -> None:
        await roles(endpoint)
        for port in (READ_WRITE, READ_ONLY):
            assert await endpoint.ask(port, HELLO) == ""
        assert [node.received for node in endpoint.nodes.values()] == [b"", b"", b""]

    with_endpoint(prepared, scenario)
