"""A run of chaos as a document, and its three files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poolkeeper.report import html, markdown, plain, wording, writer
from poolkeeper.report.document import (
    Block,
    Bullets,
    Cell,
    Document,
    Fact,
    Figure,
    Heading,
    Item,
    Listing,
    Paragraph,
    Section,
    table,
)
from poolkeeper_lab.chaos.report import chaos_plot, chaos_wording
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun, Passage, RunVerdict

STEM = "chaos"
SCHEMA = 1


def document(run: ChaosRun) -> Document:
    """Return the report that Markdown and HTML render."""
    facts = (
        Fact("Cluster", run.cluster),
        Fact("Started", wording.moment(run.started_at), run.started_at),
        Fact("Took", wording.duration(run.seconds)),
        Fact("Seed", str(run.seed)),
        Fact("History", run.history),
    )
    repeat = f"poolkeeper chaos check {run.history}   # check the history again\n{run.replay}   # plan the same run"
    findings = tuple(block for verdict in run.verdicts for block in _finding(verdict))
    return Document(
        topic="chaos",
        cluster=run.cluster,
        outcome=run.outcome,
        title=chaos_wording.headline(run),
        facts=facts,
        attention=tuple(map(Item, chaos_wording.attention(run))),
        sections=(
            Section("Repeat", (Listing(repeat),)),
            _scenarios(run),
            Section("Findings", findings),
            _operations(run),
        ),
    )


def to_markdown(run: ChaosRun) -> str:
    """Return the report as Markdown."""
    return markdown.render(document(run))


def to_html(run: ChaosRun) -> str:
    """Return the report as an HTML page."""
    return html.render(document(run))


def to_json(run: ChaosRun) -> str:
    """Return the report as JSON for programs, schema 1; `plain_document` documents its keys."""
    return plain.text(plain_document(run))


def plain_document(run: ChaosRun) -> dict[str, Any]:
    """Return the JSON document as plain data. Keys are only added within a schema; readers ignore unknown ones.

    schema, cluster, started_at (ISO 8601, UTC), seconds, seed, outcome (pass | fail | unknown), replay, history,
    left_out, problems, is_interrupted, injected (faults), lost (acknowledged writes that the end did not show)
    passages     [{"number", "scenario", "promise", "faults", "victims", "outcome", "problem", "began", "healed",
                 "recovered", "completions" {"ok", "fail", "info"}, "pauses" {endpoint: seconds}}]; times in seconds
                 after the first line of the history; null if an event did not happen
    verdicts     [{"checker", "workload", "outcome", "summary", "count", "anomalies" [{"name", "text", "operations"}],
                 "unknowns", "permitted"}]; the first anomalies, "count" is how many there are
    shares       [{"workload", "ok", "fail", "info", "codes", "writes"}]: operations by the answer that clients
                 received; "writes" are those of "ok" that change something
    pauses       [{"endpoint", "seconds", "is_open"}]
    rate         [[second, acknowledged operations]]
    latency      [[second, median, longest]] of the operations acknowledged in it, in milliseconds
    """
    return {"schema": SCHEMA, **plain.data(run)}


def write_all(run: ChaosRun, directory: Path) -> tuple[Path, ...]:
    """Write chaos.md, .html and .json; return their paths in this order.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
    """
    return writer.write_report(document(run), to_json(run), directory, STEM)


def _scenarios(run: ChaosRun) -> Section:
    picture = chaos_plot.picture(run)
    blocks: list[Block] = (
        [Figure(chaos_wording.PICTURE.format(peak=picture.peak), chaos_plot.draw(picture))] if picture else []
    )
    caption = "Each scenario with its promise and what happened in its time"
    blocks.append(
        table(caption, chaos_wording.PASSAGES, [_passage(p) for p in run.passages], heading=1, name="scenarios")
    )
    if run.left_out:
        blocks.append(Paragraph(f"There was no time for: {', '.join(run.left_out)}.", is_quiet=True))
    return Section("Scenarios", (*blocks, Paragraph(chaos_wording.METHOD, is_quiet=True)))


def _passage(p: Passage) -> tuple[str | Cell, ...]:
    scenario, promise, *rest = chaos_wording.passage(p)
    return (Cell(str(p.number), p.outcome), Cell(scenario, note=promise, tooltip="; then ".join(p.faults)), *rest)


def _finding(found: RunVerdict) -> list[Block]:
    blocks: list[Block] = [Heading(chaos_wording.name(found), found.outcome), Paragraph(found.summary)]
    for shown in found.anomalies:
        blocks.append(Paragraph(shown.text, shown.name))
        if shown.operations:
            blocks.append(Listing("\n".join(shown.operations)))
    if found.count > len(found.anomalies):
        blocks.append(Paragraph(f"{found.count} in total; the JSON report and `chaos check --json` have more."))
    items = [f"unknown: {text}" for text in found.unknowns]
    items += [f"permitted: {found.permitted}"] if found.permitted else []
    return [*blocks, Bullets(tuple(map(Item, items)))] if items else blocks


def _operations(run: ChaosRun) -> Section:
    caption = "Operations of each workload by the answer that its clients received"
    shares = table(caption, chaos_wording.SHARES, [chaos_wording.share(s) for s in run.shares])
    pauses = chaos_wording.pauses({pause.endpoint: pause.seconds for pause in run.pauses})
    return Section("Operations", (shares, Paragraph(f"Longest pauses of the complete run: {pauses}.", is_quiet=True)))
