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

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from poolkeeper.model.verdict import Outcome, Suite
from poolkeeper.report import plain
from poolkeeper.suite import report_text, report_wording

# In microseconds' precision, that of the clocks; finer digits would be noise in a diff.
Seconds = Annotated[float, AfterValidator(lambda seconds: round(seconds, 6))]


class _Document(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class EvidenceDocument(_Document):
    """An `Evidence`."""

    where: str
    ran: str
    returned: str
    seconds: Seconds


class CheckDocument(_Document):
    """A `Verdict`; the enclosing group has its group."""

    check: str
    title: str
    outcome: Outcome
    summary: str
    seconds: Seconds
    evidence: tuple[EvidenceDocument, ...]


class GroupDocument(_Document):
    """A `ReportGroup`."""

    group: int = Field(validation_alias=AliasChoices("group", "number"))
    name: str
    outcome: Outcome
    seconds: Seconds
    checks: tuple[CheckDocument, ...] = Field(validation_alias=AliasChoices("checks", "verdicts"))


class PlaceDocument(_Document):
    """An entry of the topology."""

    service: str
    where: str
    role: str


class SuiteDocument(_Document):
    """A `Suite`, as the module's first lines describe it."""

    schema_number: Literal[1] = Field(1, alias="schema")
    cluster: str
    started_at: str
    seconds: Seconds
    outcome: Outcome
    headline: str
    counts: dict[str, int]
    versions: dict[str, str]
    topology: tuple[PlaceDocument, ...]
    changes: tuple[str, ...]
    groups: tuple[GroupDocument, ...]


def render(suite: Suite) -> str:
    """Return the document, indented, ending in one newline. Passwords are redacted."""
    return plain.text(plain.data(_document(report_text.redacted(suite))))


def _document(suite: Suite) -> SuiteDocument:
    return SuiteDocument(
        cluster=suite.cluster,
        started_at=suite.started_at,
        seconds=suite.seconds,
        outcome=suite.outcome,
        headline=report_wording.headline(suite),
        counts={**{o.value: suite.count(o) for o in Outcome}, "total": len(suite.verdicts)},
        versions=suite.versions,
        topology=tuple(PlaceDocument(service=s, where=w, role=r) for s, w, r in suite.topology),
        changes=suite.changes,
        groups=tuple(GroupDocument.model_validate(group) for group in report_wording.groups(suite)),
    )


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
