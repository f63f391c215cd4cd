"""The roles of the nodes, by their own reports.

Invariant: nothing is concluded from a node's name. If the nodes do not report enough, the number of standbys is still
that of the nodes less one. A check thus keeps its id, and its outcome is unknown.
"""

from __future__ import annotations

from poolkeeper.cluster.reading import listed
from poolkeeper.model.probe import Readings, Server
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks.outcomes import Check


def primaries(readings: Readings) -> tuple[str, ...]:
    """Return the nodes that report that they are not in recovery."""
    return tuple(name for name, node in readings.nodes.items() if node.value and not node.value.in_recovery)


def silent(target: Target, readings: Readings) -> tuple[str, ...]:
    """Return the nodes that did not report their role."""
    return tuple(name for name in target.names if name not in readings.nodes or readings.nodes[name].value is None)


def standbys(target: Target, readings: Readings) -> tuple[str, ...]:
    """Return all nodes but one, in declared order: those that report it, then the silent, then surplus primaries."""
    mute, leading = silent(target, readings), primaries(readings)
    rank = {name: 2 if name in leading else 1 if name in mute else 0 for name in target.names}
    chosen = sorted(reversed(target.names), key=rank.__getitem__)[: len(target.names) - 1]
    return tuple(name for name in target.names if name in chosen)


def any_node_answers(readings: Readings) -> bool:
    """Return whether any node answered, even with an error: then the way from here to the cluster works."""
    return any(node.answered for node in readings.nodes.values())


def knows_a_node(readings: Readings) -> bool:
    """Return whether any node reported its role."""
    return any(node.value for node in readings.nodes.values())


def find_primary(check: Check, target: Target, readings: Readings) -> str | Verdict:
    """Return the one node that reports to be the primary, or the verdict if there is none or more than one."""
    leading, mute, asked = primaries(readings), silent(target, readings), readings.nodes.values()
    if len(leading) > 1:
        return check.failed(f"{listed(leading)} each report to be the primary; there must be one", *asked)
    if leading:
        return leading[0]
    if mute:
        return check.unknown(f"No primary was found, and {listed(mute)} did not report their role", *asked)
    return check.failed("No node reports to be the primary; all are in recovery", *asked)


def node_of(readings: Readings, server: Server) -> str | None:
    """Return the node that this server is, if that node answered directly."""
    known = readings.nodes.items()
    return next((name for name, n in known if n.value and n.value.server.started == server.started), None)


def name_of(readings: Readings, server: Server) -> str:
    """Return the node's name, or the server's own address."""
    return node_of(readings, server) or server.label


def node_of_backend(target: Target, readings: Readings, hostname: str) -> str | None:
    """Return the node that Pgpool-II calls by this host name; None if that is unknown."""
    if hostname in target.nodes:
        return hostname
    by_address = [n for n, node in readings.nodes.items() if node.value and node.value.server.address == hostname]
    by_host = [name for name, dsn in target.nodes.items() if dsn.host == hostname]
    return next((found[0] for found in (by_address, by_host) if len(found) == 1), None)
