"""Who is what, by the nodes' own word.

Invariant: nothing is concluded from a node's name. Where the nodes do not say enough, there are still exactly one
standby fewer than nodes, so that a check keeps its id; the judges then find that it cannot be looked at.
"""

from __future__ import annotations

from poolkeeper.cluster.reading import listed
from poolkeeper.model.probe import Readings, Server
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks.outcomes import Check


def primaries(readings: Readings) -> tuple[str, ...]:
    """The nodes that say they are not in recovery."""
    return tuple(name for name, node in readings.nodes.items() if node.value and not node.value.in_recovery)


def silent(target: Target, readings: Readings) -> tuple[str, ...]:
    """The nodes that did not say what they are."""
    return tuple(name for name in target.names if name not in readings.nodes or readings.nodes[name].value is None)


def standbys(target: Target, readings: Readings) -> tuple[str, ...]:
    """One fewer than nodes, in declared order: those that say so first, then the silent, then surplus primaries."""
    mute, leading = silent(target, readings), primaries(readings)
    rank = {name: 2 if name in leading else 1 if name in mute else 0 for name in target.names}
    chosen = sorted(reversed(target.names), key=rank.__getitem__)[: len(target.names) - 1]
    return tuple(name for name in target.names if name in chosen)


def anybody_answers(readings: Readings) -> bool:
    """Does our vantage point work: did any node answer, be it with an error?"""
    return any(node.answered for node in readings.nodes.values())


def knows_a_node(readings: Readings) -> bool:
    """Did any node tell about itself?"""
    return any(node.value for node in readings.nodes.values())


def find_primary(check: Check, target: Target, readings: Readings) -> str | Verdict:
    """The one node that says it is the primary; or the verdict, where there is none or more than one."""
    leading, mute, asked = primaries(readings), silent(target, readings), readings.nodes.values()
    if len(leading) > 1:
        return check.failed(f"{listed(leading)} each say they are the primary; there must be one", *asked)
    if leading:
        return leading[0]
    if mute:
        return check.unknown(f"No primary was found, and {listed(mute)} did not say what they are", *asked)
    return check.failed("No node says that it is the primary; all are in recovery", *asked)


def node_of(readings: Readings, server: Server) -> str | None:
    """The node that this server is, if it is one that answered us directly."""
    known = readings.nodes.items()
    return next((name for name, n in known if n.value and n.value.server.started == server.started), None)


def name_of(readings: Readings, server: Server) -> str:
    """The node's name, or the server's own address."""
    return node_of(readings, server) or server.label


def node_of_backend(target: Target, readings: Readings, hostname: str) -> str | None:
    """The node that Pgpool-II calls by this host name, where that can be told."""
    if hostname in target.nodes:
        return hostname
    by_address = [n for n, node in readings.nodes.items() if node.value and node.value.server.address == hostname]
    by_host = [name for name, dsn in target.nodes.items() if dsn.host == hostname]
    return next((found[0] for found in (by_address, by_host) if len(found) == 1), None)
