"""Group 14: no node behind the read-only endpoint accepts a write, and its reads are spread."""

from __future__ import annotations

from collections import Counter

from poolkeeper.cluster.reading import brief, listed, reason
from poolkeeper.model import proxies
from poolkeeper.model.probe import Reading, Readings, ReadOnlyFacts, ReadOnlySession
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check
from poolkeeper.suite.checks.write_checks import READ_ONLY


def read_only_endpoint(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 14: servers in recovery refuse a write, even one on request; reads come from the standbys."""
    refusal = Check("read_only_endpoint.refusal", 14, f"The read-only endpoint ({target.ro.port}) refuses every write")
    spread = Check(
        "read_only_endpoint.spread", 14, f"The read-only endpoint ({target.ro.port}) spreads over the standbys"
    )
    reading = readings.read_only
    if reading is None or reading.value is None or not reading.value.sessions:
        verdict = spread.unknown(_nothing_tried(reading), reading)
    else:
        verdict = _spread(spread, target, readings, reading, reading.value)
    return refuses_writes(refusal, readings, reading), verdict


def _nothing_tried(reading: Reading[ReadOnlyFacts] | None) -> str:
    """Return why there is no session to evaluate."""
    if reading is None or reading.value is None:
        return f"No session could be tried: {reason(reading)}"
    failures = reading.value.failures
    return f"No session was given: {brief(failures[0]) if failures else 'none was tried'}"


def refuses_writes(check: Check, readings: Readings, reading: Reading[ReadOnlyFacts] | None) -> Verdict:
    """Did every session that was tried get the refusal of a server in recovery?"""
    if reading is None or reading.value is None or not reading.value.sessions:
        return check.unknown(_nothing_tried(reading), reading)
    found = reading.value
    for session in found.sessions:
        if wrong := _accepts(session):
            return check.failed(f"{node_roles.name_of(readings, session.server)} {wrong}", reading)
    if found.failures:
        lost = f"{len(found.failures)} of {_count(found)} sessions could not be tried"
        return check.unknown(f"{lost}: {brief(found.failures[0])}", reading)
    count = len(found.sessions)
    return check.passed(
        f"{count} sessions were refused with SQLSTATE {READ_ONLY}, and again after they asked to write", reading
    )


def _accepts(session: ReadOnlySession) -> str:
    """Return what is wrong with a session's writes; a setting alone is no refusal, since a client can change it."""
    for code, when in ((session.first, ""), (session.asked, " after the session asked to write")):
        if not code:
            return f"accepted the write{when}"
        if code != READ_ONLY:
            return f"refused the write{when} with SQLSTATE {code} instead of {READ_ONLY}"
    return "" if session.in_recovery else "refused by a setting only: it is not in recovery"


def _count(found: ReadOnlyFacts) -> int:
    return len(found.sessions) + len(found.failures)


def _spread(
    check: Check, target: Target, readings: Readings, reading: Reading[ReadOnlyFacts], found: ReadOnlyFacts
) -> Verdict:
    nodes = readings.nodes.values()
    for session in found.sessions:
        if wrong := _wrong_server(target, readings, session):
            return check.failed(wrong, reading, *nodes)
    if found.failures:
        lost = f"{len(found.failures)} of {_count(found)} sessions failed"
        return check.failed(f"{lost}: {brief(found.failures[0])}", reading)
    served = Counter(node_roles.name_of(readings, session.server) for session in found.sessions)
    shares = listed(f"{name} ({count})" for name, count in sorted(served.items()))
    if len(served) > 1:
        return check.passed(f"{len(found.sessions)} sessions were answered by {shares}", reading)
    return _one_server(check, target, readings, reading, next(iter(served)))


def _wrong_server(target: Target, readings: Readings, session: ReadOnlySession) -> str:
    server = node_roles.name_of(readings, session.server)
    if not session.in_recovery:
        return f"{server} answered, which is not in recovery; this endpoint must lead to standbys"
    if not node_roles.silent(target, readings) and node_roles.node_of(readings, session.server) is None:
        return f"{server} answered, which is none of the nodes"
    return ""


def _one_server(
    check: Check, target: Target, readings: Readings, reading: Reading[ReadOnlyFacts], only: str
) -> Verdict:
    """Check the case that one standby answered all: a spread only if HAProxy counts sessions on the others.

    HAProxy gives a new session to the standby with the fewest, and Pgpool-II keeps connections for the next session; so
    a few sessions may all reach one standby while the others serve more.
    """
    count, nodes = len(reading.value.sessions) if reading.value else 0, readings.nodes.values()
    others = [n for n, node in readings.nodes.items() if node.value and node.value.in_recovery and n != only]
    busy = [name for name in others if _sessions_at_endpoint(reading.value, name)]
    if busy:
        return check.passed(
            f"{only} answered {count} sessions; HAProxy counts others on {listed(busy)}", reading, *nodes
        )
    if others:
        return check.failed(f"{only} answered all {count} sessions, none is on {listed(others)}", reading, *nodes)
    if mute := node_roles.silent(target, readings):
        why = (
            f"{only} answered all {count} sessions, and {listed(mute)} did not report whether there is another standby"
        )
        return check.unknown(why, reading, *nodes)
    return check.passed(f"{only}, the only standby, answered all {count} sessions", reading, *nodes)


def _sessions_at_endpoint(found: ReadOnlyFacts | None, name: str) -> int:
    """Return the sessions that HAProxy has on a standby that is up."""
    row = found.counted.row(proxies.STANDBYS, name) if found and found.counted else None
    return row.sessions if row and row.is_up else 0
