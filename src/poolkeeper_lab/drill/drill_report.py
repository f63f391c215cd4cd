"""A drill as a document, and its three files."""

from __future__ import annotations

from pathlib import Path

from poolkeeper.model.verdict import Outcome
from poolkeeper.report import html, markdown, wording, writer
from poolkeeper.report.document import (
    Block,
    Bullets,
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
from poolkeeper_lab.drill import drill_json, drill_plot, drill_wording
from poolkeeper_lab.drill.drill_results import Drill, DrillRound, Series

STEM = "drill"
_WRITES = ("acknowledged", "refused", "ambiguous", "phantoms", "stale")


def document(drill: Drill) -> Document:
    """Return the report that Markdown and HTML render."""
    facts = (
        Fact("Cluster", drill.cluster),
        Fact("Started", wording.moment(drill.started_at), drill.started_at),
        Fact("Took", wording.duration(drill.seconds)),
        Fact("Rounds requested", str(drill.asked)),
        Fact("Seed", str(drill.seed)),
    )
    missed = (Item(f"{fault}: {drill_wording.goal(reached)}") for fault, reached in drill.missed)
    problems = (Item(f"{drill_wording.name(r)}: {r.problem}") for r in drill.problems())
    return Document(
        topic="drill",
        cluster=drill.cluster,
        outcome=Outcome.PASS if drill.is_sound else Outcome.FAIL,
        title=drill_wording.headline(drill),
        facts=facts,
        attention=(*missed, *problems),
        sections=(_figures(drill), *map(_fault, drill.series)),
    )


def to_markdown(drill: Drill) -> str:
    """Return the report as Markdown."""
    return markdown.render(document(drill))


def to_html(drill: Drill) -> str:
    """Return the report as an HTML page."""
    return html.render(document(drill))


def write_all(drill: Drill, directory: Path) -> tuple[Path, ...]:
    """Write drill.md, .html and .json; return their paths in this order.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
    """
    return writer.write_report(document(drill), drill_json.render(drill), directory, STEM)


def _figures(drill: Drill) -> Section:
    rows = [drill_wording.row(series) for series in drill.series]
    shown = table("The figures of each fault beside its goals", drill_wording.COLUMNS, rows,
                  name="figures")  # fmt: skip
    parts = tuple(Item(meaning, name, swatch=name) for name, meaning in drill_wording.SEGMENTS.items())
    method = Paragraph(drill_wording.METHOD, is_quiet=True)
    return Section("Figures", (shown, method, Heading("The parts of a write gap"), Bullets(parts, "legend")))


def _fault(series: Series) -> Section:
    counts = ", ".join(f"{series.total(what):,} {what}" for what in _WRITES)
    facts = [f"Writes: {counts}", f"Errors seen: {drill_wording.errors(series.errors())}"]
    if series.of(False):
        facts.append(f"Without keeper: write gap {drill_wording.three(series.writes(False))}")
        facts.append(f"Errors seen without keeper: {drill_wording.errors(series.errors(False))}")
    items = Bullets(tuple(map(Item, facts)))
    return Section(series.fault, (Paragraph(series.sentence), items, *_drawn(series), _rounds(series)))


def _drawn(series: Series) -> list[Block]:
    blocks: list[Block] = []
    if strips := drill_plot.strips(series):
        caption = "Write gap of each round (a dot), and the median (a bar)"
        blocks.append(Figure(caption, drill_plot.draw_strips(series, strips)))
    for keeper in (True, False):
        median = series.median_round(keeper)
        if median and (line := drill_plot.timeline(median)):
            blocks.append(Figure(_caption(median, line.peak), drill_plot.draw_timeline(median, line)))
    return blocks


def _caption(median: DrillRound, peak: int) -> str:
    gap = drill_wording.seconds(median.write.seconds if median.write else None)
    name = drill_wording.name(median)
    caption = f"The median round ({name}): acknowledged writes in each 0.1 s, at most {peak}; write gap {gap}"
    if not median.split:
        return caption
    parts = "".join(f", {name} {drill_wording.seconds(seconds)}" for name, seconds in median.split.parts)
    return f"{caption}; {median.split.new_primary} became primary{parts}"


def _rounds(series: Series) -> Table:
    header = (
        "Round",
        "Keeper",
        "Victim",
        "Write gap",
        "Read gap",
        *map(str.capitalize, drill_wording.SEGMENTS),
        "Back",
    )
    rows = []
    for r in series.rounds:
        parts = (
            [drill_wording.seconds(s) for _, s in r.split.parts]
            if r.split
            else [drill_wording.NONE] * len(drill_wording.SEGMENTS)
        )
        gaps = [drill_wording.seconds(gap.seconds if gap else None) for gap in (r.write, r.read)]
        rows.append(
            (str(r.number), "on" if r.keeper else "off", r.victim, *gaps, *parts, drill_wording.seconds(r.back))
        )
    return table(f"The rounds of {series.fault}", header, rows, name="figures")
