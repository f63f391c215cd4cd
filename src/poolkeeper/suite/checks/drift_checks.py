"""Group 15: all four components report the same role for every node, and the keeper has nothing left to repair.

The reference is PostgreSQL's own report, as everywhere in the suite. The check evaluates one observation: a repair that
is in progress at that moment is drift at that moment.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.cluster.reading import SomeReading, listed, reason
from poolkeeper.model import pool_node_states, proxies
from poolkeeper.model.observed import KeeperView, PatroniView
from poolkeeper.model.probe import Reading, Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check, duration


def no_drift(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 15: PostgreSQL, Patroni, Pgpool-II and HAProxy agree; the keeper's list is empty."""
    return _roles(target, readings), _keeper(readings)


def _roles(target: Target, readings: Readings) -> Verdict:
    check = Check("no_drift.roles", 15, "PostgreSQL, Patroni, Pgpool-II and HAProxy agree on every role")
    based_on = _based_on(readings)
    differ = [found for name in target.names for found in _differences(name, readings)]
    if differ:
        return check.failed("; ".join(differ), *based_on)
    primary = node_roles.find_primary(check, target, readings)
    if isinstance(primary, Verdict):
        return primary
    if mute := list(_mute(target, readings)):
        return check.unknown(f"{listed(mute)} did not report the roles", *based_on)
    standbys = [name for name in target.names if name != primary]
    rest = f"; standbys: {listed(standbys)}" if standbys else ""
    return check.passed(f"All four agree on {len(target.names)} nodes: primary: {primary}{rest}", *based_on)


def _based_on(readings: Readings) -> tuple[SomeReading, ...]:
    return *readings.nodes.values(), *readings.patroni.values(), readings.backends, readings.stats


def _differences(name: str, readings: Readings) -> Iterator[str]:
    """Yield where the other components differ from a node that reported its role."""
    node = readings.nodes.get(name)
    if node is None or node.value is None:
        return
    for component, reported in _reported(name, readings):
        if reported != node.value.role:
            yield f"{name} is {node.value.role} by its own report, {reported} by {component}"


def _reported(name: str, readings: Readings) -> Iterator[tuple[str, str]]:
    """Yield (component, role) of each one that answered: primary, standby, or another word for neither."""
    by_patroni = {_role_by_patroni(r.value, name) for r in readings.patroni.values() if r.value}
    if by_patroni:
        yield "Patroni", " and ".join(sorted(by_patroni))
    if readings.backends and readings.backends.value is not None:
        backend = next((b for b in readings.backends.value if b.hostname == name), None)
        up = backend is not None and pool_node_states.is_in_use(backend.status)
        yield (
            "Pgpool-II",
            "not known" if backend is None else backend.role if up else f"{backend.role}, {backend.status}",
        )
    if readings.stats and readings.stats.value:
        yield "HAProxy", proxies.role_of(readings.stats.value, name)


def _role_by_patroni(view: PatroniView, name: str) -> str:
    member = view.member(name)
    return "not known" if member is None else "primary" if member.is_leader else "standby"


def _mute(target: Target, readings: Readings) -> Iterator[str]:
    """Yield the names of the components that did not answer."""
    yield from node_roles.silent(target, readings)
    for name in target.names:
        if name not in readings.patroni or readings.patroni[name].value is None:
            yield f"{name}'s Patroni"
    for component, reading in (("Pgpool-II", readings.backends), ("HAProxy", readings.stats)):
        if reading is None or reading.value is None:
            yield component


def _keeper(readings: Readings) -> Verdict:
    """Check the keeper's list, which is also empty while the keeper sees nothing or is in maintenance."""
    check, reading = Check("no_drift.keeper", 15, "The keeper has nothing to repair"), readings.keeper
    if reading is None or reading.value is None:
        return check.unknown(f"The keeper could not be asked: {reason(reading)}", reading)
    return _open_matters(check, reading.value, reading)


def _open_matters(check: Check, view: KeeperView, reading: Reading[KeeperView]) -> Verdict:
    if view.open_matters:
        age = duration(view.drift_seconds)
        return check.failed(f"For {age} there is something to repair: {'; '.join(view.open_matters)}", reading)
    if view.blind:
        return check.unknown(f"The keeper cannot see everything: {'; '.join(view.blind)}", reading)
    if view.maintenance or not view.healthy:
        why = "is in maintenance" if view.maintenance else "has stalled"
        return check.unknown(f"The keeper {why}, so it detects no drift", reading)
    return check.passed("The keeper sees everything, and nothing is left to repair", reading)
