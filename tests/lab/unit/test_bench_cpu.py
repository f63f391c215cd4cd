"""The CPU cost of a start: ticks of proc(5), each process counted once, and medians by part."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolkeeper_lab.bench.measure import cpu, startup_times


def stat(folder: Path, pid: int, parent: int, times: tuple[int, int, int, int]) -> None:
    """Write the stat of a process with its user, system, children's user and children's system ticks."""
    (folder / str(pid)).mkdir()
    numbers = " ".join(["0"] * 9 + [str(time) for time in times] + ["0"] * 20)
    (folder / str(pid) / "stat").write_text(f"{pid} (a) b) S {parent} {numbers}")
    (folder / str(pid) / "cmdline").write_bytes(b"x\0")


def test_machine_counts_work_and_neither_idleness_nor_guests_twice(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 9000 800 1 2 47 100 20\ncpu0 1 1 1 1\n")
    assert cpu.of_machine(tmp_path) == pytest.approx(200 / cpu.TICKS)


def test_tree_counts_each_process_once_and_the_ended_children_of_each(tmp_path: Path) -> None:
    stat(tmp_path, 5, 1, (10, 1, 100, 1000))
    stat(tmp_path, 6, 5, (20, 2, 0, 0))
    stat(tmp_path, 9, 1, (4000, 0, 0, 0))
    assert cpu.of_tree(5, tmp_path) == pytest.approx(1133 / cpu.TICKS)


def test_summary_is_of_medians_and_reports_the_least_time() -> None:
    costs = [cpu.Cost(16.0, {"postgres": 8.0}), cpu.Cost(18.0, {"postgres": 9.0, "etcd": 1.0}), cpu.Cost(99.0, {})]
    figures = cpu.summary(costs, 2)
    assert (figures.machine, figures.containers, figures.rest) == (18.0, {"etcd": 0.0, "postgres": 8.0}, 8.0)
    assert figures.least_seconds == 9.0
    assert "9.0 s even if none of them ever waits" in startup_times.work_line(figures)
    with pytest.raises(ValueError, match="nothing"):
        cpu.summary([], 2)
