"""A run of the bench as a document, and its three files."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.model.verdict import Outcome
from poolkeeper.report import html, markdown, wording, writer
from poolkeeper.report.document import (
    Block,
    Bullets,
    Cell,
    Document,
    Fact,
    Figure,
    Heading,
    Item,
    Paragraph,
    Section,
    Table,
    table,
)
from poolkeeper_lab.bench.report import bench_json, bench_plot, bench_wording
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchRun, BenchSection
from poolkeeper_lab.bench.report.compare import Comparison

_OUTCOMES = {True: Outcome.PASS, False: Outcome.FAIL, None: Outcome.UNKNOWN}


def document(run: BenchRun, comparison: Comparison | None = None) -> Document:
    """Return the report that Markdown and HTML render."""
    facts = (
        Fact("Cluster", run.cluster),
        Fact("Command", run.command),
        Fact("Started", wording.moment(run.started_at), run.started_at),
        Fact("Took", wording.duration(run.seconds)),
        Fact("Seed", str(run.seed)),
        *(Fact(name, value) for name, value in bench_wording.machine(run).items()),
    )
    interrupted = (Item(bench_wording.INTERRUPTED),) if run.is_interrupted else ()
    method = Paragraph(bench_wording.METHOD, is_quiet=True)
    first = Section("Goals", (_goals(run.goals), method)) if run.goals else Section("Method", (method,))
    compared = (_compared(comparison),) if comparison else ()
    return Document(
        topic="bench",
        cluster=run.cluster,
        outcome=bench_wording.outcome(run),
        title=bench_wording.headline(run),
        facts=facts,
        attention=interrupted,
        sections=(first, *compared, *(Section(section.title, blocks(section)) for section in run.sections)),
    )


def to_markdown(run: BenchRun, comparison: Comparison | None = None) -> str:
    """Return the report as Markdown."""
    return markdown.render(document(run, comparison))


def to_html(run: BenchRun, comparison: Comparison | None = None) -> str:
    """Return the report as an HTML page."""
    return html.render(document(run, comparison))


def write_all(run: BenchRun, comparison: Comparison | None, directory: Path, stem: str) -> tuple[Path, ...]:
    """Write STEM.md, .html and .json; return their paths in this order.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
    """
    return writer.write_report(document(run, comparison), bench_json.render(run, comparison), directory, stem)


def body(section: BenchSection) -> list[str]:
    """Return the Markdown blocks of a section without its heading, goals and figures."""
    return list(markdown.body(blocks(section)))


def blocks(section: BenchSection) -> tuple[Block, ...]:
    """Return the content of a section without its goals."""
    tally = f"Took {wording.duration(section.seconds)}; {bench_wording.tally(section.tally)}."
    found: list[Block] = [Paragraph(section.method), Paragraph(tally, is_quiet=True)]
    for picture in bench_plot.pictures(section):
        found.append(Figure(f"{picture.title} ({bench_wording.PICTURE})", bench_plot.draw(picture)))
    for shown in bench_wording.tables(section):
        found += [Heading(shown.title)] if shown.title else []
        found.append(table(shown.title or section.title, shown.header, list(shown.rows), name="figures"))
    notes = Bullets(tuple(map(Item, section.notes)))
    return (*found, notes) if section.notes else tuple(found)


def _goals(goals: tuple[BenchGoal, ...]) -> Table:
    caption = "The goals, the measured figures, and whether they are met"
    rows: list[tuple[str | Cell, ...]] = [
        (Cell("", _OUTCOMES[goal.is_met]), *bench_wording.goal_row(goal)[1:]) for goal in goals
    ]
    return table(caption, bench_wording.GOALS, rows, heading=1, name="figures")


def _compared(comparison: Comparison) -> Section:
    rows = bench_wording.compared_rows(comparison)
    summary = Paragraph(f"{bench_wording.moved(comparison)}.")
    shown = (
        (table("The figures that changed", bench_wording.COMPARED, list(rows), heading=2, name="figures"),)
        if rows
        else ()
    )
    return Section("Compared", (summary, *shown))
