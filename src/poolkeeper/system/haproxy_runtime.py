"""HAProxy's runtime API over TCP (HAProxy 3.0, management guide, "Unix Socket commands").

The commands are sent as one line on their own connection, and HAProxy closes the connection after the last answer. Each
answer ends with an empty line, also an empty answer. After a refused command HAProxy executes the next one. The changes
are in the memory of HAProxy's worker only: a reload or a restart loses them.

The API has no authentication; its port is in the cluster's network only.
"""

from __future__ import annotations

import asyncio
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from poolkeeper.core import errors

Operational = Literal["up", "down", "starting", "stopping"]
Admin = Literal["ready", "maint", "drain"]

# Columns of `show servers state`, version 1.
_PROXY, _SERVER, _OPERATIONAL, _ADMIN = 1, 3, 5, 6
_OPERATIONALS: dict[int, Operational] = {0: "down", 1: "starting", 2: "up", 3: "stopping"}
# Bits of srv_admin_state: maintenance (forced, inherited, by configuration, by resolution, of an address), drain.
_MAINT, _DRAIN = 0x01 | 0x02 | 0x04 | 0x20 | 0x40, 0x08 | 0x10
# With this, a message instead of an answer starts with its severity in syslog's numbers: "[3]: No such server."
_NUMBERED = "set severity-output number"
_REFUSAL = re.compile(r"\[[0-3]\]: |\[\d\]: Unknown command")
_SERVERS_ONLY = "show stat -1 4 -1"


@dataclass(frozen=True)
class ServerState:
    """The state of a server in HAProxy: the checks' result, the administrative state, and the number of sessions."""

    proxy: str
    server: str
    operational: Operational
    admin: Admin
    sessions: int

    @property
    def is_usable(self) -> bool:
        """Whether HAProxy may send a new session there."""
        return self.operational != "down" and self.admin == "ready"


def health(proxy: str, server: str, *, up: bool) -> str:
    """Return the command that sets a server's health before its checks do; each later check corrects it.

    Down ends the server's sessions where it has `on-marked-down shutdown-sessions`. Up lasts until `fall` checks in a
    row fail.
    """
    return f"set server {proxy}/{server} health {'up' if up else 'down'}"


def state(proxy: str, server: str, wanted: Admin) -> str:
    """Return the command that sets a server's administrative state.

    `drain` keeps the checks' result and the sessions; after it, `ready` restores the checks' result. `maint` also ends
    the sessions; after it, `ready` means *up at once*, until the next check fails.
    """
    return f"set server {proxy}/{server} state {wanted}"


def checks(proxy: str, server: str, *, on: bool) -> str:
    """Return the command that stops or resumes a server's checks.

    A server without checks is *up*, whatever their last result was: use this only where no client relies on the port.
    """
    return f"{'enable' if on else 'disable'} health {proxy}/{server}"


def end_sessions(proxy: str, server: str) -> str:
    """Return the command that ends every session of a server."""
    return f"shutdown sessions server {proxy}/{server}"


async def send(address: str, port: int, commands: Sequence[str], timeout: float) -> tuple[str, ...]:
    """Send the commands on one connection; return one answer per command, in order.

    `timeout` bounds the call, in seconds.

    Raises:
        Unreachable: if HAProxy does not answer in time.
        ServerRefused: with code "haproxy", if HAProxy refused a command; all commands were tried.
        ValueError: for no command, or for one that contains a separator.
    """
    label = f"HAProxy's runtime API at {address}:{port}"
    if not commands or any(set(command) & set(";\n\\") for command in commands):
        raise ValueError(f"no commands, or more than one in one: {commands}")
    try:
        async with asyncio.timeout(timeout):
            text = await _converse(address, port, ";".join((_NUMBERED, *commands)))
    except TimeoutError as e:
        raise errors.Unreachable(f"{label} gave no answer within {timeout:g} s") from e
    except OSError as e:
        raise errors.Unreachable(f"{label}: {e}") from e
    _, *answers = split(text, len(commands) + 1, label)
    refused = [f"{command}: {text}" for command, text in zip(commands, answers, strict=True) if _REFUSAL.match(text)]
    if refused:
        raise errors.ServerRefused(f"{label} refused {'; '.join(refused)}", code="haproxy")
    return tuple(answers)


async def _converse(address: str, port: int, line: str) -> str:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(f"{line}\n".encode())
        await writer.drain()
        return (await reader.read(-1)).decode(errors="replace")
    finally:
        writer.close()


def split(text: str, count: int, label: str) -> tuple[str, ...]:
    """Split a connection's text into its answers: each is some lines and an empty line.

    An answer without lines means that the command was executed.

    Raises:
        Unreachable: if an answer is missing.
    """
    answers: list[str] = []
    lines: list[str] = []
    for line in text.split("\n")[:-1]:
        if line:
            lines.append(line)
        else:
            answers.append("\n".join(lines))
            lines.clear()
    if len(answers) != count or lines:
        raise errors.Unreachable(f"{label} closed the connection after {len(answers)} of {count} answers")
    return tuple(answers)


async def servers(address: str, port: int, timeout: float) -> tuple[ServerState, ...]:
    """Return every server of every proxy, in HAProxy's order; the errors are those of `send`."""
    states, statistics = await send(address, port, ("show servers state", _SERVERS_ONLY), timeout)
    return read_servers(states, statistics)


def read_servers(states: str, statistics: str) -> tuple[ServerState, ...]:
    """Read the states in the answers to `show servers state` and `show stat -1 4 -1`.

    Raises:
        ServerRefused: with code "haproxy", if the answers have another form.
    """
    try:
        rows = csv.DictReader(io.StringIO(statistics.removeprefix("# ")))
        sessions = {(row["pxname"], row["svname"]): int(row["scur"]) for row in rows}
        lines = [line.split() for line in states.splitlines()[1:] if not line.startswith("#")]
        return tuple(
            ServerState(
                proxy=words[_PROXY],
                server=words[_SERVER],
                operational=_OPERATIONALS[int(words[_OPERATIONAL])],
                admin=_admin(int(words[_ADMIN])),
                sessions=sessions[words[_PROXY], words[_SERVER]],
            )
            for words in lines
        )
    except (IndexError, KeyError, ValueError) as e:
        raise errors.ServerRefused(f"HAProxy described its servers in an unknown way: {e!r}", code="haproxy") from e


def _admin(bits: int) -> Admin:
    if bits & _MAINT:
        return "maint"
    return "drain" if bits & _DRAIN else "ready"
