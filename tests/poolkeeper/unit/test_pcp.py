"""Pgpool-II's control protocol: what goes over the wire, and answers as Pgpool-II 4.6.1 gave them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from poolkeeper.core import errors
from poolkeeper.system import pcp

SALT = b"m\x00\x00\x00\x08\xce\xdb\x9dU"
WELCOME = b"r\x00\x00\x00\x15AuthenticationOK\x00"
WRONG = (
    b'E\x00\x00\x00uSFATAL\x00CXX000\x00Mauthentication failed for user "pcp"\x00'
    b"Dusername and/or password does not match\x00Fpcp_worker.c\x00L529\x00\x00"
)
COUNT = b"l\x00\x00\x00\x16CommandComplete\x002\x00"
ONE = b"i\x00\x00\x00\x10ArraySize\x001\x00"
FIRST = (
    b"i\x00\x00\x00INodeInfo\x00172.17.0.1\x007001\x001\x000\x00unknown\x00-nan\x002\x00unknown\x000\x000\x00\x00\x00"
    b"1795389083\x00"
)
SECOND = (
    b"i\x00\x00\x00KNodeInfo\x00172.17.0.250\x005432\x003\x000\x00unknown\x00-nan\x003\x00unknown\x000\x000\x00\x00\x00"
    b"1795389082\x00"
)
END = b"i\x00\x00\x00\x14CommandComplete\x00"
NO_NODE = (
    b"E\x00\x00\x00WSERROR\x00CXX000\x00Minforming node info failed\x00Dinvalid node ID : 7\x00"
    b"Fpcp_worker.c\x00L855\x00\x00"
)
DONE_D = b"d\x00\x00\x00\x14CommandComplete\x00"
DONE_C = b"c\x00\x00\x00\x14CommandComplete\x00"
NOTICE = b"N\x00\x00\x00\x11SLOG\x00Mhello\x00\x00"


def test_a_packet_as_it_goes_over_the_wire() -> None:
    """The length counts itself."""
    assert pcp.Packet("L").encode() == b"L\x00\x00\x00\x04"
    assert pcp.Packet("I", b"0\0").encode() == b"I\x00\x00\x00\x060\x00"


def test_the_proof_of_the_password() -> None:
    """The proof is one that Pgpool-II accepted for this salt."""
    assert pcp.proof("pcp", "secret", SALT[5:]) == "d8af2bc3a96b3dae1ae43dfac6812244"


def _talk(
    answers: list[bytes], talk: Callable[[pcp.PcpSession], Awaitable[object]], timeout: float = 2
) -> tuple[object, bytes]:
    """Return the result of a session with a server that sends these answers, and the requests that it received."""

    async def run() -> tuple[object, bytes]:
        received = bytearray()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for answer in [SALT, WELCOME, *answers]:
                head = await reader.readexactly(5)
                received.extend(head + await reader.readexactly(int.from_bytes(head[1:]) - 4))
                writer.write(answer)
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            session = await pcp.connect("127.0.0.1", port, "pcp", "secret", timeout)
            try:
                return await talk(session), bytes(received)
            finally:
                await session.close()
        finally:
            server.close()

    return asyncio.run(run())


def test_several_commands_on_one_connection() -> None:
    """The session ignores notices; one request returns all nodes."""

    async def talk(session: pcp.PcpSession) -> object:
        return await session.node_count(), await session.nodes(), await session.node(1)

    said, received = _talk([COUNT, NOTICE + ONE + FIRST + SECOND + END, ONE + SECOND + END], talk)
    first = pcp.PcpNode(0, "172.17.0.1", 7001, "waiting", "primary")
    second = pcp.PcpNode(1, "172.17.0.250", 5432, "down", "standby")
    assert said == (2, (first, second), second)
    assert received.endswith(b"L\0\0\0\4I\0\0\0\7-1\0I\0\0\0\0061\0")


def test_attach_detach_and_promote() -> None:
    """Detach and promote are answered alike."""

    async def talk(session: pcp.PcpSession) -> None:
        await session.attach(2)
        await session.detach(1)
        await session.promote(0)

    _, received = _talk([DONE_C, DONE_D, DONE_D], talk)
    assert received.endswith(b"C\0\0\0\0062\0D\0\0\0\0061\0J\0\0\0\0060\0")


def test_a_refusal_is_reported_and_the_session_continues() -> None:
    """The message, the detail and the SQLSTATE."""

    async def talk(session: pcp.PcpSession) -> object:
        with pytest.raises(errors.ServerRefused, match="informing node info failed: invalid node ID : 7") as caught:
            await session.node(7)
        return caught.value.code, await session.node_count()

    assert _talk([NO_NODE, COUNT], talk)[0] == ("XX000", 2)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (WRONG, errors.ServerRefused),
        (DONE_C, errors.ServerRefused),
        (b"l\x00\x00\x00\x02", errors.ServerRefused),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", errors.ServerRefused),
        (b"l\x00\x00", errors.Unreachable),
    ],
    ids=["refused", "another answer", "an impossible length", "no PCP at all", "half an answer, then silence"],
)
def test_a_malformed_answer_is_an_error(answer: bytes, error: type[errors.PoolkeeperError]) -> None:
    """The session takes none of these for an answer."""
    with pytest.raises(error):
        _talk([answer], lambda session: session.node_count(), timeout=0.3)


@pytest.mark.parametrize("status", ["4", "", "up"])
def test_a_status_that_is_not_known_is_not_guessed(status: str) -> None:
    """A packet with too few texts is refused too."""
    payload = b"\0".join([b"NodeInfo", b"h", b"1", status.encode(), b"0", b"", b"1", b"2"]) + b"\0"
    with pytest.raises(errors.ServerRefused):
        pcp.read_node(0, pcp.Packet("i", payload))
    with pytest.raises(errors.ServerRefused):
        pcp.read_node(0, pcp.Packet("i", b"NodeInfo\0h\0"))
