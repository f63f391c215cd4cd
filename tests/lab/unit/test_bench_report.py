"""The reports of the bench: golden, self-contained, and what was missed or not measured is always said."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lab.unit import bench_sample as sample
from tests.poolkeeper.unit.test_report_html import Page

from poolkeeper.core import errors
from poolkeeper_lab.bench.report import bench_json, bench_plot, bench_report, bench_wording
from poolkeeper_lab.bench.report.bench_model import BenchRun
from poolkeeper_lab.bench.report.compare import Comparison, compare

FORMATS = (("md", bench_report.to_markdown), ("html", bench_report.to_html), ("json", bench_json.render))


def earlier() -> Comparison:
    """The sample beside one in which 5100 was half as fast."""
    slow = sample.throughput("5100", tuple(value / 2 for value in sample.POOLED))
    metrics = (sample.SECTION.metrics[0], slow)
    section = sample.SECTION.model_copy(update={"metrics": metrics})
    return compare(sample.SAMPLE.model_copy(update={"sections": (section,)}), sample.SAMPLE)


@pytest.mark.parametrize(("suffix", "render"), FORMATS)
def test_golden(suffix: str, render: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden(f"report/bench.{suffix}", render(sample.SAMPLE, earlier()))


def test_json_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = bench_report.write_all(sample.SAMPLE, earlier(), tmp_path / "reports", "bench-path")
    assert [path.name for path in written] == ["bench-path.md", "bench-path.html", "bench-path.json"]
    assert bench_json.read(written[2]) == sample.SAMPLE


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cluster": 3}'])
def test_an_invalid_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(errors.UsageError, match="is no report"):
        bench_json.read(tmp_path / "old.json")
    with pytest.raises(errors.UsageError, match="cannot be read"):
        bench_json.read(tmp_path / "none.json")


def test_a_later_schema_is_refused(tmp_path: Path) -> None:
    later = sample.SAMPLE.model_copy(update={"schema_version": 2})
    (tmp_path / "new.json").write_text(bench_json.render(later))
    with pytest.raises(errors.UsageError, match="schema 2"):
        bench_json.read(tmp_path / "new.json")


def with_goals(*numbers: int, **update: object) -> BenchRun:
    """The sample with some of its goals."""
    section = sample.SECTION.model_copy(update={"goals": tuple(sample.GOALS[i] for i in numbers)})
    return sample.SAMPLE.model_copy(update={"sections": (section,), **update})


@pytest.mark.parametrize(
    ("run", "outcome", "headline"),
    [
        (with_goals(0, 3), "pass", "2 of 2 goals met"),
        (with_goals(0, 1), "fail", "1 of 2 goals met, 1 missed"),
        (with_goals(0, 2), "unknown", "1 of 2 goals met, 1 not measured"),
        (with_goals(0, is_interrupted=True), "unknown", "1 of 1 goals met"),
        (with_goals(), "unknown", "1 parts measured"),
    ],
)
def test_only_measured_and_met_goals_are_a_pass(run: BenchRun, outcome: str, headline: str) -> None:
    assert (bench_wording.outcome(run), bench_wording.headline(run)) == (outcome, headline)


def test_what_was_not_measured_says_why_in_every_report() -> None:
    markdown, html = bench_report.to_markdown(sample.SAMPLE), bench_report.to_html(sample.SAMPLE)
    for text in (markdown, html):
        assert "not measured: there is no PgBouncer in this run" in text
        assert "missed, but the interval includes the limit" in text
    assert "<b>" not in html
    assert r"64 sessions \| 30 allowed" in markdown


def test_page_is_self_contained_and_its_tags_nest() -> None:
    text = bench_report.to_html(sample.SAMPLE, earlier())
    page = Page(re.sub(r"<(line|circle|rect)\b([^>]*)/>", r"<\1\2></\1>", text))
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import|https?://", text)
    assert len(page.all("circle")) == 9


def test_pictures_are_inside_their_frame() -> None:
    first, second = bench_plot.pictures(sample.SECTION)
    assert [row.label for row in first.rows] == ["direct", "5100"]
    assert (first.unity, second.unity) == (None, None)
    for row in (*first.rows, *second.rows):
        assert all(bench_plot.LEFT <= x <= bench_plot.WIDTH for x in (*row.dots, row.low, row.low + row.width))
        assert row.low <= row.median <= row.low + row.width + 0.11
    labels = [label for _, label in first.ticks]
    assert labels[0] == "0"
    assert len(labels) <= bench_plot.TICKS + 2


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12345.6, "12,346"), (34.56, "34.6"), (1.234, "1.23"), (0.6149, "0.615")]
)
def test_numbers(value: float, text: str) -> None:
    assert bench_wording.number(value) == text
