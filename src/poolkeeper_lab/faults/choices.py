"""Choose the processes of a container that get a signal, by the titles that servers give to their own processes.

Invariant: pure; without a match, the choice is empty. PostgreSQL's titles are "postgres: CLUSTER: ROLE …" (CLUSTER
is the parameter cluster_name), a session's "… USER DATABASE ADDRESS(PORT) ACTIVITY". Pgpool-II's are "pgpool: …", and
a child that serves a session names its client. Sessions through a Unix socket are Patroni's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolkeeper_lab.faults.host import Process
from poolkeeper_lab.faults.processes import Choose

_SESSION = re.compile(r"\S+ \S+ [0-9a-fA-F.:]+\(\d+\) (?P<activity>.*)")
_PGPOOL_SESSION = re.compile(r"pgpool: \S+ \S+ \S+\(\d+\) (?P<activity>.*)")
_SERVED = re.compile(r"pgpool: (wait for connection|accept connection|\S+ \S+ \S+\(\d+\) )")


def below_first(processes: Sequence[Process]) -> Sequence[Process]:
    """Return the children of the container's first process, for example HAProxy's worker."""
    return [p for p in processes[1:] if p.parent == processes[0].pid]


def of_server(role: str) -> Choose:
    """Return a choice of the server's processes by role, such as checkpointer, walwriter, walsender or startup."""
    return lambda processes: [p for p in processes if _role(p).split(" ")[0] == role]


def backends(processes: Sequence[Process]) -> Sequence[Process]:
    """Return the server's processes of sessions over the network, without replication."""
    return [p for p in processes if _is_session(p)]


def backend(processes: Sequence[Process]) -> Sequence[Process]:
    """Return one of the backends: the first one in a transaction or a statement, otherwise the first one."""
    found = backends(processes)
    return [p for p in found if not _role(p).endswith(" idle")][:1] or found[:1]


def pool_children(processes: Sequence[Process]) -> Sequence[Process]:
    """Return Pgpool-II's child processes, whether they serve a session or not."""
    return [p for p in processes if _SERVED.match(_title(p))]


def pool_session(processes: Sequence[Process]) -> Sequence[Process]:
    """Return a child of Pgpool-II that serves a session: the first active one, otherwise the first one."""
    found = [(p, m["activity"]) for p in processes if (m := _PGPOOL_SESSION.match(_title(p)))]
    return [p for p, activity in found if activity.strip() != "idle"][:1] or [p for p, _ in found[:1]]


def one(choose: Choose) -> Choose:
    """Return a choice of only the first process that `choose` finds."""
    return lambda processes: choose(processes)[:1]


def _title(process: Process) -> str:
    return " ".join(process.argv).strip()


def _role(process: Process) -> str:
    """Return the role in a server process's title; "" for any other process."""
    head, colon, rest = _title(process).partition(": ")
    if head != "postgres" or not colon:
        return ""
    name, colon, role = rest.partition(": ")
    return role if colon and " " not in name else rest


def _is_session(process: Process) -> bool:
    role = _role(process)
    return not role.startswith("walsender ") and bool(_SESSION.match(role))
