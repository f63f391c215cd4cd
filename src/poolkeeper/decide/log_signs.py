"""Log lines → steps of a role change: the meaning of each program's messages.

Sources: Patroni 4 (ha.py, api.py, postgresql/rewind.py, postgresql/bootstrap.py), PostgreSQL 17 (xlog.c,
xlogrecovery.c, postmaster.c, walreceiver.c), Pgpool-II 4.6 (main/pgpool_main.c), HAProxy 3.0 (server.c), and our own
supervisor and keeper, which write JSON. A line that no sign matches is not part of a role change.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poolkeeper.model.decision import Verb
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.timeline import EventKind, LogLine, TimelineEvent


@dataclass(frozen=True)
class Sign:
    """A message of a program. The group `node`, where there is one, names the node; `index` its number."""

    kind: EventKind
    pattern: re.Pattern[str]


def _signs(*pairs: tuple[EventKind, str]) -> tuple[Sign, ...]:
    return tuple(Sign(kind, re.compile(pattern)) for kind, pattern in pairs)


# A node's container: Patroni and PostgreSQL. Where no group names a node, it is the container's own.
NODE = _signs(
    (EventKind.ASKED, r"received (switchover|failover) request with leader=\S+ candidate=\S+"),
    (EventKind.DEMOTED, r"Demoting self \([\w-]+\)"),
    (EventKind.DEMOTED, r"[Dd]emot(ed|ing) self because .*"),
    (EventKind.DEMOTED, r"Primary crashed\. Failing over\."),
    (EventKind.STOPPED, r"received (fast|immediate|smart) shutdown request"),
    (EventKind.STOPPED, r"database system is shut down"),
    (EventKind.DIED, r"server process \(PID \d+\) was terminated by signal \d+.*"),
    (EventKind.LOST, r"could not receive data from WAL stream: .*|replication terminated by primary server"),
    (EventKind.RELEASED, r"Leader key released"),
    (EventKind.VOTED, r"Got quorum vote from (?P<node>\S+)"),
    (EventKind.LOCKED, r"Cleaning up failover key after acquiring leader lock\.\.\."),
    (EventKind.LOCKED, r"promoted self to leader by acquiring session lock"),
    (EventKind.PROMOTING, r"received promote request"),
    (EventKind.PROMOTED, r"selected new timeline ID: \d+"),
    (EventKind.PROMOTED, r"archive recovery complete"),
    (EventKind.STARTED, r"database system is ready to accept (read-only )?connections"),
    (EventKind.REWOUND, r"running pg_rewind from .*"),
    (EventKind.REWOUND, r"pg_rewind exit code=\d+"),
    (EventKind.CLONED, r"replica has been created using \S+"),
    (EventKind.STREAMING, r"started streaming WAL from primary at \S+ on timeline \d+"),
)
POOL = _signs(
    (
        EventKind.POOL_CHANGED,
        r"(?i)starting (degeneration|quarantine|fail ?back|promot).*? host (?P<node>[^\s(]+)\(\d+\)",
    ),
    (EventKind.POOL_CHANGED, r"failover: set new primary node: (?P<index>-?\d+)"),
    (EventKind.POOL_CHANGED, r"(?i)fail(over|back) done\. (shutdown|reconnect|promote) host (?P<node>[^\s(]+)\(\d+\)"),
)
ENDPOINT = _signs(
    (
        EventKind.ROUTE_DOWN,
        r"Server (primary|standbys)/(?P<node>[^\s.]+) (is DOWN|is going DOWN for maintenance|was DOWN and now)",
    ),
    (EventKind.ROUTE_UP, r"Server (primary|standbys)/(?P<node>[^\s.]+) is UP\b"),
)
KEEPER_EVENTS = {"decided": EventKind.DECIDED, "done": EventKind.DONE}


def classify(spec: ClusterSpec, line: LogLine) -> TimelineEvent | None:
    """Return the step that a line reports; None for any other line."""
    if line.service == spec.keeper.service:
        return _keeper(line)
    names = [node.name for node in spec.nodes]
    if line.service in names:
        return _supervisor(line) or _matched(line, NODE, names, own=line.service)
    if line.service == spec.haproxy.service:
        return _matched(line, ENDPOINT, names)
    return _matched(line, POOL, names) if line.service in spec.endpoint_by_service() else None


def _matched(line: LogLine, signs: Sequence[Sign], nodes: Sequence[str], own: str = "") -> TimelineEvent | None:
    for sign in signs:
        found = sign.pattern.search(line.text)
        if found:
            return TimelineEvent(line.at, line.service, sign.kind, _node(found, nodes) or own, found.group(0))
    return None


def _node(found: re.Match[str], nodes: Sequence[str]) -> str:
    """Return the node that the message names; a host that is no node of ours (an inner port of HAProxy) names none."""
    groups = found.groupdict()
    if groups.get("index") is not None:
        index = int(groups["index"])
        return nodes[index] if 0 <= index < len(nodes) else ""
    return groups["node"] if groups.get("node") in nodes else ""


def _document(text: str) -> dict[str, Any]:
    """Return the content of a JSON line; an empty document for any other line."""
    if not text.startswith("{"):
        return {}
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _supervisor(line: LogLine) -> TimelineEvent | None:
    document = _document(line.text)
    event = document.get("supervisor")
    if event == "ends the node":
        return TimelineEvent(
            line.at, line.service, EventKind.DIED, line.service, f"{event}: {document.get('cause', '')}"
        )
    if event == "starts Patroni again":
        return TimelineEvent(line.at, line.service, EventKind.STARTED, line.service, str(event))
    return None


def _keeper(line: LogLine) -> TimelineEvent | None:
    document = _document(line.text)
    event, node = document.get("event"), str(document.get("node", ""))
    why = str(document.get("why", ""))
    if event == "seen" and document.get("process") == "dead":
        return TimelineEvent(line.at, line.service, EventKind.DIED, node, f"{node}: {why}")
    kind = KEEPER_EVENTS.get(str(event))
    if kind is None:
        return None
    what = " ".join(str(part) for part in (document.get("what"), node) if part)
    if kind is EventKind.DONE and document.get("what") == Verb.RELEASE.value:
        kind = EventKind.RELEASED
    where = f" ({document['proxy']})" if document.get("proxy") else ""
    return TimelineEvent(line.at, line.service, kind, node, f"{what}{where}" + (f": {why}" if why else ""))
