"""The model of every report: facts, what needs attention, and sections of blocks. Values only.

A pipeline builds one `Document` from its result, and `markdown` and `html` render it. All text here is plain text: a
renderer escapes it for its own format, so foreign text never becomes markup. Figures appear in HTML only; each one has
a table or a sentence with the same values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from poolkeeper.model.verdict import Outcome
from poolkeeper.report.svg import Drawing


@dataclass(frozen=True)
class Fact:
    """A name and its value in the head of a report. `moment` is the ISO 8601 time that `value` shows, if it is one."""

    name: str
    value: str
    moment: str | None = None


@dataclass(frozen=True)
class Item:
    """A line of a list: the mark of an outcome, a name (`lead`), and a text.

    `anchor` is the place in the document that the name links to. `swatch` is the colour class that a key explains.
    """

    text: str
    lead: str | None = None
    mark: Outcome | None = None
    anchor: str = ""
    swatch: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table. `mark` precedes the text, `note` follows it, `anchor` is the place that it links to.

    HTML shows `tooltip` on demand; Markdown leaves it out.
    """

    text: str
    mark: Outcome | None = None
    note: str = ""
    anchor: str = ""
    tooltip: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table. `style` names classes of page.css: number, minor, mono."""

    name: str
    style: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table. An idle row shows something that did not run."""

    cells: tuple[Cell, ...]
    is_idle: bool = False


@dataclass(frozen=True)
class Table:
    """A table. `heading` is the index of the column that names the row; None if no column does."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    heading: int | None = 0
    name: str = ""  # class of page.css


@dataclass(frozen=True)
class Paragraph:
    """A paragraph. A quiet one explains; `lead` is a name in bold before the text."""

    kind: ClassVar[str] = "paragraph"
    text: str
    lead: str = ""
    mark: Outcome | None = None
    is_quiet: bool = False


@dataclass(frozen=True)
class Bullets:
    """A list. `style` names a class of page.css: plain, cards, changes, legend."""

    kind: ClassVar[str] = "bullets"
    items: tuple[Item, ...]
    style: str = "plain"


@dataclass(frozen=True)
class Listing:
    """Lines that a reader copies or compares, as they are."""

    kind: ClassVar[str] = "listing"
    text: str


@dataclass(frozen=True)
class Heading:
    """A heading inside a section. `ordinal` is the number that precedes it."""

    kind: ClassVar[str] = "heading"
    text: str
    mark: Outcome | None = None
    ordinal: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing and its caption."""

    kind: ClassVar[str] = "figure"
    caption: str
    drawing: Drawing


@dataclass(frozen=True)
class Command:
    """A command or query: its place, its text, its duration, and its result."""

    where: str
    took: str
    ran: str
    returned: str


@dataclass(frozen=True)
class Entry:
    """A check with its evidence; HTML folds the evidence of one that passed."""

    title: str
    outcome: Outcome
    summary: str
    identifier: str
    took: str
    anchor: str
    evidence: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Entries:
    """Checks below each other."""

    kind: ClassVar[str] = "entries"
    entries: tuple[Entry, ...]


Block = Table | Paragraph | Bullets | Listing | Heading | Figure | Entries


@dataclass(frozen=True)
class Section:
    """A titled part of a report."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A report. `title` is the verdict in one line, `topic` names the kind of the report.

    `columns` are sections that stand side by side where the page is wide enough; `legend` explains the outcomes.
    """

    topic: str
    cluster: str
    outcome: Outcome
    title: str
    facts: tuple[Fact, ...]
    attention: tuple[Item, ...] = ()
    sections: tuple[Section, ...] = ()
    columns: tuple[Section, ...] = ()
    legend: tuple[Item, ...] = field(default=())

    @property
    def all_sections(self) -> tuple[Section, ...]:
        """The sections in their order, those that stand side by side included."""
        return (*self.sections, *self.columns)


def table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    heading: int | None = 0,
    name: str = "",
) -> Table:
    """Return a table of cells; a text is a cell without a mark."""
    shown = (Row(tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in row)) for row in rows)
    return Table(caption, tuple(map(Column, header)), tuple(shown), heading, name)
