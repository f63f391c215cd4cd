"""HAProxy with its rendered file, its runtime API, and the hold of new sessions, with simulated servers."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.poolkeeper.integration.conftest import Bench, Benches
from tests.poolkeeper.integration.played_nodes import (
    HELLO,
    PRIMARY_PORT,
    STANDBY_PORT,
    Endpoint,
    prepare,
    with_endpoint,
)
from tests.poolkeeper.unit import deployments, snapshots

from poolkeeper.core import errors
from poolkeeper.system import haproxy_runtime as runtime

pytestmark = pytest.mark.integration

CHECK_MS, CHECK_FALL = 300, 5  # a server is down after 1.5 s
HOLD_MS = 1500
LONG_HOLD_MS = 10 * CHECK_FALL * CHECK_MS  # outlasts the checks that mark a server as down


@pytest.fixture(scope="module")
def prepared(benches: Benches) -> tuple[Bench, Path, str]:
    """A short hold, and frequent checks."""
    return _prepare(benches, HOLD_MS)


@pytest.fixture(scope="module")
def prepared_long_hold(benches: Benches) -> tuple[Bench, Path, str]:
    """A hold that outlasts the checks."""
    return _prepare(benches, LONG_HOLD_MS)


def _prepare(benches: Benches, hold_ms: int) -> tuple[Bench, Path, str]:
    spec = snapshots.SPEC
    for key, value in (("hold_ms", hold_ms), ("check_interval_ms", CHECK_MS), ("check_fall", CHECK_FALL)):
        spec = deployments.edit(spec, f"haproxy.{key}", value)
    return prepare(benches, spec)


def test_new_sessions_are_held_until_a_primary_is_up(prepared: tuple[Bench, Path, str]) -> None:
    """A new session waits for a primary, is refused when the time is over, and is dropped when its client goes."""

    async def scenario(endpoint: Endpoint) -> None:
        began = time.monotonic()
        assert await endpoint.ask(PRIMARY_PORT) == ""
        assert HOLD_MS / 1000 <= time.monotonic() - began < HOLD_MS / 1000 + 1
        _, gone = await asyncio.open_connection(endpoint.address, PRIMARY_PORT)
        gone.close()
        held = [asyncio.create_task(endpoint.ask(PRIMARY_PORT)) for _ in range(20)]
        await asyncio.sleep(0.2)
        (sessions,) = await endpoint.send("show sess")
        assert sessions.count("fe=primary") == 20, sessions
        endpoint.nodes["pg_node2"].good.add("/primary")
        assert await asyncio.gather(*held) == ["pg_node2"] * 20
        began = time.monotonic()
        assert await endpoint.ask(PRIMARY_PORT) == "pg_node2"
        assert time.monotonic() - began < 0.2

    with_endpoint(prepared, scenario)


def test_a_primary_that_is_about_to_stop_gets_no_new_session(prepared_long_hold: tuple[Bench, Path, str]) -> None:
    """New sessions wait until its checks mark it as down and another server is up."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good.add("/primary")
        await endpoint.wait_for("primary", pg_node1="up", pg_node2="down")
        assert await endpoint.ask(PRIMARY_PORT) == "pg_node1"
        assert await endpoint.send("poolkeeper leave primary pg_node1 10000") == ("",)
        held = [asyncio.create_task(endpoint.ask(PRIMARY_PORT)) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert not any(task.done() for task in held)
        endpoint.nodes["pg_node1"].good.clear()
        endpoint.nodes["pg_node2"].good.add("/primary")
        assert await asyncio.gather(*held) == ["pg_node2"] * 5

    with_endpoint(prepared_long_hold, scenario)


def test_a_primary_that_stays_after_all_gets_sessions_again(prepared: tuple[Bench, Path, str]) -> None:
    """An announced stop refuses sessions for the hold; it ends by a command or after its own time."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node2"].good.add("/primary")
        await endpoint.wait_for("primary", pg_node2="up")
        for arguments in ("pg_node2 10000", "pg_node2 0", "pg_node2 200"):
            await endpoint.send(f"poolkeeper leave primary {arguments}")
            if arguments == "pg_node2 10000":
                assert await endpoint.ask(PRIMARY_PORT) == ""
            else:
                assert await endpoint.ask(PRIMARY_PORT) == "pg_node2"
        for wrong in ("primary pg_node9 1", "nowhere pg_node1 1", "primary pg_node1 soon", "primary", ""):
            (answer,) = await endpoint.send(f"poolkeeper leave {wrong}".strip())
            assert "No such server" in answer

    with_endpoint(prepared, scenario)


def test_the_runtime_api(prepared: tuple[Bench, Path, str]) -> None:
    """A change by hand is instant and ends sessions; a wrong name is refused; draining does not disable the checks."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good.add("/primary")
        await endpoint.wait_for("primary", pg_node1="up", pg_node2="down")
        reader, writer = await asyncio.open_connection(endpoint.address, PRIMARY_PORT)
        writer.write(HELLO)
        assert await asyncio.wait_for(reader.read(100), 5) == b"pg_node1"
        assert (await endpoint.servers("primary"))["pg_node1"].sessions == 1
        endpoint.nodes["pg_node1"].good.clear()
        await endpoint.send(
            runtime.health("primary", "pg_node1", up=False), runtime.health("primary", "pg_node2", up=True)
        )
        assert await asyncio.wait_for(reader.read(100), 1) == b""
        writer.close()
        assert await endpoint.ask(PRIMARY_PORT) == "pg_node2"
        with pytest.raises(errors.ServerRefused, match=r"standbys/pg_node9 state drain: \[3\]: No such server"):
            await endpoint.send(runtime.state("standbys", "pg_node9", "drain"))
        await endpoint.send(
            runtime.state("standbys", "pg_node3", "drain"), runtime.end_sessions("standbys", "pg_node3")
        )
        endpoint.nodes["pg_node3"].good.add("/replica")
        await endpoint.wait_for("standbys", pg_node3="up")
        assert not (await endpoint.servers("standbys"))["pg_node3"].is_usable
        assert await endpoint.ask(STANDBY_PORT) == ""
        await endpoint.send(runtime.state("standbys", "pg_node3", "ready"))
        assert await endpoint.ask(STANDBY_PORT) == "pg_node3"

    with_endpoint(prepared, scenario)


def test_the_lease_holder_is_no_standby(prepared: tuple[Bench, Path, str]) -> None:
    """The holder may still report a running replica; no server is a standby before its first check."""

    async def scenario(endpoint: Endpoint) -> None:
        endpoint.nodes["pg_node1"].good |= {"/replica", "/leader"}
        endpoint.nodes["pg_node2"].good |= {"/replica"}
        await endpoint.wait_for("standbys", pg_node2="up")
        assert (await endpoint.servers("standbys"))["pg_node1"].operational == "down"
        endpoint.nodes["pg_node2"].good.add("/leader")
        await endpoint.wait_for("standbys", pg_node2="down")

    with_endpoint(prepared, scenario)


def test_a_session_ends_while_its_connection_is_still_being_made(prepared: tuple[Bench, Path, str]) -> None:
    """The node's address is unused. HAProxy 3.0.11 alone would leave this session open for ever."""

    async def scenario(endpoint: Endpoint) -> None:
        unused = endpoint.address.rpartition(".")[0] + ".251"
        await endpoint.move("primary", "pg_node1", unused)
        endpoint.nodes["pg_node1"].good.add("/primary")
        # Its checks go to the new address too, so it is up only by command, for `fall` checks.
        await endpoint.send(runtime.health("primary", "pg_node1", up=True))
        asked = asyncio.create_task(endpoint.ask(PRIMARY_PORT))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await endpoint.send(runtime.health("primary", "pg_node1", up=False))
        assert await asyncio.wait_for(asked, 0.5) == ""
        (sessions,) = await endpoint.send("show sess")
        assert "fe=primary" not in sessions

    with_endpoint(prepared, scenario)


def test_a_closed_port_is_unreachable() -> None:
    """No program listens on the port."""
    with pytest.raises(errors.Unreachable):
        asyncio.run(runtime.servers("127.0.0.1", 1, 1))
