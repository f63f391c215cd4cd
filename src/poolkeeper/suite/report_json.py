"""A suite as JSON for programs, schema 1. Keys are only ever added within a schema; readers ignore unknown ones.

    schema       1
    cluster      name of the cluster
    started_at   ISO 8601, UTC
    seconds      wall time of the run
    outcome      "pass" | "fail" | "unknown", of the suite
    headline     the verdict in words
    counts       {"pass", "fail", "unknown", "total"}: numbers of checks
    versions     {component: version}
    topology     [{"service", "where", "role"}]
    changes      [text]: what changed since the run before
    groups       [{"group", "name", "outcome", "seconds", "checks"}]: all of them, in order; one that did not run
                 has no checks and is "unknown"
      checks     [{"check", "title", "outcome", "summary", "seconds", "evidence"}]: "check" is the stable id
        evidence [{"where", "ran", "returned", "seconds"}]

Text is as it was found, except for passwords; control characters are JSON escapes.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from poolkeeper.model.verdict import Outcome, Suite, Verdict
from poolkeeper.report import plain
from poolkeeper.suite import report_text, report_wording

SCHEMA = 1
_PLACE = ("service", "where", "role")


def render(suite: Suite) -> str:
    """Return the document, indented, ending in one newline. Passwords are redacted."""
    return plain.text(_document(report_text.redacted(suite)))


def _document(suite: Suite) -> dict[str, Any]:
    found = plain.data(suite)
    return {
        "schema": SCHEMA,
        "cluster": suite.cluster,
        "started_at": suite.started_at,
        "seconds": _seconds(suite.seconds),
        "outcome": suite.outcome.value,
        "headline": report_wording.headline(suite),
        "counts": {**{o.value: suite.count(o) for o in Outcome}, "total": len(suite.verdicts)},
        "versions": found["versions"],
        "topology": [dict(zip(_PLACE, place, strict=True)) for place in found["topology"]],
        "changes": found["changes"],
        "groups": [_group(group) for group in report_wording.groups(suite)],
    }


def _group(group: report_wording.ReportGroup) -> dict[str, Any]:
    return {
        "group": group.number,
        "name": group.name,
        "outcome": group.outcome.value,
        "seconds": _seconds(group.seconds),
        "checks": [_check(verdict) for verdict in group.verdicts],
    }


def _check(verdict: Verdict) -> dict[str, Any]:
    found = plain.data(verdict)
    evidence = [{**piece, "seconds": _seconds(piece["seconds"])} for piece in found.pop("evidence")]
    del found["group"]  # the enclosing group has it
    return {**found, "seconds": _seconds(verdict.seconds), "evidence": evidence}


def _seconds(seconds: float) -> float:
    """Return the time in microseconds' precision, that of the clocks; finer digits would be noise in a diff."""
    return round(seconds, 6)


class _ReadCheck(BaseModel):
    check: str
    outcome: Outcome


class _ReadGroup(BaseModel):
    checks: list[_ReadCheck]


class _ReadReport(BaseModel):
    schema_number: Literal[1] = Field(alias="schema")
    groups: list[_ReadGroup]


def outcomes_of(text: str) -> dict[str, str]:
    """Return check id → outcome of a report that `render` wrote.

    Raises:
        ValueError: if the text is not such a report: no JSON, another schema, a missing key, an unknown outcome, or an
            id that occurs twice.
    """
    checks = [check for group in _ReadReport.model_validate_json(text).groups for check in group.checks]
    outcomes = {check.check: check.outcome.value for check in checks}
    if len(outcomes) != len(checks):
        raise ValueError("a check is in the report twice")
    return outcomes
