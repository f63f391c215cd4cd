"""Check the final state: after all faults were healed, the cluster has recovered and its nodes have the same data.

Invariant: a field that is None, or lacks a declared node, is unknown, never good. Pure: `final_state_collector`
collects the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, some
from poolkeeper_lab.chaos.history.final_state import HEAL_SECONDS, FinalState


@dataclass
class _Reading:
    """The results so far, while the fields are checked."""

    state: FinalState
    anomalies: list[Anomaly] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)

    def broken(self, name: str, text: str) -> None:
        self.anomalies.append(Anomaly(name, text))

    def of_each_node(self, name: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the known values, and note the unknown ones."""
        known = {node: value for node, value in (values or {}).items() if value is not None}
        missing = sorted(set(self.state.nodes or ()) - set(known))
        if values is None or missing or not known:
            self.unknowns.append(f"{name}: not known for {some(missing) or 'any node'}")
        return known

    def has_to_be_empty(self, name: str, found: Sequence[str] | None) -> None:
        if found is None:
            self.unknowns.append(f"{name}: not checked")
        elif found:
            self.broken(name, some(found))


def check(state: FinalState | None, heal_seconds: float = HEAL_SECONDS) -> CheckerFinding:
    """Check every field of the state; `heal_seconds` is the limit for the recovery."""
    reading = _Reading(state or FinalState())
    if not reading.state.nodes:
        reading.unknowns.append("nodes: the declared nodes are not known")
    _rows(reading)
    _timelines(reading)
    _checksums(reading)
    reading.has_to_be_empty("amcheck", reading.state.amcheck)
    reading.has_to_be_empty("orphaned-slots", reading.state.orphaned_slots)
    reading.has_to_be_empty("drift", reading.state.drift)
    _suite(reading)
    _recovery(reading, heal_seconds)
    summary = f"{len(reading.anomalies)} of 8 conditions broken, {len(reading.unknowns)} unknown"
    return CheckerFinding(summary, tuple(reading.anomalies), tuple(reading.unknowns))


def _rows(reading: _Reading) -> None:
    tables = reading.of_each_node("rows", reading.state.rows)
    differing = sorted(_differing(list(tables.values())))
    if differing:
        reading.broken("rows", f"{some(sorted(tables))} do not have the same rows in {some(differing)}")
    if tables and not any(tables.values()):
        reading.unknowns.append("rows: no table was compared")


def _differing(nodes: Sequence[Mapping[str, str]]) -> Iterator[str]:
    for table in {table for node in nodes for table in node}:
        if len({node.get(table) for node in nodes}) > 1:
            yield table


def _timelines(reading: _Reading) -> None:
    timelines = reading.of_each_node("timelines", reading.state.timelines)
    if len(set(timelines.values())) > 1:
        reading.broken("timelines", some(f"{node}: {number}" for node, number in sorted(timelines.items())))


def _checksums(reading: _Reading) -> None:
    pages = reading.of_each_node("checksums", reading.state.checksum_failures)
    failed = {node: number for node, number in pages.items() if number}
    if failed:
        reading.broken("checksums", some(f"{node}: {number} pages" for node, number in sorted(failed.items())))


def _suite(reading: _Reading) -> None:
    outcome, complaints = reading.state.suite, reading.state.suite_complaints
    why = f": {some(complaints)}" if complaints else ""
    if outcome == Outcome.FAIL:
        reading.broken("suite", f"the validation suite fails{why}")
    elif outcome != Outcome.PASS:
        reading.unknowns.append(f"suite: {outcome or 'not run'}{why}")


def _recovery(reading: _Reading, limit: float) -> None:
    seconds = reading.state.heal_seconds
    if seconds is None:
        reading.unknowns.append("heal: no recovery of the cluster was observed")
    elif seconds > limit:
        reading.broken("heal", f"the cluster recovered after {seconds:.1f} s, {limit:g} are allowed")
