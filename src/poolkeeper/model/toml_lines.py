"""The line of each table, key and list item of a TOML text; TOML parsers do not keep it.

Invariant: for a text that `tomllib` accepts, every location in its result has a line, and that line is inside the
text. Not promised: anything about a text that `tomllib` refuses. This module does not validate.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field

Location = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<string>\"{3}(?:[^\\]|\\.)*?\"{3,5} | '{3}.*?'{3,5} | "(?:[^"\\\n]|\\.)*" | '[^'\n]*')
  | (?P<skip>\#[^\n]* | [\ \t\r]+)
  | (?P<newline>\n)
  | (?P<mark>[][{}=,.])
  | (?P<bare>[^][{}=,.\#"'\s]+ | .)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def line_index(text: str) -> dict[Location, int]:
    """Return the line (1-based) on which each table, key and list item begins."""
    scanner = _Scanner(list(_tokens(text)))
    scanner.read_document()
    return scanner.index


def find_line(index: dict[Location, int], location: Location) -> int | None:
    """Return the line of a key, or of the nearest table around it in the file; None if there is none."""
    while location:
        if location in index:
            return index[location]
        nested = [line for key, line in index.items() if key[: len(location)] == location]
        if nested:
            return min(nested)
        location = location[:-1]
    return None


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "bare"
        if kind != "skip":
            yield _Token(kind, match.group(), line)
        line += match.group().count("\n")
    yield _Token("end", "", line)


@dataclass
class _Scanner:
    """One pass over the tokens. `items` counts the tables of each `[[list]]`."""

    tokens: list[_Token]
    at: int = 0
    index: dict[Location, int] = field(default_factory=dict)
    items: dict[Location, int] = field(default_factory=dict)

    @property
    def token(self) -> _Token:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def read_document(self) -> None:
        table: Location = ()
        while self.token.kind != "end":
            if self.token.kind == "newline":
                self.at += 1
            elif self.token.text == "[":
                table = self.read_header()
            else:
                self.read_pair(table)

    def read_header(self) -> Location:
        """Read `[a.b]` or `[[a.b]]`. A list on the way stands for its last item."""
        line = self.token.line
        self.at += 1
        is_list = self.token.text == "["
        self.at += is_list
        *outer, last = self.read_key("]")
        self.at += 1 + is_list
        table: Location = ()
        for part in outer:
            table = self.last_item((*table, part))
        table = (*table, last)
        if is_list:
            self.items[table] = self.items.get(table, -1) + 1
            table = self.last_item(table)
        self.index.setdefault(table, line)
        return table

    def last_item(self, location: Location) -> Location:
        return (*location, self.items[location]) if location in self.items else location

    def read_key(self, ending: str) -> tuple[str, ...]:
        parts = []
        while self.token.kind != "end" and self.token.text != ending:
            if self.token.kind == "string":
                parts.append(_unquote(self.token.text))
            elif self.token.kind == "bare":
                parts.append(self.token.text)
            self.at += 1
        return tuple(parts) or ("",)

    def read_pair(self, table: Location) -> None:
        line = self.token.line
        location = (*table, *self.read_key("="))
        self.at += 1
        self.index.setdefault(location, line)
        self.read_value(location)

    def read_value(self, location: Location) -> None:
        if self.token.text == "[":
            self.read_list(location)
        elif self.token.text == "{":
            self.read_inline_table(location)
        else:
            while self.token.kind not in ("newline", "end") and self.token.text not in {",", "]", "}"}:
                self.at += 1

    def read_list(self, location: Location) -> None:
        self.at += 1
        item = 0
        while self.token.kind != "end" and self.token.text != "]":
            if self.token.kind == "newline" or self.token.text == ",":
                item += self.token.text == ","
                self.at += 1
            else:
                self.index.setdefault((*location, item), self.token.line)
                self.read_value((*location, item))
        self.at += 1

    def read_inline_table(self, location: Location) -> None:
        self.at += 1
        while self.token.kind != "end" and self.token.text != "}":
            if self.token.kind == "newline" or self.token.text == ",":
                self.at += 1
            else:
                self.read_pair(location)
        self.at += 1


def _unquote(quoted: str) -> str:
    """Return a quoted key's text; the TOML parser resolves the escapes."""
    try:
        return str(tomllib.loads(f"key = {quoted}")["key"])
    except tomllib.TOMLDecodeError:
        return quoted
