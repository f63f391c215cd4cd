"""The text of `cluster.toml` → a `ClusterSpec`, or every mistake in it at once.

A wrong value does not hide the other mistakes: a stand-in takes its place, and the rules between keys are checked as
well. Invariant: no mistake is reported about a stand-in, and `load` raises nothing but `SpecError`, whatever the text.
"""

from __future__ import annotations

import copy
import re
import tomllib
from typing import Any

from pydantic import ValidationError

from poolkeeper.core.errors import Mistake, SpecError
from poolkeeper.model import key_mistakes, renamed_keys, spec_rules, stand_ins
from poolkeeper.model.locations import Location, dotted, is_under, take_out, walk
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.spec_types import nearest_key
from poolkeeper.model.toml_lines import find_line, line_index

SpecAndBroken = tuple[ClusterSpec | None, list[spec_rules.Broken]]

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
# The beginning of a message of tomllib → a sentence that helps. Other messages of tomllib are shown as they are.
_TOML_HINTS = (
    ("Invalid value (at end of document)", "the file ends where a value is missing or not closed"),
    ("Invalid value", "no TOML value begins here; text is written in quotes"),
    ("Expected newline or end of document", "something follows the value; text is written in quotes"),
    ("Illegal character '\\n'", "the text in quotes does not end on its line"),
    ("Cannot overwrite a value", "this key is already in the file"),
    ("Cannot declare", "this table is already in the file"),
)
_ENDLESS_NUMBER = re.compile(r"[0-9][0-9_]{4000}")


def load(text: str | bytes, path: str = "cluster.toml") -> ClusterSpec:
    """Return the cluster that a text declares. `path` names the file in messages.

    Raises:
        SpecError: with every mistake; each has its key, its line and the rule.
    """
    try:
        decoded = (text.decode() if isinstance(text, bytes) else text).removeprefix("\ufeff")
        raw = _parse(decoded, path)
        current = copy.deepcopy(raw)
        translation = renamed_keys.translate(current)
        spec, broken = _read(current)
        broken = [(translation.in_file(location), rule) for location, rule in broken] + translation.mistakes
        lines = line_index(decoded) if broken else {}
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise SpecError(path, (Mistake("(file)", line, "is not UTF-8 text"),)) from e
    except RecursionError as e:
        line = 1 + max(enumerate(decoded.split("\n")), key=lambda numbered: len(re.findall(r"[{[]", numbered[1])))[0]
        raise SpecError(path, (Mistake("(file)", line, "lists or tables are nested too deep to read"),)) from e
    if spec is None or broken:
        mistakes = [Mistake(dotted(location, raw), find_line(lines, location), rule) for location, rule in broken]
        raise SpecError(path, tuple(sorted(mistakes, key=lambda m: (m.line or 10**9, m.key))))
    return spec


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        line, sentence = _toml_mistake(str(e), text)
        raise SpecError(path, (Mistake("(file)", line, f"cannot be read as TOML: {sentence}"),)) from e
    except ValueError as e:  # a number with more digits than Python converts
        digits = _ENDLESS_NUMBER.search(text)
        line = text.count("\n", 0, digits.start() if digits else 0) + 1
        raise SpecError(path, (Mistake("(file)", line, "a number has too many digits to read"),)) from e


def _toml_mistake(message: str, text: str) -> tuple[int, str]:
    """Return the line of a message of tomllib, and a sentence that helps."""
    place = _TOML_PLACE.search(message)
    hint = next((hint for start, hint in _TOML_HINTS if message.startswith(start)), _TOML_PLACE.sub("", message))
    if place and place[1]:
        return int(place[1]), f"column {place[2]}: {hint}"
    return len(text.rstrip().split("\n")), hint


def _read(raw: dict[str, Any]) -> SpecAndBroken:
    """Validate; on mistakes, put a stand-in for each wrong value and check the rules on the result."""
    try:
        spec = ClusterSpec.model_validate(raw)
        return spec, spec_rules.broken_rules(spec)
    except ValidationError as e:
        errors = e.errors(include_url=False)
    broken: list[spec_rules.Broken] = []
    repaired = copy.deepcopy(raw)
    replaced: set[Location] = set()
    unused = stand_ins.UnusedValues(raw)
    for error in errors:
        location = error["loc"][:3] if error["loc"][1:2] == ("parameters",) else error["loc"]  # a bad name adds "[key]"
        near = nearest_key(location) if error["type"] == key_mistakes.UNKNOWN_KEY else None
        broken.append((location, key_mistakes.sentence(dict(error), location, near)))
        if error["type"] == key_mistakes.UNKNOWN_KEY or location[1:-1] == ("parameters",):
            take_out(repaired, location)
            location = (*location[:-1], near) if near else ()
        if location and not (near and walk(raw, location) is not None):
            replaced.add(location)
            stand_ins.put(repaired, location, unused)
    try:
        spec = ClusterSpec.model_validate(repaired)
    except ValidationError:
        return None, broken
    tied = [(location, rule) for location, rule in spec_rules.broken_rules(spec) if not is_under(location, replaced)]
    return spec, broken + [(location, stand_ins.without_names(rule)) for location, rule in tied]
