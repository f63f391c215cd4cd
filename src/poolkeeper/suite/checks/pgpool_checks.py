"""Groups 2 (its second half), 7 and 12: the reports of Pgpool-II, compared with those of the nodes."""

from __future__ import annotations

import re
from collections import Counter

from poolkeeper.cluster.reading import brief, listed, reason
from poolkeeper.model import pool_node_states
from poolkeeper.model.observed import PgpoolNode
from poolkeeper.model.probe import Balance, Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check

OLDEST = (4, 4)  # the oldest Pgpool-II with the SHOW columns and SCRAM support that the suite uses

_VERSION = re.compile(r"(\d+)\.(\d+)")


def backends_up(target: Target, readings: Readings) -> Verdict:
    """Check group 2, second half: Pgpool-II reports all backends up, and the right node as primary."""
    check = Check("pgpool_connection.backends", 2, "Pgpool-II reports all backends up")
    report = readings.backends
    if report is None or report.value is None:
        if report and report.failure and report.failure.is_refused and not report.failure.is_access:
            return check.failed(f"Pgpool-II does not report its backends: {reason(report)}", report)
        return check.unknown(f"Pgpool-II could not be asked: {reason(report)}", report)
    if wrong := _wrong_report(target, report.value):
        return check.failed(wrong, report)
    primary = node_roles.find_primary(check, target, readings)
    if isinstance(primary, Verdict):
        return primary
    if mute := node_roles.silent(target, readings):
        nodes = readings.nodes.values()
        return check.unknown(f"{listed(mute)} did not report their role, to compare with Pgpool-II", report, *nodes)
    return _same_primary(check, target, readings, primary)


def _wrong_report(target: Target, report: tuple[PgpoolNode, ...]) -> str:
    """Return what is wrong in Pgpool-II's own report; empty if nothing is."""
    down = [n for n in report if not pool_node_states.is_in_use(n.status) or n.server_status != pool_node_states.UP]
    if down:
        found = "; ".join(f"{n.hostname} is {n.status}, its server {n.server_status}" for n in down)
        return f"Pgpool-II reports {len(down)} of {len(report)} backends not up: {found}"
    if len(report) < len(target.names):
        return f"Pgpool-II has {len(report)} backends, the cluster {len(target.names)} nodes"
    leading = [n.hostname for n in report if n.role == "primary"]
    if len(leading) != 1:
        return f"Pgpool-II reports {len(leading)} primaries; there must be one"
    return ""


def _same_primary(check: Check, target: Target, readings: Readings, primary: str) -> Verdict:
    """Compare by name or address; if Pgpool-II's host names match no node, by the node that answers behind it."""
    report, pool, nodes = readings.backends, readings.balanced, readings.nodes.values()
    rows = report.value if report and report.value else ()
    hostname = next(n.hostname for n in rows if n.role == "primary")
    taken = node_roles.node_of_backend(target, readings, hostname)
    if taken is None and (pool is None or pool.value is None):
        return check.unknown(f"Which node {hostname} is could not be determined", report, pool, *nodes)
    if taken is None and pool and pool.value:
        taken = node_roles.name_of(readings, pool.value.server)
    if taken != primary:
        return check.failed(f"Pgpool-II takes {taken} for the primary, but {primary} is it", report, *nodes)
    return check.passed(f"All {len(rows)} backends are up, and {primary} is the primary", report, *nodes)


def load_balancing(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 7: reads over many sessions are served by more than one node, by both counts."""
    check = Check("load_balancing", 7, "Reads are spread over the nodes")
    reading = readings.balance
    if reading is None or reading.value is None:
        return (check.unknown(f"The reads could not be made: {reason(reading)}", reading),)
    balance = reading.value
    if not balance.served:
        why = f": {brief(balance.failures[0])}" if balance.failures else ""
        return (check.unknown(f"None of {balance.sessions} reads was answered{why}", reading),)
    if balance.failures:
        lost = f"{len(balance.failures)} of {balance.sessions} reads failed"
        return (check.failed(f"{lost}: {brief(balance.failures[0])}", reading),)
    counted = _counted(balance)
    if counted is None:
        return (check.unknown("Pgpool-II's counters were reset during the reads", reading),)
    if wrong := _wrong_spread(target, readings, balance, counted):
        return (check.failed(wrong, reading),)
    shares = _shares(readings, balance)
    return (
        check.passed(f"{balance.sessions} reads were served by {shares}; Pgpool-II counts the same nodes", reading),
    )


def _counted(balance: Balance) -> dict[str, int] | None:
    """Return SELECTs by host name that Pgpool-II counted meanwhile (also of other clients); None if a counter fell."""
    before = {node.index: node.selects for node in balance.before}
    if {node.index for node in balance.after} != set(before):
        return None
    counted: Counter[str] = Counter()
    for node in balance.after:
        if node.selects < before[node.index]:
            return None
        counted[f"{node.hostname}"] += node.selects - before[node.index]
    return dict(counted)


def _wrong_spread(target: Target, readings: Readings, balance: Balance, counted: dict[str, int]) -> str:
    """Return what is wrong with the nodes that served; empty if nothing is."""
    served = _served(readings, balance)
    if len(served) < 2:
        return f"All {balance.sessions} reads were served by {next(iter(served))}"
    if sum(count > 0 for count in counted.values()) < 2:
        return f"Pgpool-II counts reads on one node at most, although {listed(served)} answered"
    for hostname, count in counted.items():
        node = node_roles.node_of_backend(target, readings, hostname)
        if node and count < served.get(node, 0):
            return f"The counts disagree: Pgpool-II sent {count} reads to {node}, which answered {served[node]}"
    return ""


def _served(readings: Readings, balance: Balance) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for server, count in balance.served.items():
        counts[node_roles.name_of(readings, server)] += count
    return dict(sorted(counts.items()))


def _shares(readings: Readings, balance: Balance) -> str:
    return listed(f"{name} ({count})" for name, count in _served(readings, balance).items())


def pgpool_version(_target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 12: Pgpool-II reports its version, which is recent enough, and its processes."""
    check = Check("pgpool_version", 12, "Pgpool-II reports its version and its processes")
    reading = readings.pgpool
    if reading is None or reading.value is None:
        if reading and reading.failure and reading.failure.is_refused and not reading.failure.is_access:
            return (
                check.failed(
                    f"The server that answers does not report Pgpool-II's version: {reason(reading)}", reading
                ),
            )
        return (check.unknown(f"Pgpool-II could not be asked: {reason(reading)}", reading),)
    found, oldest = _VERSION.match(reading.value.version), ".".join(map(str, OLDEST))
    if not found:
        return (check.failed(f"“{reading.value.version}” is no version of Pgpool-II", reading),)
    if (int(found[1]), int(found[2])) < OLDEST:
        return (check.failed(f"Pgpool-II {reading.value.version} is older than {oldest}", reading),)
    if not reading.value.processes:
        return (check.failed(f"Pgpool-II {reading.value.version} reports no process", reading),)
    return (check.passed(f"Pgpool-II {reading.value.version}, {reading.value.processes} processes", reading),)
