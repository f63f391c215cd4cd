"""A suite as a document, and its four files. Passwords are redacted, and every invisible character is made visible."""

from __future__ import annotations

import re

from poolkeeper.model.verdict import Evidence, Outcome, Suite, Verdict
from poolkeeper.report import html, markdown, wording
from poolkeeper.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Command,
    Document,
    Entries,
    Entry,
    Fact,
    Heading,
    Item,
    Paragraph,
    Row,
    Section,
    Table,
)
from poolkeeper.suite import report_text, report_wording
from poolkeeper.suite.report_wording import ReportGroup

_NOT_IN_ANCHORS = re.compile(r"[^A-Za-z0-9_.-]+")
_GROUPS = (Column("#", "number"), Column("Group"), Column("Outcome"), Column("Checks", "number minor"),
           Column("Time", "number"))  # fmt: skip


def document(suite: Suite) -> Document:
    """Return the report that Markdown and HTML render."""
    suite = report_text.legible(suite)
    facts = (
        Fact("Cluster", suite.cluster),
        Fact("Started", wording.moment(suite.started_at), suite.started_at),
        Fact("Took", wording.duration(suite.seconds)),
        Fact("Checks", report_wording.tally(suite)),
        Fact("Groups run", report_wording.groups_run(suite)),
    )
    return Document(
        topic="validation report",
        cluster=suite.cluster,
        outcome=suite.outcome,
        title=report_wording.headline(suite),
        facts=facts,
        attention=tuple(Item(v.summary, v.title, v.outcome, anchor(v.check)) for v in report_wording.attention(suite)),
        sections=(_changes(suite), _groups(suite), *_checks(suite)),
        columns=(*_topology(suite), *_versions(suite)),
        legend=tuple(Item(report_wording.MEANINGS[outcome], mark=outcome) for outcome in Outcome),
    )


def to_markdown(suite: Suite) -> str:
    """Return the report as Markdown."""
    return markdown.render(document(suite))


def to_html(suite: Suite) -> str:
    """Return the report as an HTML page."""
    return html.render(document(suite))


def anchor(check: str) -> str:
    """Return the id of a check's place in the page."""
    return f"check-{_NOT_IN_ANCHORS.sub('-', check)}"


def _changes(suite: Suite) -> Section:
    items = tuple(_change(line) for line in suite.changes)
    shown: Block = Bullets(items, "changes") if items else Paragraph(report_wording.NO_CHANGES, is_quiet=True)
    return Section("Changed since the last run", (shown,))


def _change(line: str) -> Item:
    check, separator, what = line.partition(": ")
    return Item(what, check) if separator else Item(line)


def _groups(suite: Suite) -> Section:
    rows = tuple(_group_row(group) for group in report_wording.groups(suite))
    caption = "The groups of checks with their outcome, number of checks and time"
    return Section("Groups", (Table(caption, _GROUPS, rows, heading=1, name="groups"),))


def _group_row(group: ReportGroup) -> Row:
    has_run = bool(group.verdicts)
    cells = (
        Cell(str(group.number)),
        Cell(group.name, anchor=f"group-{group.number}" if has_run else ""),
        Cell(group.word, group.outcome),
        Cell(str(len(group.verdicts)) if has_run else "–"),
        Cell(wording.duration(group.seconds) if has_run else "–"),
    )
    return Row(cells, is_idle=not has_run)


def _checks(suite: Suite) -> tuple[Section, ...]:
    blocks: list[Block] = []
    for group in report_wording.groups(suite):
        if group.verdicts:
            blocks.append(Heading(group.name, ordinal=str(group.number), anchor=f"group-{group.number}"))
            blocks.append(Entries(tuple(_entry(verdict) for verdict in group.verdicts)))
    return (Section("Checks and their evidence", tuple(blocks)),) if blocks else ()


def _entry(verdict: Verdict) -> Entry:
    return Entry(
        title=verdict.title,
        outcome=verdict.outcome,
        summary=verdict.summary,
        identifier=verdict.check,
        took=wording.duration(verdict.seconds),
        anchor=anchor(verdict.check),
        evidence=tuple(_command(piece) for piece in verdict.evidence),
    )


def _command(piece: Evidence) -> Command:
    return Command(piece.where, wording.duration(piece.seconds), piece.ran, piece.returned)


def _topology(suite: Suite) -> tuple[Section, ...]:
    columns = (Column("Service"), Column("Where", "mono"), Column("Role"))
    rows = tuple(Row(tuple(map(Cell, place))) for place in suite.topology)
    caption = "The services of the cluster, where they are, and their role"
    return (Section("Topology", (Table(caption, columns, rows),)),) if rows else ()


def _versions(suite: Suite) -> tuple[Section, ...]:
    rows = tuple(Row((Cell(component), Cell(version))) for component, version in suite.versions.items())
    columns = (Column("Component"), Column("Version", "mono"))
    return (Section("Versions", (Table("The components and their versions", columns, rows),)),) if rows else ()
