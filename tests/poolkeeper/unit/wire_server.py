"""A server that speaks just enough of PostgreSQL's protocol for a client to log in and run plain statements."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_READY = b"Z\x00\x00\x00\x05I"


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _error(code: str, text: str) -> bytes:
    fields = f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0"
    return _message(b"E", fields.encode())


@dataclass
class WireServer:
    """A server that accepts `room` clients, in turn or at once, and refuses every later one."""

    room: int
    port: int = 0
    logins: int = 0
    open: int = 0
    most: int = 0
    statements: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        try:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            await reader.readexactly(length - 4)
            self.logins += 1
            if self.logins > self.room:
                writer.write(_error("53300", "Sorry, too many clients already"))
                await writer.drain()
                return
            self.open += 1
            self.most = max(self.most, self.open)
            writer.write(_message(b"R", b"\0\0\0\0") + _READY)
            await self._statements(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    async def _statements(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind = await reader.readexactly(1)
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                body = await reader.readexactly(length - 4)
                if kind == b"X":
                    return
                self.statements.append(body.rstrip(b"\0").decode())
                writer.write(_message(b"C", b"SELECT 0\0") + _READY)
        finally:
            self.open -= 1


@contextmanager
def running(room: int) -> Iterator[WireServer]:
    """Run such a server on a port of its own, for the length of the block."""
    server, loop, started = WireServer(room), asyncio.new_event_loop(), threading.Event()

    async def start() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
        server.port = listening.sockets[0].getsockname()[1]
        started.set()

    def run() -> None:
        loop.run_until_complete(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
