"""The text of `cluster.toml` → a `ClusterSpec`, or every mistake in it at once.

A wrong key does not hide the others: it is taken out, its default stands in for it, and the rules that tie keys
together are still tried on the rest. Lines are found by reading the table headers again, since TOML parsers drop them.
"""

from __future__ import annotations

import copy
import re
import tomllib
from typing import Any

from pydantic import ValidationError

from poolkeeper.errors import Mistake, SpecError
from poolkeeper.model import rules
from poolkeeper.model.spec import ClusterSpec

Location = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*\[(?P<array>\[)?\s*(?P<name>[\w.\"'-]+)\s*\]?\]")
_KEY = re.compile(r"^\s*(?P<key>[\w\"'-]+(\s*\.\s*[\w\"'-]+)*)\s*=")
_TOML_PLACE = re.compile(r"\(at line (\d+), column \d+\)")


def load(text: str, path: str = "cluster.toml") -> ClusterSpec:
    """Read a declared cluster. Raises SpecError with every mistake, each with its key, line and rule."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        place = _TOML_PLACE.search(str(e))
        line = int(place.group(1)) if place else None
        raise SpecError(path, (Mistake("TOML", line, f"cannot be read: {e}"),)) from e
    spec, field_mistakes = _validate_leniently(raw)
    broken = [*field_mistakes, *(rules.broken_rules(spec) if spec else [])]
    if broken:
        lines = line_index(text)
        mistakes = [Mistake(dotted(loc), find_line(lines, loc), rule) for loc, rule in broken]
        raise SpecError(path, tuple(sorted(mistakes, key=lambda m: (m.line or 10**9, m.key))))
    assert spec is not None
    return spec


def _validate_leniently(raw: dict[str, Any]) -> tuple[ClusterSpec | None, list[rules.Broken]]:
    """Validate; on mistakes, note them, take the wrong keys out and validate what remains."""
    try:
        return ClusterSpec.model_validate(raw), []
    except ValidationError as e:
        errors = [dict(err) for err in e.errors(include_url=False)]
    mistakes: list[rules.Broken] = [(tuple(err["loc"]), _sentence(err)) for err in errors]
    remainder = copy.deepcopy(raw)
    for error in sorted(errors, key=lambda err: [str(part) for part in err["loc"]], reverse=True):
        _remove(remainder, tuple(error["loc"]), whole_item=error["type"] != "extra_forbidden")
    try:
        return ClusterSpec.model_validate(remainder), mistakes
    except ValidationError:
        return None, mistakes


def _sentence(error: dict[str, Any]) -> str:
    kind, given = error["type"], error.get("input")
    if kind == "extra_forbidden":
        return "unknown key"
    if kind == "missing":
        return "is required"
    pattern = error.get("ctx", {}).get("pattern")
    if kind == "string_pattern_mismatch":
        return f"{given!r} is a bad name: it must match {pattern}"
    message = str(error["msg"])
    return f"{message[:1].lower()}{message[1:]}, not {given!r}"


def _remove(tree: Any, location: Location, *, whole_item: bool) -> None:
    """Drop the value at `location`. With `whole_item`, a value inside a list's table takes the table with it."""
    if whole_item:
        inside = [depth for depth, part in enumerate(location) if isinstance(part, int)]
        location = location[: inside[0] + 1] if inside else location
    *path, last = location
    for part in path:
        if isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        elif isinstance(tree, dict) and part in tree:
            tree = tree[part]
        else:
            return
    if isinstance(tree, dict):
        tree.pop(last, None)
    elif isinstance(tree, list) and isinstance(last, int) and last < len(tree):
        del tree[last]


def dotted(location: Location) -> str:
    """`("nodes", 1, "port")` → `nodes[1].port`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(file)"


def line_index(text: str) -> dict[Location, int]:
    """The line (1-based) on which each table and key of a TOML text begins."""
    index: dict[Location, int] = {}
    counts: dict[Location, int] = {}
    table: Location = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = _parts(header["name"])
            if header["array"]:
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            index.setdefault(table, number)
        elif key := _KEY.match(line):
            index.setdefault((*table, *_parts(key["key"])), number)
    return index


def _parts(name: str) -> Location:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def find_line(index: dict[Location, int], location: Location) -> int | None:
    """The line of a key, or of the nearest table around it that the file has."""
    while location:
        if location in index:
            return index[location]
        nested = [line for key, line in index.items() if key[: len(location)] == location]
        if nested:
            return min(nested)
        location = location[:-1]
    return None
