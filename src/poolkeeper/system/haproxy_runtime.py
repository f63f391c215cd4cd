"""HAProxy's runtime API over TCP (HAProxy 3.0, management guide, "Unix Socket commands").

The commands go as one line on a connection of their own, and HAProxy ends the connection after the last answer; each
answer ends with an empty line, and so do those that are empty. A command that HAProxy refuses does not keep it from the
next one. What is set here lives in the memory of HAProxy's worker: a reload or a restart forgets it.

The API is open to whoever reaches its port, which is in the cluster's network only.
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
# With this, what is said instead of an answer begins with its severity, as syslog counts: "[3]: No such server."
_NUMBERED = "set severity-output number"
_REFUSAL = re.compile(r"\[[0-3]\]: |\[\d\]: Unknown command")
_SERVERS_ONLY = "show stat -1 4 -1"


@dataclass(frozen=True)
class ServerState:
    """A server as HAProxy treats it: what the checks say, what an administrator said, and how many sessions it has."""

    proxy: str
    server: str
    operational: Operational
    admin: Admin
    sessions: int

    @property
    def is_usable(self) -> bool:
        """May a new session go there?"""
        return self.operational != "down" and self.admin == "ready"


def health(proxy: str, server: str, *, up: bool) -> str:
    """Say the checks' next verdict before they do; each further check corrects it.

    Down ends the server's sessions where it has `on-marked-down shutdown-sessions`. Up is believed until `fall` checks
    in a row failed.
    """
    return f"set server {proxy}/{server} health {'up' if up else 'down'}"


def state(proxy: str, server: str, wanted: Admin) -> str:
    """Take a server out of use, or back into it.

    `drain` keeps its checks' verdict and its sessions; `ready` after it is what the checks say. `maint` ends its
    sessions too, and `ready` after it is *up at once*, until the next check fails.
    """
    return f"set server {proxy}/{server} state {wanted}"


def checks(proxy: str, server: str, *, on: bool) -> str:
    """Stop a server's checks, or begin them again.

    A server whose checks are stopped is *up*, whatever they said last: only where nobody relies on the port.
    """
    return f"{'enable' if on else 'disable'} health {proxy}/{server}"


def end_sessions(proxy: str, server: str) -> str:
    """End every session that a server has."""
    return f"shutdown sessions server {proxy}/{server}"


async def send(address: str, port: int, commands: Sequence[str], timeout: float) -> tuple[str, ...]:
    """One connection, one answer a command, in order; all of it within `timeout` seconds.

    Raises Unreachable, or ServerRefused (code "haproxy") if any command was refused, all having been tried.
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
    refused = [f"{command}: {said}" for command, said in zip(commands, answers, strict=True) if _REFUSAL.match(said)]
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
    """The answers in a connection's text: each is lines and an empty line. Raises Unreachable if one is missing.

    An answer that has no lines is one that says nothing: done.
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
    """Every server of every proxy, in HAProxy's order. Raises as `send` does."""
    states, statistics = await send(address, port, ("show servers state", _SERVERS_ONLY), timeout)
    return read_servers(states, statistics)


def read_servers(states: str, statistics: str) -> tuple[ServerState, ...]:
    """The answers to `show servers state` and `show stat -1 4 -1` → states.

    Raises ServerRefused (code "haproxy") for what cannot be read.
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
