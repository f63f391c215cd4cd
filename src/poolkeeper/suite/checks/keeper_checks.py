"""Group 17: the keeper runs, receives every view that it decides on, and knows the primary."""

from __future__ import annotations

from poolkeeper.cluster.reading import listed, reason
from poolkeeper.model.observed import KeeperView
from poolkeeper.model.probe import Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check, duration


def keeper(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 17. Without the keeper the cluster is correct, only slower, so no other check shows its absence."""
    return _alive(readings), _primary(target, readings)


def _alive(readings: Readings) -> Verdict:
    check, reading = (
        Check("keeper.alive", 17, "The keeper is at work, and sees store, pool and routes"),
        readings.keeper,
    )
    if reading is None:
        return check.unknown("The keeper was not asked")
    if reading.value is None:
        if reading.answered or node_roles.any_node_answers(readings):
            return check.failed(f"The keeper does not answer correctly: {reason(reading)}", reading)
        return check.unknown(f"Neither the keeper nor a node answers: {reason(reading)}", reading)
    if wrong := _idle(reading.value):
        return check.failed(wrong, reading)
    return check.passed(
        f"The keeper answered in {duration(reading.evidence.seconds)}, and nothing is hidden from it", reading
    )


def _idle(view: KeeperView) -> str:
    """Return why the keeper does not work; empty if it does."""
    if not view.healthy:
        return "The keeper answers, but its loop has stalled"
    if view.blind:
        return f"The keeper cannot see {listed(view.blind)}"
    return "The keeper is in maintenance and takes no action" if view.maintenance else ""


def _primary(target: Target, readings: Readings) -> Verdict:
    check, reading = Check("keeper.primary", 17, "The keeper knows the primary"), readings.keeper
    if reading is None or reading.value is None:
        return check.unknown(f"The keeper could not be asked: {reason(reading)}", reading)
    primary = node_roles.find_primary(check, target, readings)
    if isinstance(primary, Verdict):
        return primary
    node, known = readings.nodes[primary], reading.value.primary
    if known != primary:
        return check.failed(
            f"The keeper takes {known or 'no node'} for the primary, but {primary} is it", reading, node
        )
    return check.passed(f"{primary}, by the keeper and by its own report", reading, node)
