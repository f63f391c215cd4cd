"""Markdown: hostile text stays text, in fences, tables and lines."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.poolkeeper.unit import report_sample

from poolkeeper.model.verdict import Suite
from poolkeeper.report import markdown
from poolkeeper.suite import report_text, suite_report

_PARSER = MarkdownIt("commonmark").enable("table")
_FOREIGN = {"html_block", "html_inline", "image", "link_open", "code_inline", "code_block", "em_open", "hardbreak"}


def tokens(text: str) -> list[Token]:
    """Every token of the parsed text, inline ones included."""
    return [token for block in _PARSER.parse(text) for token in (block, *(block.children or ()))]


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("report/sample.md", suite_report.to_markdown(report_sample.SAMPLE))


@given(report_sample.suites())
def test_evidence_comes_back_from_its_fences(suite: Suite) -> None:
    shown = report_text.legible(suite)
    ordered = [v for verdicts in shown.by_group().values() for v in verdicts]
    wanted = [t for v in ordered for e in v.evidence for t in ([e.ran, e.returned] if e.returned else [e.ran])]
    fences = [token.content for token in tokens(suite_report.to_markdown(suite)) if token.type == "fence"]
    assert fences == [f"{text.removesuffix(chr(10))}\n" for text in wanted]


@given(report_sample.suites())
def test_text_from_outside_is_never_markup(suite: Suite) -> None:
    parsed = tokens(suite_report.to_markdown(suite))
    assert not _FOREIGN & {token.type for token in parsed}
    titles = len(suite.verdicts) + len(suite.by_group())
    sections = 4 + bool(suite.verdicts) + bool(suite.versions) + bool(suite.topology)
    attention = any(v.outcome.value != "pass" for v in suite.verdicts)
    assert sum(token.type == "heading_open" for token in parsed) == titles + sections + attention


@given(report_sample.suites())
def test_tables_keep_their_shape(suite: Suite) -> None:
    rows = sum(token.type == "tr_open" for token in tokens(suite_report.to_markdown(suite)))
    versions, topology = report_text.legible(suite).versions, suite.topology
    assert rows == 19 + (1 + len(versions) if versions else 0) + (1 + len(topology) if topology else 0)


def test_a_fence_is_longer_than_any_run_inside() -> None:
    assert markdown.fence("a ````` b") == "``````text\na ````` b\n``````"


def test_names_with_underscores_stay_readable() -> None:
    assert markdown.escape("pg_node1 is _not_ up | a\nb") == r"pg_node1 is \_not\_ up \| a b"
