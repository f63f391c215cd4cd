"""Groups 4, 6, 9 and 10: writes arrive on the standbys, through connections and slots that are up."""

from __future__ import annotations

from collections.abc import Mapping

from poolkeeper.cluster.reading import SomeReading, listed, reason
from poolkeeper.model.probe import Arrival, Reading, Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check, duration


def streaming_replication(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 4: a row written through Pgpool-II is read on each standby."""
    return tuple(
        _arrival(
            Check(f"streaming_replication.{name}", 4, f"A row written through Pgpool-II is read on {name}"),
            (name, "the row"),
            readings,
            readings.inserted,
            readings.arrivals,
        )
        for name in node_roles.standbys(target, readings)
    )


def ddl_replication(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 6: an ALTER TABLE through Pgpool-II arrives on each standby."""
    return tuple(
        _arrival(
            Check(f"ddl_replication.{name}", 6, f"An ALTER TABLE through Pgpool-II arrives on {name}"),
            (name, "the new column"),
            readings,
            readings.altered,
            readings.columns,
        )
        for name in node_roles.standbys(target, readings)
    )


def _arrival(
    check: Check,
    subject: tuple[str, str],
    readings: Readings,
    written: Reading[str] | None,
    arrivals: Mapping[str, Reading[Arrival]],
) -> Verdict:
    """Check an arrival; `subject` is the node, and what should arrive there."""
    (name, what), node = subject, readings.nodes.get(subject[0])
    if node and node.value and not node.value.in_recovery:
        return check.failed(f"{name} reports to be a primary beside another one", *readings.nodes.values())
    if node is None or node.value is None:
        return check.unknown(f"{name} did not report whether it is a standby: {reason(node)}", node)
    for step, needed in (("make the schema", readings.workspace), (f"write {what}", written)):
        if needed is None or needed.value is None:
            return check.unknown(f"Could not {step} through Pgpool-II: {reason(needed)}", needed)
    arrival = arrivals.get(name)
    if arrival is None or arrival.value is None:
        return check.unknown(f"Could not query {name} for {what}: {reason(arrival)}", written, arrival)
    waited = duration(arrival.value.waited)
    if arrival.value.arrived:
        return check.passed(f"{name} had {what} within {waited} of the write", written, arrival)
    found = f"instead “{arrival.value.found}” was there" if arrival.value.found else "nothing came"
    return check.failed(f"{name} did not have {what} {waited} after the write; {found}", written, arrival)


def wal_streaming(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 9: each standby has a connection to the primary in the state streaming."""
    count = len(target.names) - 1
    check = Check("wal_streaming", 9, f"{count} connections streaming")
    primary = node_roles.find_primary(check, target, readings)
    if isinstance(primary, Verdict):
        return (primary,)
    node, senders = readings.nodes[primary], readings.senders.get(primary)
    if senders is None or senders.value is None:
        return (check.unknown(f"{primary} could not be asked for its connections: {reason(senders)}", node, senders),)
    if any(sender.state is None for sender in senders.value):
        return (check.unknown("This role may not see the connections' state; it lacks pg_monitor", node, senders),)
    streaming = [sender.application for sender in senders.value if sender.state == "streaming"]
    return (_all_there(check, target, primary, (streaming, "streaming"), (node, senders)),)


def replication_slots(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 10: each standby has an active physical slot on the primary."""
    count = len(target.names) - 1
    check = Check("replication_slots", 10, f"{count} active physical slots")
    primary = node_roles.find_primary(check, target, readings)
    if isinstance(primary, Verdict):
        return (primary,)
    node, slots = readings.nodes[primary], readings.slots.get(primary)
    if slots is None or slots.value is None:
        return (check.unknown(f"{primary} could not be asked for its slots: {reason(slots)}", node, slots),)
    active = [slot.name for slot in slots.value if slot.active and slot.kind == "physical"]
    return (_all_there(check, target, primary, (active, "active physical slots"), (node, slots)),)


def _all_there(
    check: Check,
    target: Target,
    primary: str,
    found: tuple[list[str], str],
    based_on: tuple[SomeReading, ...],
) -> Verdict:
    """Check that there are enough, and in our own clusters one for each standby. `found`: names and their kind."""
    names, what = found
    wanted = [name for name in target.names if name != primary]
    absent = [name for name in wanted if slot_name(name) not in {slot_name(n) for n in names}]
    if absent and not target.is_foreign:
        return check.failed(f"{primary}: {_count(names, what)}; missing: {listed(absent)}", *based_on)
    if len(names) < len(wanted):
        return check.failed(f"{primary}: {_count(names, what)}; {len(wanted)} wanted", *based_on)
    return check.passed(f"{primary}: {_count(names, what)}", *based_on)


def _count(names: list[str], what: str) -> str:
    return f"{len(names)} {what} ({listed(names)})" if names else f"0 {what}"


def slot_name(member: str) -> str:
    """Return a slot's name as Patroni makes it from a member's: lower case, _ for a character that is not allowed."""
    return "".join("_" if char in "-. " else char for char in member.lower())
