"""The state after everything was healed: is the cluster whole again, and are its nodes the same?

Invariant: a field that is None, or lacks a declared node, is unknown, never good. Pure: others collect the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers.finding import Anomaly, CheckerFinding, some
from poolkeeper_lab.chaos.history.final_state import EndState
from poolkeeper_lab.chaos.report.chaos_model import HEAL_SECONDS


@dataclass
class _Reading:
    """What is found while the fields are gone through."""

    state: EndState
    anomalies: list[Anomaly] = field(default_factory=list)
    unknowns: list[str] = field(default_factory=list)

    def broken(self, name: str, text: str) -> None:
        self.anomalies.append(Anomaly(name, text))

    def of_each_node(self, name: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
        """What is known; what is not is noted."""
        known = {node: value for node, value in (values or {}).items() if value is not None}
        missing = sorted(set(self.state.nodes or ()) - set(known))
        if values is None or missing or not known:
            self.unknowns.append(f"{name}: not known of {some(missing) or 'any node'}")
        return known

    def complaints(self, name: str, found: Sequence[str] | None) -> None:
        """A list that has to be empty."""
        if found is None:
            self.unknowns.append(f"{name}: not looked at")
        elif found:
            self.broken(name, some(found))


def judge(state: EndState | None, heal_seconds: float = HEAL_SECONDS) -> CheckerFinding:
    """Judge every field of it."""
    reading = _Reading(state or EndState())
    if not reading.state.nodes:
        reading.unknowns.append("nodes: which ones are declared is not known")
    _rows(reading)
    _timelines(reading)
    _checksums(reading)
    reading.complaints("amcheck", reading.state.amcheck)
    reading.complaints("orphaned-slots", reading.state.orphaned_slots)
    reading.complaints("drift", reading.state.drift)
    _suite(reading)
    _healed(reading, heal_seconds)
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
    outcome, told = reading.state.suite, reading.state.suite_complaints
    why = f": {some(told)}" if told else ""
    if outcome == Outcome.FAIL:
        reading.broken("suite", f"the validation suite fails{why}")
    elif outcome != Outcome.PASS:
        reading.unknowns.append(f"suite: {outcome or 'not run'}{why}")


def _healed(reading: _Reading, most: float) -> None:
    seconds = reading.state.heal_seconds
    if seconds is None:
        reading.unknowns.append("heal: it is not known that the cluster became whole")
    elif seconds > most:
        reading.broken("heal", f"the cluster was whole after {seconds:.1f} s, {most:g} are allowed")
