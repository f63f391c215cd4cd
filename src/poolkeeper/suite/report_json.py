"""A suite as JSON for programs, schema 1. Keys are only ever added within a schema; readers ignore unknown ones.

    schema       1
    cluster      name of the cluster
    started_at   ISO 8601, UTC
    seconds      wall time of the run
    outcome      "pass" | "fail" | "unknown", of the whole suite
    headline     the verdict in words, for people
    counts       {"pass", "fail", "unknown", "total"}: numbers of checks
    versions     {component: version}
    topology     [{"service", "where", "role"}]
    changes      [text]: what changed since the run before
    groups       [{"group", "name", "outcome", "seconds", "checks"}]: all of them, in order; one that did not run
                 has no checks and is "unknown"
      checks     [{"check", "title", "outcome", "summary", "seconds", "evidence"}]: "check" is the stable id
        evidence [{"where", "ran", "returned", "seconds"}]

Text is as it was found, passwords apart; control characters are JSON escapes.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, Field

from poolkeeper.model.verdict import Outcome, Suite, Verdict
from poolkeeper.suite import report_text, report_wording

SCHEMA = 1


def render(suite: Suite) -> str:
    """The whole document, indented, ending in one newline. Passwords are redacted."""
    return json.dumps(_document(report_text.redacted(suite)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _document(suite: Suite) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "cluster": suite.cluster,
        "started_at": suite.started_at,
        "seconds": _seconds(suite.seconds),
        "outcome": suite.outcome.value,
        "headline": report_wording.headline(suite),
        "counts": {**{o.value: suite.count(o) for o in Outcome}, "total": len(suite.verdicts)},
        "versions": suite.versions,
        "topology": [{"service": service, "where": where, "role": role} for service, where, role in suite.topology],
        "changes": list(suite.changes),
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
    return {
        "check": verdict.check,
        "title": verdict.title,
        "outcome": verdict.outcome.value,
        "summary": verdict.summary,
        "seconds": _seconds(verdict.seconds),
        "evidence": [
            {"where": e.where, "ran": e.ran, "returned": e.returned, "seconds": _seconds(e.seconds)}
            for e in verdict.evidence
        ],
    }


def _seconds(seconds: float) -> float:
    """Microseconds are as fine as the clocks are; the rest would be noise in a diff."""
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
    """Check id → outcome of a report that `render` wrote.

    Raises ValueError on anything else: no JSON, another schema, a key missing, an outcome that is none, an id twice.
    """
    checks = [check for group in _ReadReport.model_validate_json(text).groups for check in group.checks]
    outcomes = {check.check: check.outcome.value for check in checks}
    if len(outcomes) != len(checks):
        raise ValueError("a check is in the report twice")
    return outcomes
