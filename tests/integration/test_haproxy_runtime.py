"""HAProxy with its rendered file, its runtime API, and the hold of new sessions; the servers behind it are played.

Nothing here stands for HAProxy. The nodes are small servers on this machine whose Patroni says what the test wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.conftest import Bench, Benches
from tests.unit import deployments, snapshots

from poolkeeper import errors, wait
from poolkeeper.system import haproxy_runtime as runtime
from poolkeeper.system import process

pytestmark = pytest.mark.integration

HOLD_MS = 1500
RUNTIME_PORT, PRIMARY_PORT, STANDBY_PORT = 9990, 6100, 6101
NODES = ("pg_node1", "pg_node2", "pg_node3")


@dataclass
class Node:
    """Answers on a port of PostgreSQL with its name, and on a port of Patroni with what it holds to be true."""

    name: str
    address: str
    rest: int
    good: set[str] = field(default_factory=set)
    servers: list[asyncio.Server] = field(default_factory=list)

    async def start(self) -> None:
        self.servers.append(await asyncio.start_server(self._patroni, self.address, self.rest))
        self.servers.append(await asyncio.start_server(self._postgres, self.address, self.rest + 10))

    async def _patroni(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode().partition("?")[0]
            status = 200 if path in self.good else 503
            body = b'{"role": "primary"}'
            writer.write(b"HTTP/1.0 %d x\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
            await writer.drain()
        writer.close()

    async def _postgres(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(100):
                writer.write(self.name.encode())
                await writer.drain()
        writer.close()


@dataclass(frozen=True)
class Door:
    """HAProxy's container: its address in the network, and the nodes behind it."""

    address: str
    nodes: dict[str, Node]

    async def servers(self, proxy: str) -> dict[str, runtime.ServerState]:
        found = await runtime.servers(self.address, RUNTIME_PORT, 5)
        return {each.server: each for each in found if each.proxy == proxy}

    async def send(self, *commands: str) -> tuple[str, ...]:
        return await runtime.send(self.address, RUNTIME_PORT, commands, 5)

    async def wait_for(self, proxy: str, **wanted: str) -> None:
        """Until these servers of a proxy are up or down."""

        async def look() -> str | None:
            try:
                found = {name: each.operational for name, each in (await self.servers(proxy)).items()}
            except errors.Unreachable as e:
                return e.message
            return None if wanted.items() <= found.items() else f"{proxy}: {found}"

        await wait.wait_for(f"{proxy}: {wanted}", look, seconds=15)

    async def ask(self, port: int) -> str:
        """Who answers a new session; nobody is ""."""
        reader, writer = await asyncio.open_connection(self.address, port)
        try:
            writer.write(b"who?")
            with contextlib.suppress(ConnectionResetError):
                return (await asyncio.wait_for(reader.read(100), 10)).decode()
            return ""
        finally:
            writer.close()


def _inspect(kind: str, name: str, form: str) -> str:
    return process.check(["docker", kind, "inspect", "--format", form, name]).strip()


@pytest.fixture(scope="module")
def planted(benches: Benches) -> tuple[Bench, Path, str]:
    """The rendered file with the container's own address, and this machine's for the nodes; and that address."""
    spec = deployments.edit(snapshots.SPEC, "haproxy.hold_ms", HOLD_MS)
    spec = deployments.edit(spec, "haproxy.check_interval_ms", 300)
    made = benches.make(spec)
    gateway = _inspect("network", "bridge", "{{range .IPAM.Config}}{{.Gateway}}{{end}}")
    folder = made.plant(spec.haproxy.service, "haproxy.cfg", "global", "global")
    file = folder / "haproxy.cfg"
    text = file.read_text().replace(f"{spec.haproxy.address}:", "*:").replace("ipv4@*:", "ipv4@0.0.0.0:")
    for i, node in enumerate(spec.nodes):
        text = text.replace(f"{node.address}:5432 check port 8008", f"{gateway}:{7111 + i} check port {7101 + i}")
    file.write_text(text)
    return made, folder, gateway


@contextlib.asynccontextmanager
async def _door(planted: tuple[Bench, Path, str]) -> AsyncIterator[Door]:
    made, folder, gateway = planted
    nodes = {name: Node(name, gateway, 7101 + i) for i, name in enumerate(NODES)}
    for node in nodes.values():
        await node.start()
    container = made.start(made.spec.haproxy.service, config=folder, options=["--network", "bridge"])
    try:
        address = _inspect("container", container, "{{.NetworkSettings.IPAddress}}")
        door = Door(address, nodes)
        await door.wait_for("primary", pg_node1="down")
        yield door
    finally:
        process.run(["docker", "rm", "-f", container])
        for node in nodes.values():
            for server in node.servers:
                server.close()


def _with_door(planted: tuple[Bench, Path, str], story: Callable[[Door], Awaitable[None]]) -> None:
    async def run() -> None:
        async with _door(planted) as door:
            await story(door)

    asyncio.run(run())


def test_the_hold(planted: tuple[Bench, Path, str]) -> None:
    """A new session waits for a primary, is refused when the time is over, and is forgotten when its client goes."""

    async def story(door: Door) -> None:
        began = time.monotonic()
        assert await door.ask(PRIMARY_PORT) == ""
        assert HOLD_MS / 1000 <= time.monotonic() - began < HOLD_MS / 1000 + 1
        _, gone = await asyncio.open_connection(door.address, PRIMARY_PORT)
        gone.close()
        held = [asyncio.create_task(door.ask(PRIMARY_PORT)) for _ in range(20)]
        await asyncio.sleep(0.2)
        (sessions,) = await door.send("show sess")
        assert sessions.count("fe=primary") == 20, sessions
        door.nodes["pg_node2"].good.add("/primary")
        assert await asyncio.gather(*held) == ["pg_node2"] * 20
        began = time.monotonic()
        assert await door.ask(PRIMARY_PORT) == "pg_node2"
        assert time.monotonic() - began < 0.2

    _with_door(planted, story)


def test_the_runtime_api(planted: tuple[Bench, Path, str]) -> None:
    """A change by hand is instant and ends sessions; a wrong name is refused; draining leaves the checks their say."""

    async def story(door: Door) -> None:
        door.nodes["pg_node1"].good.add("/primary")
        await door.wait_for("primary", pg_node1="up", pg_node2="down")
        reader, writer = await asyncio.open_connection(door.address, PRIMARY_PORT)
        writer.write(b"who?")
        assert await asyncio.wait_for(reader.read(100), 5) == b"pg_node1"
        assert (await door.servers("primary"))["pg_node1"].sessions == 1
        door.nodes["pg_node1"].good.clear()
        await door.send(runtime.health("primary", "pg_node1", up=False), runtime.health("primary", "pg_node2", up=True))
        assert await asyncio.wait_for(reader.read(100), 1) == b""
        writer.close()
        assert await door.ask(PRIMARY_PORT) == "pg_node2"
        with pytest.raises(errors.ServerRefused, match=r"standbys/pg_node9 state drain: \[3\]: No such server"):
            await door.send(runtime.state("standbys", "pg_node9", "drain"))
        await door.send(runtime.state("standbys", "pg_node3", "drain"), runtime.end_sessions("standbys", "pg_node3"))
        door.nodes["pg_node3"].good.add("/replica")
        await door.wait_for("standbys", pg_node3="up")
        assert not (await door.servers("standbys"))["pg_node3"].is_usable
        assert await door.ask(STANDBY_PORT) == ""
        await door.send(runtime.state("standbys", "pg_node3", "ready"))
        assert await door.ask(STANDBY_PORT) == "pg_node3"

    _with_door(planted, story)


def test_who_holds_the_lease_is_no_standby(planted: tuple[Bench, Path, str]) -> None:
    """Also while it still says that it is a running replica; and no server is one before its first check."""

    async def story(door: Door) -> None:
        door.nodes["pg_node1"].good |= {"/replica", "/leader"}
        door.nodes["pg_node2"].good |= {"/replica"}
        await door.wait_for("standbys", pg_node2="up")
        assert (await door.servers("standbys"))["pg_node1"].operational == "down"
        door.nodes["pg_node2"].good.add("/leader")
        await door.wait_for("standbys", pg_node2="down")

    _with_door(planted, story)


def test_a_session_ends_while_its_connection_is_still_being_made(planted: tuple[Bench, Path, str]) -> None:
    """A node's address that nobody has any more. HAProxy 3.0.11 by itself would leave this session for ever."""

    async def story(door: Door) -> None:
        nobody = door.address.rpartition(".")[0] + ".251"
        await door.send(f"set server primary/pg_node1 addr {nobody}")
        door.nodes["pg_node1"].good.add("/primary")
        # Its checks go to the new address too, so it is up by word only, for `fall` checks.
        await door.send(runtime.health("primary", "pg_node1", up=True))
        asked = asyncio.create_task(door.ask(PRIMARY_PORT))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await door.send(runtime.health("primary", "pg_node1", up=False))
        assert await asyncio.wait_for(asked, 0.5) == ""
        (sessions,) = await door.send("show sess")
        assert "fe=primary" not in sessions

    _with_door(planted, story)


def test_nobody_there() -> None:
    """A port that nobody listens on."""
    with pytest.raises(errors.Unreachable):
        asyncio.run(runtime.servers("127.0.0.1", 1, 1))
