"""Pgpool-II's control protocol (PCP), over one connection that stays open.

A packet is one byte of kind, a length (32 bits, big-endian, which counts itself) and the payload. The payload is texts,
each with a zero byte at its end. The answer is packets with the request's letter in lower case; the last one starts
with "CommandComplete". Detach and promote share the letter d. Notices (N) may precede the answer, and an error (E) may
replace it (Pgpool-II 4.6, src/libs/pcp/pcp.c and src/pcp_con/pcp_worker.c).

An answer does not mean that the request was executed. Pgpool-II answers attach, detach and promote once it has recorded
the request, and executes it afterwards; so the caller polls the nodes until they have the wanted state. Pgpool-II
reports a node from its memory, but first asks the node's PostgreSQL (as sr_check_user, if sr_check_period is not 0). A
frozen node costs its connect_timeout, and a node that answers wrongly makes the answer an error.

A session that raised Unreachable has ended. After ServerRefused it may have ended: Pgpool-II closes it after an error
that it calls fatal, such as a promotion of the primary. A session has one caller at a time. The protocol has no TLS, so
it stays inside the cluster's network.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import struct
from dataclasses import dataclass
from typing import Literal

from poolkeeper.core import errors
from poolkeeper.model.pool_node_states import DOWN, UNUSED, UP, WAITING, PoolNodeState

Role = Literal["primary", "standby", "main", "replica"]

_DONE = "CommandComplete"
_HEADER = struct.Struct("!ci")
# Far above any answer that we ask for; a longer packet is no PCP.
_LONGEST = 1 << 20
# BACKEND_STATUS and SERVER_ROLE (pool_type.h). 1 is up and not yet used by a session, 2 is up and used.
_STATUS: dict[str, PoolNodeState] = {"0": UNUSED, "1": WAITING, "2": UP, "3": DOWN}
_ROLE: dict[str, Role] = {"0": "main", "1": "replica", "2": "primary", "3": "standby"}


@dataclass(frozen=True)
class Packet:
    """A kind, and its payload without the length."""

    kind: str
    payload: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes on the wire."""
        return _HEADER.pack(self.kind.encode(), len(self.payload) + 4) + self.payload

    def texts(self) -> list[str]:
        """Return the zero-terminated texts of the payload."""
        return [part.decode(errors="replace") for part in self.payload.removesuffix(b"\0").split(b"\0")]


@dataclass(frozen=True)
class PcpNode:
    """A backend as Pgpool-II has it in its memory, without the state that the server itself reports."""

    index: int
    hostname: str
    port: int
    status: PoolNodeState
    role: Role


def proof(user: str, password: str, salt: bytes) -> str:
    """Return the answer to this salt: md5(md5(md5(password) + user) + salt)."""
    inner = hashlib.md5(password.encode()).hexdigest()
    middle = hashlib.md5((inner + user).encode()).hexdigest()
    return hashlib.md5(middle.encode() + salt).hexdigest()


def read_node(index: int, packet: Packet) -> PcpNode:
    """Read one NodeInfo packet.

    Its texts in 4.6 and 4.7: NodeInfo, host, port, status, quarantine, the server's own status, weight, role, and more.

    Raises:
        ServerRefused: with code "pcp", for a packet of another form.
    """
    texts = packet.texts()
    try:
        return PcpNode(index, texts[1], int(texts[2]), _STATUS[texts[3]], _ROLE[texts[7]])
    except (IndexError, KeyError, ValueError) as e:
        raise errors.ServerRefused(f"Pgpool-II described node {index} in an unknown way: {texts}", code="pcp") from e


def _fields(packet: Packet) -> dict[str, str]:
    return {text[:1]: text[1:].strip() for text in packet.texts() if text}


def read_code(packet: Packet) -> str:
    """Return the SQLSTATE of an error packet; "pcp" if it has none."""
    return _fields(packet).get("C", "pcp")


def read_error(packet: Packet) -> str:
    """Return the message and the detail of an error packet."""
    fields = _fields(packet)
    return ": ".join(fields[key] for key in "MD" if fields.get(key)) or "an error without a text"


class PcpSession:
    """An authenticated connection. Each command ends within `timeout` seconds.

    Each command raises Unreachable, or ServerRefused with Pgpool-II's SQLSTATE (mostly XX000), or with code "pcp" for
    an answer that is no PCP.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, label: str, timeout: float) -> None:
        self._reader = reader
        self._writer = writer
        self._label = label
        self._timeout = timeout

    async def node_count(self) -> int:
        """Return the number of configured backends."""
        (answer,) = await self._ask("L", "l")
        return int(answer.texts()[1])

    async def node(self, index: int) -> PcpNode:
        """Return one backend.

        Raises:
            ServerRefused: if there is no such index.
        """
        return read_node(index, (await self._ask("I", "i", index))[1])

    async def nodes(self) -> tuple[PcpNode, ...]:
        """Return every backend, in Pgpool-II's order, by one request."""
        answers = await self._ask("I", "i", -1)
        return tuple(read_node(i, answer) for i, answer in enumerate(answers[1:-1]))

    async def attach(self, index: int) -> None:
        """Ask Pgpool-II to use a node again; it accepts any index, also a nonexistent one."""
        await self._ask("C", "c", index)

    async def detach(self, index: int) -> None:
        """Ask Pgpool-II not to use a node any more; it does not wait for sessions."""
        await self._ask("D", "d", index)

    async def promote(self, index: int) -> None:
        """Ask Pgpool-II to consider a node the primary; PostgreSQL is not changed.

        All sessions end, and every other node is marked down.
        """
        await self._ask("J", "d", index)

    async def stop(self) -> None:
        """Stop Pgpool-II, and with it every session, at once; return when this connection has ended.

        Its container starts it again.

        Raises:
            Unreachable: if it does not end in time.
        """
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(Packet("T", b"f").encode())
                while await self._reader.read(4096):
                    pass
        except TimeoutError as e:
            raise errors.Unreachable(f"{self._label} did not end within {self._timeout:g} s") from e
        except ConnectionError:
            return  # Pgpool-II has ended, without closing the connection

    async def close(self) -> None:
        """Close the session so that Pgpool-II's worker ends without an error in its log; this never fails."""
        self._writer.write(Packet("X").encode())
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), self._timeout)

    async def authenticate(self, user: str, password: str) -> None:
        """Authenticate with the salt of this connection.

        Raises:
            ServerRefused: if the user or the password is wrong.
        """
        salt = (await self._exchange(Packet("M"), "m"))[0].payload
        payload = f"{user}\0{proof(user, password, salt)}\0".encode()
        answer = (await self._exchange(Packet("R", payload), "r"))[0]
        if answer.texts() != ["AuthenticationOK"]:
            raise errors.ServerRefused(f"{self._label}: {answer.texts()}", code="pcp")

    async def _ask(self, kind: str, wanted: str, index: int | None = None) -> list[Packet]:
        payload = b"" if index is None else f"{index}\0".encode()
        return await self._exchange(Packet(kind, payload), wanted)

    async def _exchange(self, request: Packet, wanted: str) -> list[Packet]:
        """Send a request, and read up to the last packet of the answer."""
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(request.encode())
                await self._writer.drain()
                return await self._answers(wanted)
        except TimeoutError as e:
            raise errors.Unreachable(f"{self._label} gave no answer within {self._timeout:g} s") from e
        except (OSError, asyncio.IncompleteReadError) as e:
            raise errors.Unreachable(f"{self._label} closed the connection") from e

    async def _answers(self, wanted: str) -> list[Packet]:
        answers: list[Packet] = []
        while not answers or (wanted in "il" and answers[-1].texts()[0] != _DONE):
            packet = await self._read()
            if packet.kind == "E":
                raise errors.ServerRefused(f"{self._label}: {read_error(packet)}", code=read_code(packet))
            if packet.kind == "N":
                continue
            if packet.kind != wanted:
                raise errors.ServerRefused(f"{self._label} answered {packet.kind!r} for {wanted!r}", code="pcp")
            answers.append(packet)
        return answers

    async def _read(self) -> Packet:
        kind, length = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
        if not 4 <= length <= _LONGEST:
            raise errors.ServerRefused(f"{self._label} does not speak PCP", code="pcp")
        return Packet(kind.decode("latin-1"), await self._reader.readexactly(length - 4))


async def connect(address: str, port: int, user: str, password: str, timeout: float) -> PcpSession:
    """Open a session; `timeout` in seconds bounds the connection and also each command.

    Raises:
        Unreachable: if Pgpool-II does not answer.
        ServerRefused: if the user or the password is wrong.
    """
    label = f"Pgpool-II's PCP at {address}:{port}"
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection(address, port)
    except OSError as e:  # TimeoutError is a subclass
        raise errors.Unreachable(f"{label}: {e or 'no answer in time'}") from e
    session = PcpSession(reader, writer, label, timeout)
    try:
        await session.authenticate(user, password)
    except BaseException:
        await session.close()
        raise
    return session
