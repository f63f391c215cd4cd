"""The reports of a drill: golden, self-contained, and what is missed or unhealed is always said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.lab.unit import drill_sample as sample
from tests.poolkeeper.unit.test_report_html import Page

from poolkeeper.report import svg
from poolkeeper_lab.drill import drill_json, drill_plot, drill_report, drill_wording
from poolkeeper_lab.drill.goals import RATIO, DrillGoal, GoalResult

FORMATS = (("md", drill_report.to_markdown), ("html", drill_report.to_html), ("json", drill_json.render))


@pytest.mark.parametrize(("suffix", "render"), FORMATS)
def test_golden(suffix: str, render: Callable[..., str], golden: Callable[[str, str], None]) -> None:
    golden(f"report/drill.{suffix}", render(sample.SAMPLE))


def test_figures_are_those_of_the_rounds() -> None:
    writes = sample.KILLED.writes()
    assert (writes.count, writes.p50, writes.p95, writes.max) == (3, 1.5, 2.75, 2.75)
    assert sample.KILLED.ratio() == pytest.approx(10)
    assert sample.KILLED.median_round() == sample.KILLED.rounds[1]
    assert sample.KILLED.errors() == {"57P01": 6, "connect: refused": 3, "lost": 3}


def test_goals_are_met_missed_or_not_measured() -> None:
    words = {str(r.goal): r.word for r in sample.KILLED.reached()}
    assert words == {
        "write p50 ≤ 1.5 s": "met",
        "write p95 ≤ 2.5 s": "missed",
        "× baseline ≥ 10": "met",
        "back max ≤ 30 s": "met",
    }
    assert [fault for fault, _ in sample.SAMPLE.missed] == ["kill_node", "kill_patroni"]
    assert GoalResult(DrillGoal("write max", 0.5), None).is_met is None
    assert RATIO not in {r.goal.figure for r in sample.GOOD.series[0].reached()}


@pytest.mark.parametrize(
    "broken",
    [
        {"problem": "not healthy again"},
        {"verdict": None},
        {"verdict": replace(sample.SOUND, lost=(1,))},
        {"verdict": replace(sample.SOUND, duplicates=(1,))},
        {"verdict": replace(sample.SOUND, phantoms=(1,))},
        {"verdict": replace(sample.SOUND, stale=1)},
    ],
    ids=str,
)
def test_one_unsound_round_makes_a_drill_unsound(broken: dict[str, object]) -> None:
    assert sample.GOOD.is_sound
    rounds = (replace(sample.GOOD.series[0].rounds[0], **broken),)  # type: ignore[arg-type]
    drill = replace(sample.GOOD, series=(replace(sample.GOOD.series[0], rounds=rounds),))
    assert not drill.is_sound
    assert all("✘" in render(drill) for render in (drill_report.to_markdown, drill_report.to_html))
    assert json.loads(drill_json.render(drill))["sound"] is False
    assert not replace(sample.GOOD, series=()).is_sound


def test_every_problem_and_every_missed_goal_is_in_every_report() -> None:
    markdown, html = drill_report.to_markdown(sample.SAMPLE), drill_report.to_html(sample.SAMPLE)
    for text in (markdown, html):
        assert "write p95 ≤ 2.5 s: missed (2.75)" in text
        assert "not checked" in text
    assert "<b>no node" not in html
    assert r"\|" in markdown


def test_page_is_self_contained_and_its_tags_nest() -> None:
    text = drill_report.to_html(sample.SAMPLE)
    page = Page(re.sub(r"<(line|circle|rect|polyline)\b([^>]*)/>", r"<\1\2></\1>", text))
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"url\(|@import|https?://", text)
    assert "default-src 'none'" in text
    assert len(page.all("circle")) == 6
    assert {attrs["class"] for attrs in page.all("rect")} == set(drill_wording.SEGMENTS)


def test_timeline_is_inside_its_picture() -> None:
    drawn = drill_plot.timeline(sample.made(1, 1.5))
    assert drawn is not None
    assert sum(part.seconds for part in drawn.segments) == pytest.approx(1.5)
    assert all(svg.LEFT <= part.x <= svg.WIDTH for part in drawn.segments)
    assert drawn.segments[0].x == drawn.marks[0][0]
    assert drill_plot.timeline(sample.UNHEALED.rounds[0]) is None
    assert drill_plot.strips(sample.UNHEALED) is None


def test_three_files(tmp_path: Path) -> None:
    paths = drill_report.write_all(sample.SAMPLE, tmp_path / "reports")
    assert [path.name for path in paths] == ["drill.md", "drill.html", "drill.json"]
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {path.name for path in paths}
