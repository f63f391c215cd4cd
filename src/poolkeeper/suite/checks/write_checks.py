"""Groups 5 and 11: standbys refuse writes, and the cluster keeps concurrent writes."""

from __future__ import annotations

from poolkeeper.cluster.reading import brief, listed, reason
from poolkeeper.model.probe import FailureKind, Inserts, Reading, Readings, RowsSeen
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import Verdict
from poolkeeper.suite.checks import node_roles
from poolkeeper.suite.checks.outcomes import Check, duration

READ_ONLY = "25006"  # read_only_sql_transaction


def write_isolation(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 5: each standby refuses a write with SQLSTATE 25006."""
    return tuple(_refusal(name, readings) for name in node_roles.standbys(target, readings))


def _refusal(name: str, readings: Readings) -> Verdict:
    check = Check(f"write_isolation.{name}", 5, f"{name} refuses a write")
    attempt, node = readings.attempts.get(name), readings.nodes.get(name)
    if node and node.value and not node.value.in_recovery:
        return check.failed(f"{name} reports to be a primary beside another one", *readings.nodes.values(), attempt)
    if attempt is None or attempt.value is None:
        return check.unknown(f"A write on {name} could not be tried: {reason(attempt)}", attempt)
    tried = attempt.value
    if not tried.code:
        return check.failed(f"{name} accepted the write", attempt)
    if tried.code != READ_ONLY:
        return check.failed(f"{name} refused with SQLSTATE {tried.code} instead of {READ_ONLY}", attempt)
    if not tried.in_recovery:
        return check.failed(f"{name} refused by a setting only: it is not in recovery", attempt)
    return check.passed(f"{name} refused the write with SQLSTATE {READ_ONLY}", attempt)


def concurrent_writes(target: Target, readings: Readings) -> tuple[Verdict, ...]:
    """Check group 11: the rows of concurrent sessions are all on every node, each once."""
    check = Check("concurrent_writes", 11, "Rows from concurrent sessions are all on every node")
    inserts = readings.inserts
    for step, needed in (("make the schema", readings.workspace), ("write", inserts)):
        if needed is None or needed.value is None:
            return (check.unknown(f"Could not {step} through Pgpool-II: {reason(needed)}", needed),)
    written = inserts.value if inserts else None
    if inserts is None or written is None:
        return (check.unknown("Nothing was written", inserts),)
    if written.failures or set(written.acknowledged) != set(written.intended):
        return (_incomplete(check, written, inserts),)
    return (_everywhere(check, target, readings, inserts, written),)


def _incomplete(check: Check, written: Inserts, inserts: Reading[Inserts]) -> Verdict:
    """Return unknown if every failed commit lacks only its quorum's acknowledgement, else a failure."""
    count = f"{len(written.acknowledged)} of {len(written.intended)} rows were acknowledged"
    if not written.failures:
        return check.failed(count, inserts)
    text = f"{count}; {len(written.failures)} sessions failed: {brief(written.failures[0])}"
    if all(failure.kind is FailureKind.AMBIGUOUS for failure in written.failures):
        return check.unknown(text, inserts)
    return check.failed(text, inserts)


def _everywhere(
    check: Check, target: Target, readings: Readings, inserts: Reading[Inserts], written: Inserts
) -> Verdict:
    readings_by_node = {name: readings.rows.get(name) for name in target.names}
    wanted = tuple(sorted(written.intended))
    known = {
        name: reading.value
        for name, reading in readings_by_node.items()
        if reading is not None and reading.value is not None
    }
    wrong = [_difference(name, seen, wanted) for name, seen in known.items() if seen.rows != wanted]
    if wrong:
        return check.failed(f"Of {len(wanted)} rows, {'; '.join(wrong)}", inserts, *readings_by_node.values())
    if mute := [name for name in target.names if name not in known]:
        why = reason(readings_by_node[mute[0]])
        return check.unknown(
            f"{listed(mute)} could not be asked for the rows: {why}", inserts, *readings_by_node.values()
        )
    slowest = duration(max((seen.waited for seen in known.values()), default=0.0))
    return check.passed(
        f"All {len(wanted)} rows were on all {len(known)} nodes, {slowest} after the last write",
        inserts,
        *readings_by_node.values(),
    )


def _difference(name: str, seen: RowsSeen, wanted: tuple[tuple[int, int], ...]) -> str:
    missing, extra = set(wanted) - set(seen.rows), set(seen.rows) - set(wanted)
    doubled = len(seen.rows) - len(set(seen.rows))
    parts = ((missing and len(missing), "missing"), (extra and len(extra), "unexpected"), (doubled, "doubled"))
    return f"{name} has {', '.join(f'{count} {word}' for count, word in parts if count)}"
