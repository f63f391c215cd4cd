"""Why a server does not start, from the last lines of its log. Pure.

Invariant: a message counts only if the server has not become ready since, and if it is not about a single client.
Sources: PostgreSQL 17 (postmaster.c, xlogrecovery.c, tablespace.c, guc-file.l); its messages are in English, since the
images set no other locale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LOG_LINES = 300  # several attempts to start
_READY = re.compile(r"database system is ready to accept")
_SEVERE = re.compile(r"\b(PANIC|FATAL):\s+(.*\S)")
_HINT = re.compile(r"\bHINT:\s+(.*\S)")
# Refusals and ends of single sessions, which a server that starts logs as well.
_OF_A_SESSION = re.compile(
    r"the database system is |terminating (connection|walreceiver|background|autovacuum|logical)|authentication failed"
    r"|no pg_hba\.conf entry|(role|database) \".*\" does not exist|too many (clients|connections)|connection slots"
    r"|canceling |could not (connect to|receive data from|send data to)|connection to client lost|replication slot"
)
_TABLESPACE = re.compile(r'directory "(?P<path>[^"]+)" does not exist')


def reason(lines: Iterable[str]) -> str:
    """Return the last message that ended a start, with its hint; "" if there is none, or if the server became ready."""
    found, hint = "", ""
    for line in lines:
        if _READY.search(line):
            found, hint = "", ""
        elif severe := _SEVERE.search(line):
            if not _OF_A_SESSION.search(severe[2]):
                found, hint = f"{severe[1]}: {severe[2]}", ""
        elif found and not hint and (advice := _HINT.search(line)):
            hint = f" ({advice[1]})"
    return found + hint


def way_out(message: str, container: str) -> str:
    """Return what repairs a server that does not start for this reason."""
    if tablespace := _TABLESPACE.search(message):
        path = tablespace["path"]
        return (
            f"A tablespace needs the same directory on every node: docker exec --user 0 {container} "
            f"install -d -o postgres -g postgres -m 0700 {path}"
        )
    return "poolkeeper logs shows the attempts; `poolkeeper reinit` clones a standby again."
