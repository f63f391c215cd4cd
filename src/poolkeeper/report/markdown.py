"""A document as Markdown (CommonMark with tables), readable raw as well as rendered.

Invariant: foreign text never becomes markup. Listings and evidence stand in code fences longer than any run of
backticks in them; all other text is escaped and kept on its line. No HTML is written. Figures are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from poolkeeper.model.verdict import Outcome
from poolkeeper.report import wording
from poolkeeper.report.document import (
    Block,
    Bullets,
    Cell,
    Command,
    Document,
    Entries,
    Entry,
    Heading,
    Item,
    Listing,
    Paragraph,
    Table,
)

_BACKTICKS = re.compile(r"`+")
# What begins markup inside a line; an underscore inside a word does not.
_MARKUP = re.compile(r"[\\`*{}\[\]<>#|~&$!]|(?<![^\W_])_|_(?![^\W_])")
_LINK = re.compile(r"(?<=\w)(?=://)|(?<=www)(?=\.)", re.I)


def render(document: Document) -> str:
    """Return the report, ending in one newline."""
    blocks = [f"# {wording.SYMBOLS[document.outcome]} {escape(document.title)}"]
    blocks.append("\n".join(f"- {escape(fact.name)}: {escape(fact.value)}" for fact in document.facts))
    if document.attention:
        blocks += ["## Needs attention", _items(document.attention)]
    for section in document.all_sections:
        blocks += [f"## {escape(section.title)}", *body(section.blocks)]
    if document.legend:
        blocks += ["## Legend", _items(document.legend)]
    return "\n\n".join(blocks) + "\n"


def body(blocks: Iterable[Block]) -> Iterator[str]:
    """Yield the Markdown blocks of a section's content."""
    for block in blocks:
        match block:
            case Table():
                yield _table(block)
            case Paragraph():
                yield _paragraph(block)
            case Bullets():
                yield _items(block.items)
            case Listing():
                yield fence(block.text)
            case Heading():
                ordinal = f"{block.ordinal}. " if block.ordinal else ""
                yield f"### {_symbol(block.mark)}{ordinal}{escape(block.text)}"
            case Entries():
                for entry in block.entries:
                    yield from _entry(entry)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of text cells, each escaped and on one line."""
    lines = [tuple(header), tuple("---" for _ in header), *(tuple(escape(cell) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fence(text: str) -> str:
    """Return the text in a code fence that nothing inside can close."""
    ticks = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    return f"{ticks}text\n{text.removesuffix(chr(10))}\n{ticks}"


def escape(text: str) -> str:
    """Return the text as one line without markup, for use inside a line and never as its beginning."""
    one_line = " ".join(text.split())
    return _LINK.sub(r"\\", _MARKUP.sub(r"\\\g<0>", one_line))


def _table(block: Table) -> str:
    return table([column.name for column in block.columns], [tuple(map(_cell, row.cells)) for row in block.rows])


def _cell(cell: Cell) -> str:
    words = ": ".join(filter(None, (cell.text, cell.note)))
    return f"{_symbol(cell.mark)}{words}".rstrip()


def _paragraph(block: Paragraph) -> str:
    lead = f"**{escape(block.lead)}**: " if block.lead else ""
    return f"{_symbol(block.mark)}{lead}{escape(block.text)}"


def _items(items: Iterable[Item]) -> str:
    return "\n".join(f"- {_item(item)}" for item in items)


def _item(item: Item) -> str:
    mark = f"{_mark(item.mark)}: " if item.mark else ""
    lead = f"**{escape(item.lead)}**: " if item.lead else ""
    return f"{mark}{lead}{escape(item.text)}"


def _entry(entry: Entry) -> Iterator[str]:
    yield f"#### {wording.SYMBOLS[entry.outcome]} {escape(entry.title)}"
    yield f"{_mark(entry.outcome)} · {escape(entry.identifier)} · {entry.took}"
    yield f"Found: {escape(entry.summary)}"
    for command in entry.evidence:
        yield from _command(command)
    if not entry.evidence:
        yield wording.NO_EVIDENCE


def _command(command: Command) -> Iterator[str]:
    yield f"Run on **{escape(command.where)}**, in {command.took}:"
    yield fence(command.ran)
    if command.returned:
        yield "It returned:"
        yield fence(command.returned)
    else:
        yield wording.NO_OUTPUT


def _symbol(outcome: Outcome | None) -> str:
    return f"{wording.SYMBOLS[outcome]} " if outcome else ""


def _mark(outcome: Outcome) -> str:
    return f"{wording.SYMBOLS[outcome]} {outcome.value}"
