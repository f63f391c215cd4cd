"""A live self-test as a document, and its three files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from poolkeeper.report import html, markdown, plain, wording, writer
from poolkeeper.report.document import Cell, Document, Fact, Item, Listing, Paragraph, Section, table
from poolkeeper_lab.chaos.report import self_test_wording
from poolkeeper_lab.chaos.report.self_test_model import Bug, LiveTest

STEM = "self-test"
SCHEMA = 1


def document(test: LiveTest) -> Document:
    """Return the report that Markdown and HTML render."""
    facts = (
        Fact("Cluster", test.cluster),
        Fact("Started", wording.moment(test.started_at), test.started_at),
        Fact("Took", wording.duration(test.seconds)),
        Fact("Seed", str(test.seed)),
    )
    caption = "Each bug, the scenario that exposed it, and the checker that caught it"
    bugs = table(caption, self_test_wording.BUGS, [_bug(bug) for bug in test.bugs], heading=1, name="figures")
    return Document(
        topic="self-test",
        cluster=test.cluster,
        outcome=test.outcome,
        title=self_test_wording.headline(test),
        facts=facts,
        attention=tuple(map(Item, self_test_wording.attention(test))),
        sections=(
            Section("Repeat", (Listing(f"{test.replay}   # run the same test"),)),
            Section("Bugs in the running cluster", (bugs, Paragraph(self_test_wording.METHOD, is_quiet=True))),
            Section("Stored histories", (Paragraph(self_test_wording.stored(test.stored), mark=test.stored.outcome),)),
        ),
    )


def to_markdown(test: LiveTest) -> str:
    """Return the report as Markdown."""
    return markdown.render(document(test))


def to_html(test: LiveTest) -> str:
    """Return the report as an HTML page."""
    return html.render(document(test))


def to_json(test: LiveTest) -> str:
    """Return the report as JSON for programs, schema 1; `plain_document` documents its keys."""
    return plain.text(plain_document(test))


def plain_document(test: LiveTest) -> dict[str, Any]:
    """Return the JSON document as plain data. Keys are only added within a schema; readers ignore unknown ones.

    schema, cluster, started_at (ISO 8601, UTC), seconds, seed, outcome (pass | fail | unknown), replay
    stored   {"histories", "mutants", "missed", "outcome"}
    bugs     [{"name", "sentence", "wanted" ["checker: anomaly"], "outcome", "scenario", "caught_by", "text",
             "seconds", "rounds", "histories", "problem"}]; "seconds" from its first operation until it was caught, or
             null
    """
    return {"schema": SCHEMA, "outcome": test.outcome.value, **plain.data(test)}


def write_all(test: LiveTest, directory: Path) -> tuple[Path, ...]:
    """Write self-test.md, .html and .json; return their paths in this order.

    Raises:
        PermissionRefused: if the directory or a file is not writable.
        DiskFull: if there is no space left.
    """
    return writer.write_report(document(test), to_json(test), directory, STEM)


def _bug(bug: Bug) -> tuple[str | Cell, ...]:
    name, *rest = self_test_wording.cells(bug)
    return (Cell("", bug.outcome), Cell(name, tooltip="; ".join(bug.wanted)), *rest)
