"""Group 16: a commit is acknowledged only when enough standbys have it on disk.

The group does not apply if `cluster.toml` declares that none has to (`groups.inapplicable`). Not promised: that no
session lowers the level for itself, which PostgreSQL allows.
"""

from __future__ import annotations

import re

from poolkeeper.cluster.reading import listed, reason
from poolkeeper.model.probe import CommitFacts, Readings
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check

# The values of synchronous_commit that wait until standbys have flushed; remote_write waits for their memory only.
FLUSHED = ("on", "remote_apply")
ACKNOWLEDGES = ("quorum", "sync")  # sync_state of a standby whose acknowledgement counts

# "ANY 1 (a,b)", "FIRST 2 (a,b)", "2 (a,b)"; a list without a number is as FIRST 1.
_NUMBER = re.compile(r"(?:(?:ANY|FIRST)\s+)?(\d+)\s*\(", re.I)


def quorum_commit(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 16: the primary waits for the declared number of standbys, they are there, and a session waits."""
    return _in_force(target, readings), _session(readings)


def _in_force(target: Target, readings: Readings) -> Verdict:
    declared = target.own.acknowledgements if target.own else 0
    check = Check("quorum_commit.in_force", 16, f"The primary waits for {declared} standby{'s' * (declared != 1)}")
    if not declared:
        return check.unknown("Nothing is declared to wait for")
    primary = node_roles.find_primary(check, target, readings)
    if isinstance(primary, Verdict):
        return primary
    node, reading = readings.nodes[primary], readings.commit.get(primary)
    if reading is None or reading.value is None:
        return check.unknown(
            f"{primary} could not be asked which standbys it waits for: {reason(reading)}", node, reading
        )
    if any(standby.sync_state is None for standby in reading.value.standbys):
        return check.unknown("This role may not see the connections' state; it lacks pg_monitor", node, reading)
    if wrong := _wrong(reading.value, declared):
        return check.failed(f"{primary}: {wrong}", node, reading)
    names, there = reading.value.synchronous_standby_names, listed(_acknowledging(reading.value))
    return check.passed(f"{primary} waits for {names}; there to acknowledge: {there}", node, reading)


def _wrong(found: CommitFacts, declared: int) -> str:
    """Return why fewer standbys than declared have every commit; empty if enough do."""
    names = found.synchronous_standby_names
    if not names.strip():
        return "synchronous_standby_names is empty, so it waits for no standby"
    number = _NUMBER.match(names)
    waits_for = int(number[1]) if number else 1
    if waits_for < declared:
        return f"it waits for {waits_for} ({names}); {declared} are declared"
    there = _acknowledging(found)
    if len(there) < declared:
        return f"{len(there)} standbys can acknowledge a commit, {declared} must; it waits for {names}"
    return ""


def _acknowledging(found: CommitFacts) -> list[str]:
    return [s.application for s in found.standbys if s.state == "streaming" and s.sync_state in ACKNOWLEDGES]


def _session(readings: Readings) -> Verdict:
    check, reading = (
        Check("quorum_commit.session", 16, "A session waits for it at its commits"),
        readings.session_commit,
    )
    if reading is None or reading.value is None:
        return check.unknown(f"The read-write endpoint gave no session: {reason(reading)}", reading)
    if reading.value not in FLUSHED:
        return check.failed(
            f"synchronous_commit is {reading.value}: a commit is acknowledged before a standby has it on disk", reading
        )
    return check.passed(f"synchronous_commit is {reading.value} in a session of the read-write endpoint", reading)
