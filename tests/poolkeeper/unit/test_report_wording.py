"""The words all formats share, and that no format shows a password."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import report_sample

from poolkeeper.model.verdict import Evidence, Outcome, Suite, Verdict
from poolkeeper.report import wording
from poolkeeper.suite import report_json, report_junit, report_text, report_wording, suite_report

RENDERERS = [suite_report.to_markdown, suite_report.to_html, report_junit.render, report_json.render]


def suite_of(passed: int, failed: int = 0, unknown: int = 0) -> Suite:
    """A suite with so many checks of each outcome."""
    outcomes = [Outcome.PASS] * passed + [Outcome.FAIL] * failed + [Outcome.UNKNOWN] * unknown
    verdicts = tuple(Verdict(f"c{n}", 1 + n % 17, "t", outcome, "s") for n, outcome in enumerate(outcomes))
    return Suite("pool", "2026-03-02T10:14:31+00:00", 1.0, verdicts)


@pytest.mark.parametrize(
    ("suite", "words"),
    [
        (suite_of(20), "20 of 20 checks pass"),
        (suite_of(1), "1 of 1 check passes"),
        (suite_of(19, 1), "1 of 20 fails"),
        (suite_of(17, 2, 1), "2 of 20 fail, 1 unknown"),
        (suite_of(18, 0, 2), "2 unknown"),
        (suite_of(0), "No check was run"),
    ],
)
def test_headline(suite: Suite, words: str) -> None:
    assert report_wording.headline(suite) == words


@given(st.integers(0, 20), st.integers(0, 5), st.integers(0, 5))
def test_the_headline_reports_pass_only_for_a_pass(passed: int, failed: int, unknown: int) -> None:
    suite = suite_of(passed, failed, unknown)
    assert ("pass" in report_wording.headline(suite)) == (suite.outcome is Outcome.PASS)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 ms"),
        (0.0001, "<1 ms"),
        (0.012, "12 ms"),
        (0.9996, "1.0 s"),
        (3.21, "3.2 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("iso", "words"),
    [
        ("2026-03-02T10:14:31.551+00:00", "2026-03-02 10:14:31 UTC"),
        ("2026-03-02T10:14:31Z", "2026-03-02 10:14:31 UTC"),
        ("2026-03-02T12:14:31+02:00", "2026-03-02 10:14:31 UTC"),
        ("0001-01-01T00:00:00+02:00", "0001-01-01T00:00:00+02:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_moment(iso: str, words: str) -> None:
    assert wording.moment(iso) == words


def test_a_group_that_did_not_run_is_unknown() -> None:
    groups = report_wording.groups(suite_of(1))
    assert [group.number for group in groups] == list(range(1, 19))
    assert {group.outcome for group in groups[1:]} == {Outcome.UNKNOWN}
    assert {group.word for group in groups[1:]} == {"not run"}


@pytest.mark.parametrize("render", RENDERERS)
def test_no_password_in_any_field_of_any_format(render: Callable[[Suite], str]) -> None:
    dsn = "postgresql://app:hunter2@h/db password=hunter2"
    verdict = Verdict(dsn, 1, dsn, Outcome.FAIL, dsn, (Evidence(dsn, dsn, dsn, 0.1),))
    suite = Suite(dsn, dsn, 1.0, (verdict,), {dsn: dsn}, ((dsn, dsn, dsn),), (dsn,))
    text = render(suite)
    assert "hunter2" not in text
    assert "***" in text.replace("\\*", "*")


@pytest.mark.parametrize("render", RENDERERS[:3])
def test_a_control_character_does_not_hide_a_password(render: Callable[[Suite], str]) -> None:
    verdict = replace(report_sample.SAMPLE.verdicts[0], evidence=(Evidence("w", "password=\x0bhunter2", "", 0.1),))
    assert "hunter2" not in render(replace(report_sample.SAMPLE, verdicts=(verdict,)))


@given(report_sample.TEXTS)
def test_nothing_invisible_is_left(text: str) -> None:
    shown = report_text.show_invisible(text)
    assert all(char in "\t\n" or (char >= " " and not 0xD800 <= ord(char) <= 0xDFFF) for char in shown)
    assert shown.encode("utf-8").decode() == shown
    assert report_text.show_invisible(shown) == shown


@given(report_sample.suites())
def test_every_format_takes_every_suite(suite: Suite) -> None:
    for render in RENDERERS:
        text = render(suite)
        assert text.endswith("\n")
        text.encode("utf-8")
    assert escape(report_wording.headline(suite)) in suite_report.to_html(suite)
