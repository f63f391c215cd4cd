"""Edits of single values in a TOML text that keep everything else: comments, order, blank lines, other keys.

Invariant: the result of `put` differs from the old text in the given keys only, when both are parsed. `put` raises for
a form that it does not edit, such as a value over several lines or an inline table. Every key is in a table.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from poolkeeper.core import errors
from poolkeeper.model.grammar import Setting
from poolkeeper.model.locations import dotted
from poolkeeper.model.toml_lines import line_index

Location = tuple[str | int, ...]  # a number is the position in a list of tables
# A key, the equals sign, a value that ends on its line, and a comment after it.
_LINE = re.compile(r"""^(\s*[^=#]+?\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'\[{]+)(\s*(?:\#.*)?)$""")
_HEADER = re.compile(r"^\s*\[")
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def literal(value: Setting) -> str:
    """Return a value as TOML text. Large integers have groups of digits, as in the default file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def put(text: str, values: Mapping[Location, Setting]) -> str:
    """Return the text with new values for these keys. `text` must be valid TOML.

    Raises:
        OperationRefused: if a key cannot be edited in place.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    edited = text.removeprefix(mark)
    wanted = _expected(tomllib.loads(edited), values)
    for location, value in values.items():
        edited = _put_one(edited, location, value)
    if _loads(edited) != wanted:
        raise _not_editable(next(iter(values)), "this form of the file is not supported")
    return mark + edited


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _expected(before: Mapping[str, Any], values: Mapping[Location, Setting]) -> dict[str, Any]:
    wanted: dict[str, Any] = copy.deepcopy(dict(before))
    for (*way, last), value in values.items():
        table: Any = wanted
        for part in way:
            if isinstance(table, list):
                table = table[part] if isinstance(part, int) and part < len(table) else None
            elif isinstance(table, dict):
                table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise _not_editable((*way, last), f"{dotted(tuple(way))} is not a table")
        table[last] = value
    return wanted


def _put_one(text: str, location: Location, value: Setting) -> str:
    index = line_index(text)
    lines = text.split("\n")
    if line := index.get(location):
        lines[line - 1] = _replaced(lines[line - 1], location, value)
        return "\n".join(lines)
    *table, key = map(str, location)
    added = f"{key if _BARE.match(key) else literal(key)} = {literal(value)}"
    head = index.get(tuple(table))
    if head is None or not _HEADER.match(lines[head - 1]):
        gap = "" if text.endswith("\n") or not text else "\n"
        return f"{text}{gap}\n[{'.'.join(table)}]\n{added}\n"
    lines.insert(_end_of_table(lines, head), added)
    return "\n".join(lines)


def _replaced(line: str, location: Location, value: Setting) -> str:
    ending = "\r" if line.endswith("\r") else ""
    found = _LINE.match(line.removesuffix("\r"))
    if not found:
        raise _not_editable(location, "its value is not the only one on its line")
    return f"{found[1]}{literal(value)}{found[3]}{ending}"


def _end_of_table(lines: list[str], head: int) -> int:
    """Return the index after the last key of the table that begins on line `head` (1-based)."""
    end = head
    for at in range(head, len(lines)):
        line = lines[at].strip()
        if _HEADER.match(line):
            break
        if line and not line.startswith("#"):
            end = at + 1
    return end


def _not_editable(location: Location, why: str) -> errors.OperationRefused:
    return errors.OperationRefused(
        f"{dotted(location)} cannot be edited in place: {why}; nothing was written",
        hint="Edit cluster.toml by hand; `poolkeeper tune` prints the values.",
    )
