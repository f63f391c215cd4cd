"""A suite as JUnit XML, for CI systems.

A check is a <testcase>, its group a <testsuite>. fail becomes <failure>, unknown becomes <error type="unknown">, and
the evidence is the <system-out>. Groups that did not run are left out; a run without any check is one error, since a
file without tests would count as a pass. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree as ET

from poolkeeper.model.verdict import Evidence, Outcome, Suite, Verdict
from poolkeeper.report import wording
from poolkeeper.suite import report_text, report_wording

_NOTHING = Verdict("suite", 0, "Validation suite", Outcome.UNKNOWN, "No check was run.")


def render(suite: Suite) -> str:
    """Return the file, ending in one newline. Passwords are redacted; characters that XML 1.0 forbids are pictures."""
    suite = report_text.legible(suite)
    ran = [group for group in report_wording.groups(suite) if group.verdicts] or [
        report_wording.ReportGroup(0, "Suite", (_NOTHING,))
    ]
    verdicts = [verdict for group in ran for verdict in group.verdicts]
    named = {"name": f"Poolkeeper: {suite.cluster}", **_counts(verdicts), "time": _time(suite.seconds)}
    root = ET.Element("testsuites", named)
    for group in ran:
        _add_group(root, group, suite.started_at)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add_group(root: ET.Element, group: report_wording.ReportGroup, started_at: str) -> None:
    name = f"{group.number:02d} {group.name}"
    attributes = {"name": name, **_counts(group.verdicts), "time": _time(group.seconds), "timestamp": started_at}
    element = ET.SubElement(root, "testsuite", attributes)
    for verdict in group.verdicts:
        _add_check(element, verdict, name)


def _add_check(parent: ET.Element, verdict: Verdict, group_name: str) -> None:
    case = ET.SubElement(parent, "testcase", classname=group_name, name=verdict.check, time=_time(verdict.seconds))
    if verdict.outcome is not Outcome.PASS:
        tag = "failure" if verdict.outcome is Outcome.FAIL else "error"
        problem = ET.SubElement(case, tag, type=verdict.outcome.value, message=verdict.summary)
        problem.text = f"{verdict.title}: {verdict.summary}"
    ET.SubElement(case, "system-out").text = _output(verdict)


def _output(verdict: Verdict) -> str:
    opening = f"{verdict.title}: {verdict.summary}"
    return "\n\n".join([opening, *map(_piece, verdict.evidence)]) + "\n"


def _piece(piece: Evidence) -> str:
    return f"[{piece.where}, {wording.duration(piece.seconds)}] {piece.ran}\n{piece.returned}".rstrip("\n")


def _counts(verdicts: Iterable[Verdict]) -> dict[str, str]:
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = {"failures": outcomes.count(Outcome.FAIL), "errors": outcomes.count(Outcome.UNKNOWN), "skipped": 0}
    return {name: str(count) for name, count in {"tests": len(outcomes), **counts}.items()}


def _time(seconds: float) -> str:
    return f"{seconds:.3f}"
