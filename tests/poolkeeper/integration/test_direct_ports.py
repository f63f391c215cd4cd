"""The direct endpoints at HAProxy: an inner port's servers behind another endpoint, a limit; simulated nodes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.integration.played_nodes import HELLO, PRIMARY_PORT, Endpoint, prepare, start_up, with_endpoint
from tests.poolkeeper.unit import deployments, snapshots

from poolkeeper.system import haproxy_runtime as runtime

pytestmark = pytest.mark.integration

WRITES, READS = 5200, 5201
HOLD_MS = 1500
LIMIT = 3
SETTING = ("default_transaction_read_only", "on")
AT_ONCE = 0.5  # seconds, far below an interval of HAProxy's checks
Prepared = tuple[Bench, Path, str]


@pytest.fixture(scope="module")
def prepared(benches: Benches) -> Prepared:
    """A short hold and few sessions; checks so rare that only a command to HAProxy acts at once."""
    spec = snapshots.SPEC
    for key, value in (
        ("haproxy.hold_ms", HOLD_MS),
        ("haproxy.check_interval_ms", 1000),
        ("endpoints.direct_rw.max_sessions", LIMIT),
        ("endpoints.direct_ro.max_sessions", LIMIT),
    ):
        spec = deployments.edit(spec, key, value)
    return prepare(benches, spec)


@pytest.fixture(scope="module")
def falling_back(benches: Benches) -> Prepared:
    """Without a standby, reads go to the primary."""
    return prepare(benches, deployments.edit(snapshots.SPEC, "keeper.read_fallback", "primary"))


@contextlib.asynccontextmanager
async def session(endpoint: Endpoint, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, str]]:
    """Open a session; yield its reader and the node that answered."""
    reader, writer = await asyncio.open_connection(endpoint.address, port)
    try:
        writer.write(HELLO)
        yield reader, (await asyncio.wait_for(reader.read(100), 10)).decode()
    finally:
        writer.close()


async def ended(reader: asyncio.StreamReader, seconds: float = AT_ONCE) -> bool:
    """Return whether the session ends within this time."""
    return await asyncio.wait_for(reader.read(100), seconds) == b""


def test_a_cut_of_the_inner_port_cuts_the_direct_endpoint(prepared: Prepared) -> None:
    """At keeper's command the former primary's sessions end at once, also those of 5200; new ones reach the next."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good |= {"/primary", "/leader"}
        await endpoint.wait_for("primary", pg_node1="up", pg_node2="down")
        async with session(endpoint, WRITES) as (direct, first), session(endpoint, PRIMARY_PORT) as (inner, second):
            assert (first, second) == ("pg_node1", "pg_node1")
            endpoint.nodes["pg_node1"].good.clear()
            await endpoint.send(runtime.health("primary", "pg_node1", up=False))
            assert await ended(direct)
            assert await ended(inner)
            await endpoint.send(runtime.health("primary", "pg_node2", up=True))
            assert await endpoint.ask(WRITES) == "pg_node2"

    with_endpoint(prepared, scenario)


def test_a_failed_check_cuts_the_direct_endpoint_too(prepared: Prepared) -> None:
    """HAProxy gets no command."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good.add("/primary")
        await endpoint.wait_for("primary", pg_node1="up", pg_node2="down")
        async with session(endpoint, WRITES) as (reader, _):
            endpoint.nodes["pg_node1"].good.clear()
            assert await ended(reader, 10)

    with_endpoint(prepared, scenario)


def test_new_sessions_wait_for_a_primary(prepared: Prepared) -> None:
    """A session also waits while the present primary has announced its stop; it is refused after the hold."""

    async def scenario(endpoint: Endpoint) -> None:
        began = time.monotonic()
        assert await endpoint.ask(WRITES) == ""
        assert HOLD_MS / 1000 <= time.monotonic() - began < HOLD_MS / 1000 + 1
        endpoint.nodes["pg_node1"].good.add("/primary")
        await endpoint.wait_for("primary", pg_node1="up")
        await endpoint.send("poolkeeper leave primary pg_node1 10000")
        held = [asyncio.create_task(endpoint.ask(WRITES)) for _ in range(LIMIT)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in held)
        endpoint.nodes["pg_node1"].good.clear()
        await endpoint.send(
            runtime.health("primary", "pg_node1", up=False), runtime.health("primary", "pg_node2", up=True)
        )
        assert await asyncio.gather(*held) == ["pg_node2"] * LIMIT

    with_endpoint(prepared, scenario)


def test_a_full_endpoint_lets_the_next_client_wait(prepared: Prepared) -> None:
    """The client waits until a session ends; the inner port, which Pgpool-II uses, is not full with it."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good.add("/primary")
        await endpoint.wait_for("primary", pg_node1="up")
        async with contextlib.AsyncExitStack() as stack:
            kept = [await stack.enter_async_context(session(endpoint, WRITES)) for _ in range(LIMIT - 1)]
            async with session(endpoint, WRITES) as (_, last):
                assert [said for _, said in kept] == ["pg_node1"] * len(kept)
                assert last == "pg_node1"
                waiting = asyncio.create_task(endpoint.ask(WRITES))
                await asyncio.sleep(0.3)
                assert not waiting.done()
                assert await endpoint.ask(PRIMARY_PORT) == "pg_node1"
                (sessions,) = await endpoint.send("show sess")
                assert sessions.count("fe=direct_rw") == LIMIT
            assert await asyncio.wait_for(waiting, 2) == "pg_node1"

    with_endpoint(prepared, scenario)


def test_reads_are_read_only_spread_and_never_the_primary_s(prepared: Prepared) -> None:
    """The start-up packet sets read-only; a drained server, as before its promotion, serves no session."""

    async def scenario(endpoint: Endpoint) -> None:
        primary, one, two = (endpoint.nodes[name] for name in ("pg_node1", "pg_node2", "pg_node3"))
        primary.good |= {"/primary", "/leader"}
        one.good.add("/replica")
        two.good.add("/replica")
        await endpoint.wait_for("standbys", pg_node1="down", pg_node2="up", pg_node3="up")
        async with session(endpoint, READS) as (first, a), session(endpoint, READS) as (second, b):
            assert Counter((a, b)) == Counter(("pg_node2", "pg_node3"))
            assert one.received == two.received == start_up("user", "app", *SETTING)
            leaves, stays = (first, second) if a == "pg_node2" else (second, first)
            end = runtime.end_sessions("standbys", "pg_node2")
            await endpoint.send(runtime.state("standbys", "pg_node2", "drain"), end, end)
            assert await ended(leaves)
            for _ in range(LIMIT):
                assert await endpoint.ask(READS) == "pg_node3"
            with pytest.raises(TimeoutError):
                await ended(stays)
        two.good.clear()
        await endpoint.send(runtime.health("standbys", "pg_node3", up=False))
        assert await endpoint.ask(READS) == ""
        assert primary.received == b""
        assert await endpoint.ask(READS, b"GET / HTTP/1.0\r\n\r\n") == ""

    with_endpoint(prepared, scenario)


def test_a_session_of_no_server_is_ended_too(prepared: Prepared) -> None:
    """The session still connects to an unused address; HAProxy 3.0 alone would leave it open."""

    async def scenario(endpoint: Endpoint) -> None:
        unused = endpoint.address.rpartition(".")[0] + ".251"
        await endpoint.move("primary", "pg_node1", unused)
        endpoint.nodes["pg_node1"].good.add("/primary")
        await endpoint.send(runtime.health("primary", "pg_node1", up=True))
        asked = asyncio.create_task(endpoint.ask(WRITES))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await endpoint.send(runtime.health("primary", "pg_node1", up=False))
        assert await asyncio.wait_for(asked, AT_ONCE) == ""
        (sessions,) = await endpoint.send("show sess")
        assert "fe=direct_rw" not in sessions

    with_endpoint(prepared, scenario)


def test_without_a_standby_reads_go_to_the_primary_where_that_is_declared(falling_back: Prepared) -> None:
    """The fallback ends as soon as a standby is up."""

    async def scenario(endpoint: Endpoint) -> None:
        primary, standby = endpoint.nodes["pg_node1"], endpoint.nodes["pg_node2"]
        primary.good |= {"/primary", "/leader"}
        await endpoint.wait_for("standbys", **{"pg_node1.fallback": "up", "pg_node1": "down"})
        async with session(endpoint, READS) as (reader, said):
            assert said == "pg_node1"
            assert primary.received == start_up("user", "app", *SETTING)
            standby.good.add("/replica")
            assert await ended(reader, 10)
        assert await endpoint.ask(READS) == "pg_node2"

    with_endpoint(falling_back, scenario)
