"""The report of a run: complete, safe as a page, and clear about what is broken or unknown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.lab.unit import chaos_run_sample as sample
from tests.poolkeeper.unit.test_report_html import Page

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.report import chaos_report

FORMATS = (("md", chaos_report.to_markdown), ("html", chaos_report.to_html), ("json", chaos_report.to_json))


@pytest.mark.parametrize(("suffix", "render"), FORMATS[::2])
def test_golden(suffix: str, render: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden(f"report/chaos.{suffix}", render(sample.made()))


def test_page_needs_nothing_and_nests() -> None:
    text = chaos_report.to_html(sample.made())
    page = Page(re.sub(r"<(line|rect|polyline)\b([^>]*)/>", r"<\1\2></\1>", text))
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    assert [attrs["class"] for attrs in page.all("rect")] == ["fault-band", "recovery-band"] * 2
    assert "client of <rw>" not in text
    assert "client of &lt;rw&gt;" in text


def test_results_are_counted_at_their_scenario() -> None:
    run = sample.made()
    first, second, third = run.passages
    assert (first.outcome, second.outcome, third.outcome) == (Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN)
    assert first.completions == {"ok": 13, "fail": 1, "info": 1}
    assert dict(first.pauses or {}) == pytest.approx({"rw": 3.0})
    assert (first.began, first.heal_seconds) == (5.0, 8.0)
    assert third.problem == "never began"
    assert run.outcome is Outcome.FAIL
    (anomaly,) = next(j for j in run.verdicts if j.checker == "set").anomalies
    assert anomaly.operations[0].startswith("#40 client 2.0 at rw, 25.000–25.100 s: read None → ok [0, 1]")


def test_without_the_anomaly_a_fault_that_never_began_leaves_it_unknown() -> None:
    assert sample.made(is_broken=False).outcome is Outcome.UNKNOWN


def test_every_report_says_what_needs_attention_and_how_to_do_it_again() -> None:
    for _, render in FORMATS:
        text = render(sample.made())
        assert "kill_keeper was planned and never began" in text.replace("\\_", "_")
        assert "poolkeeper chaos run --minutes 1 --seed 0" in text
        assert "chaos-7.jsonl" in text
    assert json.loads(chaos_report.to_json(sample.made()))["outcome"] == "fail"


def test_three_files(tmp_path: Path) -> None:
    paths = chaos_report.write_all(sample.made(), tmp_path / "reports")
    assert [path.name for path in paths] == ["chaos.md", "chaos.html", "chaos.json"]
