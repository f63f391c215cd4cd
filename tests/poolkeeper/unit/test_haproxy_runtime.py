"""HAProxy's runtime API: commands as text, and answers as HAProxy 3.0.11 gave them."""

from __future__ import annotations

import asyncio

import pytest

from poolkeeper.core import errors
from poolkeeper.system import haproxy_runtime as runtime

STATES = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight
2 primary 1 pg_node1 10.8.0.11 2 0 1 1
2 primary 2 pg_node2 10.8.0.12 0 0 1 1
3 standbys 1 pg_node1 10.8.0.11 0 1 1 1
3 standbys 2 pg_node2 10.8.0.12 2 8 1 1"""
STATISTICS = """# pxname,svname,qcur,qmax,scur,smax,
primary,pg_node1,0,0,3,4,
primary,pg_node2,0,0,0,4,
standbys,pg_node1,0,0,0,0,
standbys,pg_node2,0,0,1,1,"""


def test_commands() -> None:
    """The commands have the form that HAProxy reads."""
    assert runtime.health("primary", "pg_node1", up=False) == "set server primary/pg_node1 health down"
    assert runtime.health("primary", "pg_node2", up=True) == "set server primary/pg_node2 health up"
    assert runtime.state("standbys", "pg_node1", "drain") == "set server standbys/pg_node1 state drain"
    assert runtime.end_sessions("standbys", "pg_node1") == "shutdown sessions server standbys/pg_node1"


def test_servers() -> None:
    """The result of HAProxy's checks and a state that was set by a command are separate."""
    found = runtime.read_servers(STATES, STATISTICS)
    assert found == (
        runtime.ServerState("primary", "pg_node1", "up", "ready", 3),
        runtime.ServerState("primary", "pg_node2", "down", "ready", 0),
        runtime.ServerState("standbys", "pg_node1", "down", "maint", 0),
        runtime.ServerState("standbys", "pg_node2", "up", "drain", 1),
    )
    assert [each.is_usable for each in found] == [True, False, False, False]


@pytest.mark.parametrize(
    ("states", "statistics"), [(STATES, "# pxname,svname,scur,\n"), ("1\n2 primary", STATISTICS), (STATES, "")]
)
def test_servers_that_cannot_be_read(states: str, statistics: str) -> None:
    """A server without a count, half a line, nothing."""
    with pytest.raises(errors.ServerRefused):
        runtime.read_servers(states, statistics)


def _send(answer: str, *commands: str, timeout: float = 1) -> tuple[str, ...]:
    """Send commands to a server that answers this."""

    async def run() -> tuple[str, ...]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readline() == f"set severity-output number;{';'.join(commands)}\n".encode()
            writer.write(answer.encode())
            await writer.drain()
            if answer:
                writer.close()
            else:
                await reader.read()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            return await runtime.send("127.0.0.1", server.sockets[0].getsockname()[1], commands, timeout)
        finally:
            server.close()

    return asyncio.run(run())


def test_each_answer_belongs_to_its_command() -> None:
    """An empty answer means success; a warning is no refusal."""
    assert _send("\n\na\nb\n\n[4]: nothing changed\n\n", "set x", "show y", "set z") == (
        "",
        "a\nb",
        "[4]: nothing changed",
    )


@pytest.mark.parametrize(
    "said", ["[3]: No such server.", "[3]: No such backend.", "[6]: Unknown command: 'set', but maybe\n  show fd : …"]
)
def test_a_refusal_names_its_command(said: str) -> None:
    """No other server is changed."""
    with pytest.raises(errors.ServerRefused, match="refused set b: ") as caught:
        _send(f"\n\n{said}\n\n\n", "set a", "set b", "set c")
    assert "set a" not in caught.value.message


@pytest.mark.parametrize("answer", ["\n\n", "\n", "\n\na\n", ""], ids=["one of two", "none", "half of one", "silence"])
def test_a_missing_answer_is_no_answer(answer: str) -> None:
    """The connection ended too soon, or nothing came."""
    with pytest.raises(errors.Unreachable):
        _send(answer, "set a", "set b", timeout=0.3)


def test_several_commands_in_one_text_are_refused() -> None:
    """The answers to several commands in one text could not be distinguished."""
    with pytest.raises(ValueError, match="more than one"):
        asyncio.run(runtime.send("127.0.0.1", 1, ["set a;set b"], 1))
