"""Groups 1 and 8: the nodes themselves."""

from __future__ import annotations

from collections import defaultdict

from poolkeeper.cluster.reading import listed, reason
from poolkeeper.model.probe import Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check, duration


def node_status(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 1: each node is up."""
    return tuple(_node_status(name, target, readings) for name in target.names)


def _node_status(name: str, target: Target, readings: Readings) -> Verdict:
    """Check a node; a silent one is down if another answers, else the fault may be on this side."""
    check = Check(f"node_status.{name}", 1, f"{name} is up")
    node, where = readings.nodes.get(name), target.monitors[name].where
    if node is None:
        return check.unknown(f"{name} was not asked")
    if node.value:
        took = duration(node.evidence.seconds)
        return check.passed(f"{name} answered in {took} as {node.value.role}, timeline {node.value.timeline}", node)
    if node.failure and node.failure.is_access:
        return check.unknown(f"{name} refuses this user, so its state is not known: {reason(node)}", node)
    if node.answered:
        return check.failed(f"{name} answers, but gives no session: {reason(node)}", node)
    if node_roles.any_node_answers(readings):
        return check.failed(f"{name} does not answer at {where}, while other nodes do: {reason(node)}", node)
    return check.unknown(f"No node answers; the fault may lie between here and there: {reason(node)}", node)


def version_consistency(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 8: all nodes run the same PostgreSQL version. Two that differ are enough to fail."""
    check = Check("version_consistency", 8, "All nodes run the same PostgreSQL version")
    asked, nodes_by_version = readings.nodes.values(), defaultdict(list)
    for name, node in readings.nodes.items():
        if node.value:
            nodes_by_version[node.value.version].append(name)
    if len(nodes_by_version) > 1:
        found = "; ".join(f"{version} on {listed(names)}" for version, names in nodes_by_version.items())
        return (check.failed(f"The versions differ: {found}", *asked),)
    if mute := node_roles.silent(target, readings):
        return (check.unknown(f"{listed(mute)} could not be asked for the version", *asked),)
    return (check.passed(f"All {len(target.names)} nodes run PostgreSQL {next(iter(nodes_by_version))}", *asked),)
