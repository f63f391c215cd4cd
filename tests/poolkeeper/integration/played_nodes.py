"""A real HAProxy with its rendered file, in a container, and simulated nodes.

The nodes are small servers on this machine whose Patroni reports what the test wants.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from tests.poolkeeper.integration.conftest import Bench, Benches

from poolkeeper.core import errors, wait
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import haproxy_runtime as runtime
from poolkeeper.system import process

RUNTIME_PORT, PRIMARY_PORT, STANDBY_PORT = 9990, 6100, 6101
NODES = ("pg_node1", "pg_node2", "pg_node3")


def start_up(*settings: str, version: int = 3 << 16) -> bytes:
    """PostgreSQL's start-up packet with these names and values in turn (protocol 3.0, StartupMessage)."""
    words = b"".join(setting.encode() + b"\0" for setting in settings)
    return struct.pack(">II", len(words) + 9, version) + words + b"\0"


HELLO = start_up("user", "app")
CANCEL = struct.pack(">IIII", 16, 80877102, 1, 2)  # CancelRequest of process 1 with the key 2


@dataclass
class Node:
    """Answers on a port of PostgreSQL with its name, and on a port of Patroni with the checks that are good."""

    name: str
    address: str
    rest: int
    good: set[str] = field(default_factory=set)
    received: bytes = b""  # all that came to the port of PostgreSQL
    servers: list[asyncio.Server] = field(default_factory=list)

    async def start(self) -> None:
        """Listen on both ports."""
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
            while data := await reader.read(20_000):
                self.received += data
                if data[4:8] == CANCEL[4:8]:
                    break  # as a server does, without an answer
                writer.write(self.name.encode())
                await writer.drain()
        writer.close()


@dataclass(frozen=True)
class Endpoint:
    """HAProxy's container: its address in the network, and the nodes behind it."""

    address: str
    nodes: dict[str, Node]

    async def servers(self, proxy: str) -> dict[str, runtime.ServerState]:
        """A proxy's servers by their names."""
        found = await runtime.servers(self.address, RUNTIME_PORT, 5)
        return {each.server: each for each in found if each.proxy == proxy}

    async def send(self, *commands: str) -> tuple[str, ...]:
        """Commands of the runtime API."""
        return await runtime.send(self.address, RUNTIME_PORT, commands, 5)

    async def move(self, proxy: str, server: str, address: str, port: int | None = None) -> None:
        """Give a server another address, and wait until it has it: HAProxy 3.0 answers before it does it."""
        await self.send(f"set server {proxy}/{server} addr {address}" + (f" port {port}" if port else ""))

        async def check() -> None:
            (states,) = await self.send(f"show servers state {proxy}")
            # be_id be_name srv_id srv_name srv_addr …
            found = {words[3]: words[4] for words in map(str.split, states.splitlines()[2:]) if words}
            wait.require(None if found[server] == address else f"{proxy}/{server}: {found[server]}")

        await wait.wait_for(f"{proxy}/{server} at {address}", check, seconds=5)

    async def wait_for(self, proxy: str, **wanted: str) -> None:
        """Wait until these servers of a proxy are up or down."""

        async def check() -> None:
            try:
                found = {name: each.operational for name, each in (await self.servers(proxy)).items()}
            except errors.Unreachable as e:
                raise wait.NotYet(e.message) from e
            wait.require(None if wanted.items() <= found.items() else f"{proxy}: {found}")

        await wait.wait_for(f"{proxy}: {wanted}", check, seconds=15)

    async def ask(self, port: int, *chunks: bytes) -> str:
        """Return the answers to a new session that sends these chunks, or a plain start-up; "" if no server answers."""
        reader, writer = await asyncio.open_connection(self.address, port)
        said = b""
        try:
            with contextlib.suppress(ConnectionResetError):
                for chunk in chunks or (HELLO,):
                    writer.write(chunk)
                    said += await asyncio.wait_for(reader.read(100), 10)
            return said.decode()
        finally:
            writer.close()


def prepare(benches: Benches, spec: ClusterSpec) -> tuple[Bench, Path, str]:
    """Render a file with the container's own address and this machine's for the nodes; return also that address."""
    made = benches.make(spec)
    # Its gateway is this machine: the first address. An engine that was never restarted does not report it.
    subnet = IPv4Network(_inspect("network", "bridge", "{{range .IPAM.Config}}{{.Subnet}}{{end}}"))
    gateway = str(subnet.network_address + 1)
    folder = made.altered_copy(spec.haproxy.service, "haproxy.cfg", "global", "global")
    file = folder / "haproxy.cfg"
    text = file.read_text().replace(f"{spec.haproxy.address}:", "*:").replace("ipv4@*:", "ipv4@0.0.0.0:")
    for i, node in enumerate(spec.nodes):
        text = text.replace(f"{node.address}:5432", f"{gateway}:{7111 + i}")
        text = text.replace(f"{gateway}:{7111 + i} check port 8008", f"{gateway}:{7111 + i} check port {7101 + i}")
    file.write_text(text)
    return made, folder, gateway


@contextlib.asynccontextmanager
async def _endpoint(prepared: tuple[Bench, Path, str]) -> AsyncIterator[Endpoint]:
    made, folder, gateway = prepared
    nodes = {name: Node(name, gateway, 7101 + i) for i, name in enumerate(NODES)}
    for node in nodes.values():
        await node.start()
    container = made.start(made.spec.haproxy.service, config=folder, options=["--network", "bridge"])
    try:
        address = _inspect("container", container, "{{.NetworkSettings.IPAddress}}")
        endpoint = Endpoint(address, nodes)
        await endpoint.wait_for("primary", pg_node1="down")
        yield endpoint
    finally:
        process.run(["docker", "rm", "-f", container])
        for node in nodes.values():
            for server in node.servers:
                server.close()


def with_endpoint(prepared: tuple[Bench, Path, str], scenario: Callable[[Endpoint], Awaitable[None]]) -> None:
    """Run a scenario with a fresh HAProxy and fresh nodes."""

    async def run() -> None:
        async with _endpoint(prepared) as endpoint:
            await scenario(endpoint)

    asyncio.run(run())


def _inspect(kind: str, name: str, form: str) -> str:
    return process.check(["docker", kind, "inspect", "--format", form, name]).strip()
