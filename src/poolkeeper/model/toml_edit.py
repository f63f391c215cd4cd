"""Other values for some keys of a TOML text, everything else as it was: comments, order, blank lines, other keys.

Invariant: `put` returns a text that says exactly what the old one says, but for the given keys; where it cannot (a
value over several lines, a table written in one line), it raises and nothing is returned. Every key is in a table.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from poolkeeper.core import errors
from poolkeeper.model.grammar import Setting
from poolkeeper.model.source import dotted
from poolkeeper.model.toml_lines import line_index

Location = tuple[str | int, ...]  # a number is the position in a list of tables
# A key, the equals sign, a value that ends on its line, and a comment behind it.
_LINE = re.compile(r"""^(\s*[^=#]+?\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'\[{]+)(\s*(?:\#.*)?)$""")
_HEADER = re.compile(r"^\s*\[")
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def literal(value: Setting) -> str:
    """A value as TOML writes it; large whole numbers in groups, as the default file has them."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:_}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def put(text: str, values: Mapping[Location, Setting]) -> str:
    """The text with these keys at these values. Raises OperationRefused where it cannot be edited line by line.

    `text` is TOML that can be read.
    """
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    edited = text.removeprefix(mark)
    wanted = _expected(tomllib.loads(edited), values)
    for location, value in values.items():
        edited = _put_one(edited, location, value)
    if _loads(edited) != wanted:
        raise _by_hand(next(iter(values)), "the file is written in a form that is not edited here")
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
            raise _by_hand((*way, last), f"{dotted(tuple(way))} is not a table")
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
        raise _by_hand(location, "its value is not alone on its line")
    return f"{found[1]}{literal(value)}{found[3]}{ending}"


def _end_of_table(lines: list[str], head: int) -> int:
    """Where a new line of the table that begins on line `head` (1-based) goes: behind its last key."""
    end = head
    for at in range(head, len(lines)):
        line = lines[at].strip()
        if _HEADER.match(line):
            break
        if line and not line.startswith("#"):
            end = at + 1
    return end


def _by_hand(location: Location, why: str) -> errors.OperationRefused:
    return errors.OperationRefused(
        f"{dotted(location)} cannot be edited in place: {why}; nothing was written",
        hint="Edit cluster.toml by hand; `poolkeeper tune` prints the values.",
    )
