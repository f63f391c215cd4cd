"""docs/benchmarks.md: its tables come from reports, and the shipped page has complete markers."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.lab.unit import bench_sample as sample
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.measure import cpu, startup_times
from poolkeeper_lab.bench.parts import startup_part
from poolkeeper_lab.bench.report import bench_docs, bench_json
from poolkeeper_lab.cli import bench_run

PAGE = Path(__file__).resolve().parents[3] / "docs/benchmarks.md"
SKELETON = (
    "# X\n\n<!-- bench:goals -->\n12.3 s\n<!-- /bench:goals -->\n\n<!-- bench:path -->\n12.3 s\n<!-- /bench:path -->\n"
)


def test_marks_are_filled_and_the_rest_stays() -> None:
    text = bench_docs.fill(SKELETON + "\nend\n", [sample.SAMPLE])
    assert text.startswith("# X\n\n<!-- bench:goals -->\n\n|")
    assert text.endswith("<!-- /bench:path -->\n\nend\n")
    assert "12.3 s" not in text
    assert "there is no PgBouncer in this run" in text
    assert "![throughput ÷ direct](benchmarks/path-2.svg)" in text
    assert bench_docs.fill(text, [sample.SAMPLE]) == text


def test_a_part_of_two_words_has_marks_too() -> None:
    renamed = sample.SECTION.model_copy(update={"name": "scale-reads"})
    run = sample.SAMPLE.model_copy(update={"sections": (renamed,)})
    text = bench_docs.fill("<!-- bench:scale-reads -->\n<!-- /bench:scale-reads -->\n", [run])
    assert "(benchmarks/scale-reads-1.svg)" in text


def test_a_figure_without_a_run_is_not_measured_yet() -> None:
    text = bench_docs.fill(SKELETON.replace("12.3 s\n", ""), [])
    assert text.count(bench_docs.NOT_YET) == 2


def test_a_section_without_a_run_stays_with_its_goals() -> None:
    marks = "<!-- bench:storm -->\n<!-- /bench:storm -->\n"
    renamed = sample.SECTION.model_copy(update={"name": "storm"})
    storm = sample.SAMPLE.model_copy(update={"sections": (renamed,), "command": "poolkeeper bench storm"})
    both = bench_docs.fill(SKELETON + marks, [storm, sample.SAMPLE])
    assert bench_docs.fill(bench_docs.fill(SKELETON + marks, [storm]), [sample.SAMPLE]) == both
    goals = re.findall(r"^\| (path|storm) \|", both, re.M)
    assert goals == ["path"] * len(sample.SECTION.goals) + ["storm"] * len(sample.SECTION.goals)


def test_of_a_part_the_last_run_counts() -> None:
    later = sample.SAMPLE.model_copy(update={"command": "poolkeeper bench path --rounds 9"})
    assert "--rounds 9" in bench_docs.fill(SKELETON, [sample.SAMPLE, later])
    assert "--rounds 9" not in bench_docs.fill(SKELETON, [later, sample.SAMPLE])


@pytest.mark.parametrize("broken", ["<!-- bench:path -->\n", "<!-- /bench:path -->\n", "<!-- bench:goals -->\n"])
def test_a_mark_without_partner_is_refused(broken: str) -> None:
    with pytest.raises(errors.UsageError, match="no partner"):
        bench_docs.fill(SKELETON + broken, [sample.SAMPLE])


def test_pictures_stand_alone() -> None:
    drawn = dict(bench_docs.pictures([sample.SAMPLE]))
    assert list(drawn) == ["path-1.svg", "path-2.svg"]
    for text in drawn.values():
        assert text.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
        assert not re.search(r"<script|url\(|@import|href", text)
        assert "<circle" in text


def test_the_shipped_page_has_complete_markers() -> None:
    text = PAGE.read_text()
    names = set(re.findall(r"<!-- bench:([a-z-]+) -->", text))
    assert {bench_docs.GOALS, "path", "storm", "startup"} <= names
    bench_docs.fill(text, [sample.SAMPLE])


def test_the_command_writes_the_page_and_the_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(bench_json.render(sample.SAMPLE))
    page = tmp_path / "page.md"
    page.write_text(SKELETON)
    written = bench_run.document([tmp_path / "a.json"], page)
    assert [str(path.relative_to(tmp_path)) for path in written] == [
        "page.md", "benchmarks/path-1.svg", "benchmarks/path-2.svg",
    ]  # fmt: skip
    assert "there is no PgBouncer" in page.read_text()
    with pytest.raises(errors.UsageError, match="cannot be read"):
        bench_run.document([tmp_path / "a.json"], tmp_path / "none.md")


UP = "up, from nothing"


def measured(up: float, beside: bool) -> startup_part.Startup:
    """Return the part with these results of its run."""
    part = startup_part.Startup(SimpleNamespace(spec=snapshots.SPEC), BenchOptions(seed=7))  # type: ignore[arg-type]
    seconds: dict[str, tuple[float, ...]] = {startup_times.YARDSTICK: (2.0, 2.0)}
    seconds |= {name: (up, up) if name == UP else (1.0, 1.0) for name in startup_times.GOALS}
    part._measured = startup_times.Measured(seconds, cpu.summary([cpu.Cost(16.0, {"postgres": 8.0})], 2))
    part._beside = beside
    return part


def test_startup_is_compared_only_where_nothing_runs_beside_it() -> None:
    def goal_result(up: float, beside: bool) -> tuple[bool | None, str]:
        (goal,) = (goal for goal in measured(up, beside).section().goals if goal.sentence == UP)
        return goal.is_met, goal.reason

    assert goal_result(9.5, False) == (True, "")
    assert goal_result(10.5, False) == (False, "")
    assert goal_result(9.5, True) == (None, "the cluster poolkeeper was running beside it")


def test_startup_reports_seconds_and_their_ratio_to_the_yardstick() -> None:
    figures = {
        (m.about["what"], m.name): m.estimate.median for m in measured(9.5, True).section().metrics if m.estimate
    }
    assert (figures[UP, "time"], figures[UP, startup_part.TIMES]) == (9.5, 4.75)
    assert (figures[startup_times.YARDSTICK, "time"], (startup_times.YARDSTICK, startup_part.TIMES) in figures) == (
        2.0,
        False,
    )
