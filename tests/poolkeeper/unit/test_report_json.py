"""JSON: everything in it, exact, and its outcomes can be read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import report_sample

from poolkeeper.model.verdict import Evidence, Suite, Verdict
from poolkeeper.suite import report_json, report_text


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("report/sample.json", report_json.render(report_sample.SAMPLE))


@given(report_sample.suites())
def test_everything_round_trips(suite: Suite) -> None:
    wanted = report_text.redacted(suite)
    document = json.loads(report_json.render(suite).encode("utf-8"))
    verdicts = [_verdict(check, group["group"]) for group in document["groups"] for check in group["checks"]]
    assert verdicts == [_rounded(v) for checks in wanted.by_group().values() for v in checks]
    assert (document["cluster"], document["started_at"]) == (wanted.cluster, wanted.started_at)
    assert document["versions"] == wanted.versions
    assert [tuple(place.values()) for place in document["topology"]] == list(wanted.topology)
    assert document["changes"] == list(wanted.changes)
    assert document["outcome"] == suite.outcome
    assert [group["group"] for group in document["groups"]] == list(range(1, 19))


def _verdict(check: dict[str, object], group: int) -> Verdict:
    evidence = check.pop("evidence")
    check.pop("seconds")
    assert isinstance(evidence, list)
    return Verdict(**check, group=group, evidence=tuple(Evidence(**e) for e in evidence))  # type: ignore[arg-type]


def _rounded(verdict: Verdict) -> Verdict:
    return replace(verdict, evidence=tuple(replace(e, seconds=round(e.seconds, 6)) for e in verdict.evidence))


@given(report_sample.suites())
def test_outcomes_are_read_back(suite: Suite) -> None:
    wanted = report_text.redacted(suite).verdicts
    assert report_json.outcomes_of(report_json.render(suite)) == {v.check: v.outcome.value for v in wanted}


def test_text_without_passwords_is_kept_as_it_was() -> None:
    raw = "a\x00b\x1b[31m\r\n\u202e\ufffe"
    verdict = replace(report_sample.SAMPLE.verdicts[0], evidence=(Evidence("w", "r", raw, 0.1),))
    document = json.loads(report_json.render(replace(report_sample.SAMPLE, verdicts=(verdict,))))
    assert document["groups"][0]["checks"][0]["evidence"][0]["returned"] == raw


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"schema": 2, "groups": []}',
        '{"schema": 1}',
        '{"groups": []}',
        '{"schema": 1, "groups": [{"checks": [{"check": "a"}]}]}',
        '{"schema": 1, "groups": [{"checks": [{"check": 1, "outcome": "pass"}]}]}',
        '{"schema": 1, "groups": [{"checks": [{"check": "a", "outcome": "green"}]}]}',
        '{"schema": 1, "groups": [{"checks": [{"check": "a", "outcome": "pass"}, {"check": "a", "outcome": "fail"}]}]}',
    ],
)
def test_what_cannot_be_read_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        report_json.outcomes_of(text)


@given(st.one_of(st.text(), st.integers(0, 4000)))
def test_damage_is_a_value_error_and_nothing_else(damage: str | int) -> None:
    complete = report_json.render(report_sample.SAMPLE)
    text = damage if isinstance(damage, str) else complete[: min(damage, len(complete) - 3)]
    with pytest.raises(ValueError):
        report_json.outcomes_of(text)
