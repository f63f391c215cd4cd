"""HTML: self-contained, accessible, and the same structure whatever the text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given
from tests.poolkeeper.unit import report_sample

from poolkeeper.model.verdict import Outcome, Suite
from poolkeeper.suite import report_text, suite_report

_VOID = {"meta", "path"}


class Page(HTMLParser):
    """The start tags of a page with their attributes, the text of each <pre>, and whether tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.pres: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "pre":
            self.pres.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "pre":
            self.pres[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag."""
        return [attrs for name, attrs in self.tags if name == tag]


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("report/sample.html", suite_report.to_html(report_sample.SAMPLE))


@given(report_sample.suites())
def test_evidence_comes_back_and_tags_nest(suite: Suite) -> None:
    page = Page(suite_report.to_html(suite))
    ordered = [v for verdicts in report_text.legible(suite).by_group().values() for v in verdicts]
    wanted = [t for v in ordered for e in v.evidence for t in ([e.ran, e.returned] if e.returned else [e.ran])]
    assert page.pres == [f"\n{text}" for text in wanted]
    assert not page.open


@given(report_sample.suites())
def test_text_from_outside_adds_no_tag(suite: Suite) -> None:
    plain = replace(report_text.legible(suite), cluster="x", started_at="x")
    plain = replace(
        plain,
        verdicts=tuple(replace(v, title="x", summary="x") for v in plain.verdicts),
        topology=tuple(("x", "x", "x") for _ in plain.topology),
        versions={str(number): "x" for number, _ in enumerate(plain.versions)},
        changes=tuple("a: b" if ": " in change else "x" for change in plain.changes),
    )
    assert [tag for tag, _ in Page(suite_report.to_html(suite)).tags] == [
        tag for tag, _ in Page(suite_report.to_html(plain)).tags
    ]


def test_nothing_outside_the_page_is_needed() -> None:
    text = suite_report.to_html(replace(report_sample.SAMPLE, verdicts=()))
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "base", "object"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if {"src", "srcset", "data", "action"} & set(attrs)]
    assert all(str(attrs["href"]).startswith("#") for attrs in page.all("a"))
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text


def test_links_have_their_places() -> None:
    page = Page(suite_report.to_html(report_sample.SAMPLE))
    places = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(places) == len(set(places))
    assert {str(attrs["href"])[1:] for attrs in page.all("a")} <= set(places)
    assert {attrs["aria-labelledby"] for attrs in page.all("section")} <= set(places)


def test_headings_tables_and_language_are_marked_for_all_readers() -> None:
    page = Page(suite_report.to_html(report_sample.SAMPLE))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(attrs.get("scope") in {"col", "row"} for attrs in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert page.all("html") == [{"lang": "en"}]


def test_only_what_failed_or_is_unknown_is_opened() -> None:
    opened = {attrs["id"]: "open" in attrs for attrs in Page(suite_report.to_html(report_sample.SAMPLE)).all("details")}
    assert opened == {
        "check-node_status.pg_node1": False,
        "check-replication.streaming": True,
        "check-haproxy.stats": True,
    }


@pytest.mark.parametrize("outcome", list(Outcome))
def test_colour_is_never_the_only_sign(outcome: Outcome) -> None:
    verdict = replace(report_sample.SAMPLE.verdicts[0], outcome=outcome)
    text = suite_report.to_html(replace(report_sample.SAMPLE, verdicts=(verdict,)))
    check = text[text.index('<details id="check-') : text.index("</details>")]
    assert {"pass": "✔", "fail": "✘", "unknown": "?"}[outcome.value] in check
    assert f">{outcome.value}</span>" in check


def test_all_groups_are_there_and_one_that_did_not_run_does_not_pass() -> None:
    text = suite_report.to_html(report_sample.SAMPLE)
    table = text[text.index('<table class="groups">') : text.index("</table>")]
    assert table.count('<th scope="row">') == 18
    assert table.count("not run") == 15
    assert table.count("badge pass") == 1


def _luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(2 * d for d in colour)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_contrast_is_sufficient_in_light_dark_and_print() -> None:
    """4.5 to 1 is what WCAG 2 AA asks of text."""
    schemes = re.findall(r":root \{(.*?)\}", suite_report.to_html(report_sample.SAMPLE), re.S)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): #(\w+)", scheme))
        tints = [f"{outcome.value}-tint" for outcome in Outcome]
        pairs = [(text, back) for text in ("text", "muted", "link") for back in ("background", "card", "inset")]
        pairs += [(text, tint) for text in ("text", "muted") for tint in tints]
        pairs += [(o.value, back) for o in Outcome for back in (f"{o.value}-tint", "card", "inset")]
        for text, back in pairs:
            dark, bright = sorted((_luminance(colours[text]), _luminance(colours[back])))
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, back)
