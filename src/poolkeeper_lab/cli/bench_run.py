"""The measuring commands of `bench`: run parts under a lock, compare, write the reports, and print the result."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from poolkeeper.cli import console
from poolkeeper.core import errors
from poolkeeper.system import state
from poolkeeper_lab.bench import bench_parts
from poolkeeper_lab.bench.report import bench_docs, bench_json, bench_report, bench_wording
from poolkeeper_lab.bench.report.compare import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from poolkeeper.cluster.handle import Cluster
    from poolkeeper_lab.bench.report.bench_model import BenchRun
    from poolkeeper_lab.bench.report.compare import Comparison


@dataclass(frozen=True)
class Output:
    """The output of a run. `strict`: a goal that is not met is a failure."""

    stem: str  # of the file names
    reports: Path
    as_json: bool = False
    compare: Path | None = None
    strict: bool = False


def perform(cluster: Cluster, names: Sequence[str], options: bench_parts.BenchOptions, output: Output) -> int:
    """Run the parts, compare and report, and return the exit code.

    Raises:
        UsageError: before the run, if the earlier run cannot be read.
    """
    earlier = bench_json.read(output.compare) if output.compare else None
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 16)
    progress = console.ConsoleSteps()
    with state.lock(cluster.folder, "drill.lock"):  # a fault of a drill would spoil the measurement
        command = " ".join(["poolkeeper", *sys.argv[1:]])
        run, failures = bench_parts.perform(cluster, names, replace(options, seed=seed), command, progress)
    comparison = compare(earlier, run) if earlier else None
    written = bench_report.write_all(run, comparison, output.reports, output.stem)
    progress.note(f"reports: {', '.join(map(str, written))}")
    _print(run, comparison, output.as_json)
    for failure in failures.values():
        console.report(failure)
    if run.is_interrupted:
        return 130
    is_short = output.strict and any(goal.is_met is not True for goal in run.goals)
    return next((e.exit_code for e in failures.values()), 1 if is_short else 0)


def document(files: Sequence[Path], into: Path) -> list[Path]:
    """Fill a document, draw its pictures beside it, and return the written paths.

    Raises:
        UsageError: if a report or the document cannot be read.
    """
    runs = [bench_json.read(file) for file in files]
    try:
        text = into.read_text(encoding="utf-8")
    except OSError as e:
        raise errors.UsageError(f"{into} cannot be read: {e.strerror}", hint="Name a document with marks.") from e
    files_to_write = {into: bench_docs.fill(text, runs)}
    files_to_write |= {into.parent / bench_docs.FOLDER / name: drawn for name, drawn in bench_docs.pictures(runs)}
    for path, content in files_to_write.items():
        state.write(path, content, mode=0o644)
    return list(files_to_write)


def _print(run: BenchRun, comparison: Comparison | None, as_json: bool) -> None:
    if as_json:
        console.out.print(bench_json.render(run, comparison), markup=False)
        return
    for section in run.sections:
        console.out.print(f"\n{section.title}: {bench_wording.tally(section.tally)}", markup=False)
        for shown in bench_wording.tables(section):
            if shown.title:
                console.out.print(shown.title, markup=False)
            console.out.print(_table(shown.header, shown.rows))
        for note in section.notes:
            console.out.print(f"note: {note}", markup=False)
    if run.goals:
        console.out.print("\nGoals", markup=False)
        console.out.print(_table(bench_wording.GOALS, [bench_wording.goal_row(goal) for goal in run.goals]))
    if comparison:
        console.out.print(bench_wording.moved(comparison), markup=False)
        console.out.print(_table(bench_wording.COMPARED, bench_wording.compared_rows(comparison)))
    console.out.print(bench_wording.headline(run), markup=False)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in header:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
