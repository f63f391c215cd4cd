"""JUnit XML: parseable whatever the text, and no doubt passes for green."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

from hypothesis import given
from tests.poolkeeper.unit import report_sample

from poolkeeper.model.verdict import Outcome, Suite
from poolkeeper.suite import report_junit, report_text


def parse(suite: Suite) -> ET.Element:
    """The document, read from bytes as a CI system does."""
    return ET.fromstring(report_junit.render(suite).encode("utf-8"))


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("report/sample.xml", report_junit.render(report_sample.SAMPLE))


@given(report_sample.suites())
def test_any_text_is_parseable_and_comes_back(suite: Suite) -> None:
    outputs: dict[str | None, list[str]] = {}  # invisible characters look alike, so two checks may get one name
    for case in parse(suite).iter("testcase"):
        outputs.setdefault(case.get("name"), []).append(case.findtext("system-out", ""))
    for verdict in report_text.legible(suite).verdicts:
        pieces = [text for piece in verdict.evidence for text in (piece.ran, piece.returned.rstrip("\n"))]
        assert any(all(text in output for text in pieces) for output in outputs[verdict.check])


@given(report_sample.suites())
def test_counts_are_those_of_the_cases(suite: Suite) -> None:
    root = parse(suite)
    for element in (root, *root.findall("testsuite")):
        assert int(element.get("tests", "")) == len(list(element.iter("testcase")))
        assert int(element.get("failures", "")) == len(list(element.iter("failure")))
        assert int(element.get("errors", "")) == len(list(element.iter("error")))
    assert len(list(root.iter("failure"))) == suite.count(Outcome.FAIL)


def test_fail_is_a_failure_and_unknown_an_error() -> None:
    root = parse(report_sample.SAMPLE)
    assert [suite.get("name") for suite in root] == ["01 Node Status", "04 Streaming Replication", "13 HAProxy Stats"]
    assert [case.find("failure") is not None for case in root.iter("testcase")] == [False, True, False]
    assert [error.get("type") for error in root.iter("error")] == ["unknown"]
    assert root.get("time") == "12.840"


def test_a_run_without_checks_is_an_error() -> None:
    root = parse(replace(report_sample.SAMPLE, verdicts=()))
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
