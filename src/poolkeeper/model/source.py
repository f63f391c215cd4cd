"""The text of `cluster.toml` → a `ClusterSpec`, or every mistake in it at once.

A wrong key does not hide the others: a stand-in takes its place, and the rules that tie keys together are still tried.
Invariant: a mistake is never reported about a stand-in, and nothing but `SpecError` is raised, whatever the text.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import re
import tomllib
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any, Literal, TypeVar, get_args, get_origin

from annotated_types import Ge
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from poolkeeper.core.errors import Mistake, SpecError
from poolkeeper.model import rules
from poolkeeper.model.grammar import IN_WORDS, shown
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.toml_lines import find_line, line_index

Location = tuple[str | int, ...]
Spare = TypeVar("Spare", int, str, IPv4Address)
Reading = tuple[ClusterSpec | None, list[rules.Broken]]

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
# What tomllib says, and what helps; its own words stand where nothing is written here.
_TOML_HINTS = (
    ("Invalid value (at end of document)", "the file ends where a value is missing or not closed"),
    ("Invalid value", "no TOML value begins here; text is written in quotes"),
    ("Expected newline or end of document", "something follows the value; text is written in quotes"),
    ("Illegal character '\\n'", "the text in quotes does not end on its line"),
    ("Cannot overwrite a value", "this key stands in the file already"),
    ("Cannot declare", "this table stands in the file already"),
)
_ENDLESS_NUMBER = re.compile(r"[0-9][0-9_]{4000}")
_KIND_WORDS = {
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be a list of tables",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_long": "must have at most {max_length} characters",
}
_UNKNOWN = "extra_forbidden"
_UNREADABLE = re.compile(r"\bunreadable\d+\b")  # the stand-in of a name


def load(text: str | bytes, path: str = "cluster.toml") -> ClusterSpec:
    """Read a declared cluster. Raises SpecError with every mistake, each with its key, line and rule."""
    try:
        decoded = (text.decode() if isinstance(text, bytes) else text).removeprefix("\ufeff")
        raw = _parse(decoded, path)
        spec, broken = _read(raw)
        lines = line_index(decoded) if broken else {}
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise SpecError(path, (Mistake("(file)", line, "is not UTF-8 text"),)) from e
    except RecursionError as e:
        line = 1 + max(enumerate(decoded.split("\n")), key=lambda numbered: len(re.findall(r"[{[]", numbered[1])))[0]
        raise SpecError(path, (Mistake("(file)", line, "lists or tables are nested too deep to read"),)) from e
    if spec is None or broken:
        mistakes = [Mistake(dotted(loc, raw), find_line(lines, loc), rule) for loc, rule in broken]
        raise SpecError(path, tuple(sorted(mistakes, key=lambda m: (m.line or 10**9, m.key))))
    return spec


def _parse(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        line, said = _toml_mistake(str(e), text)
        raise SpecError(path, (Mistake("(file)", line, f"cannot be read as TOML: {said}"),)) from e
    except ValueError as e:  # a number with more digits than Python converts
        digits = _ENDLESS_NUMBER.search(text)
        line = text.count("\n", 0, digits.start() if digits else 0) + 1
        raise SpecError(path, (Mistake("(file)", line, "a number has too many digits to read"),)) from e


def _toml_mistake(said: str, text: str) -> tuple[int, str]:
    """The line, and a sentence that helps, of what tomllib said."""
    place = _TOML_PLACE.search(said)
    hint = next((hint for start, hint in _TOML_HINTS if said.startswith(start)), _TOML_PLACE.sub("", said))
    if place and place[1]:
        return int(place[1]), f"column {place[2]}: {hint}"
    return len(text.rstrip().split("\n")), hint


def _read(raw: dict[str, Any]) -> Reading:
    """Validate; on mistakes, put a stand-in for each wrong value and try the rules on what that makes."""
    try:
        spec = ClusterSpec.model_validate(raw)
        return spec, rules.broken_rules(spec)
    except ValidationError as e:
        errors = e.errors(include_url=False)
    broken: list[rules.Broken] = []
    repaired = copy.deepcopy(raw)
    replaced: set[Location] = set()
    spares = _Spares(raw)
    for error in errors:
        location = error["loc"][:3] if error["loc"][1:2] == ("parameters",) else error["loc"]  # a bad name adds "[key]"
        near = _nearest_key(location) if error["type"] == _UNKNOWN else None
        broken.append((location, _sentence(dict(error), location, near)))
        if error["type"] == _UNKNOWN or location[1:-1] == ("parameters",):
            _take_out(repaired, location)
            location = (*location[:-1], near) if near else ()
        if location and not (near and _walk(raw, location) is not None):
            replaced.add(location)
            _put(repaired, location, spares)
    try:
        spec = ClusterSpec.model_validate(repaired)
    except ValidationError:
        return None, broken
    tied = [(loc, rule) for loc, rule in rules.broken_rules(spec) if not _is_under(loc, replaced)]
    return spec, broken + [(loc, _UNREADABLE.sub("a service whose name is wrong", rule)) for loc, rule in tied]


def _is_under(location: Location, others: set[Location]) -> bool:
    return any(location[:depth] in others for depth in range(len(location) + 1))


def _sentence(error: dict[str, Any], location: Location, near: str | None) -> str:
    """The rule that was broken, and the value that broke it."""
    kind, given, context = error["type"], error.get("input"), error.get("ctx", {})
    if kind == _UNKNOWN:
        if near is None and len(location) == 2 and location[0] in ("postgresql", "pgpool"):
            return f"unknown key; other parameters of {location[0]}.conf belong under [{location[0]}.parameters]"
        return "unknown key" + (f"; did you mean {near}?" if near else "")
    if kind == "missing":
        return "is required"
    if kind == "refused":
        return str(context["sentence"])
    if kind == "string_pattern_mismatch":
        words = IN_WORDS.get(context["pattern"], context["pattern"])
        return f"must be {words}, not {shown(given)}"
    rule = _KIND_WORDS.get(kind, str(error["msg"])).format_map(context).replace("'", '"')
    return f"{rule}, not {shown(given)}"


def _nearest_key(location: Location) -> str | None:
    """The key that was probably meant by an unknown one."""
    table = _type_at(location[:-1])[0]
    known = list(table.model_fields) if isinstance(table, type) and issubclass(table, BaseModel) else []
    return next(iter(difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.7)), None)


def _type_at(location: Location) -> tuple[Any, FieldInfo | None]:
    """The type that the model has at a location, and its field where it is one."""
    kind: Any = ClusterSpec
    info: FieldInfo | None = None
    for part in location:
        if isinstance(part, int):
            kind, info = get_args(kind)[0], None
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            info = kind.model_fields[part]
            kind = info.annotation
    return kind, info


class _Spares:
    """Values that the file does not have, each given out once."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._used = {str(leaf) for leaf in _leaves(raw)}
        self._serials = itertools.count()

    def take(self, form: Callable[[int], Spare]) -> Spare:
        """The next value of that form."""
        return next(value for value in map(form, self._serials) if str(value) not in self._used)


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(item)
    else:
        yield tree


def _stand_in(kind: Any, info: FieldInfo | None, name: str, spares: _Spares) -> Any:
    """A valid value that can make no rule complain about *another* key: names, addresses and ports that nobody uses,
    no nodes at all, the smallest of numbers, the network too small for any address (and so not looked into)."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        return {key: _stand_in(field.annotation, field, key, spares) for key, field in fields}
    if get_origin(kind) in (tuple, dict):
        return get_origin(kind)()
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]  # synchronous_mode's last is off, which asks nothing of the nodes
    if kind is bool:
        return False
    if kind is int:
        lower: list[Any] = [limit.ge for limit in (info.metadata if info else []) if isinstance(limit, Ge)]
        return spares.take(lambda n: 65535 - n) if name.endswith("port") else max(lower, default=0)
    if kind is str:
        return spares.take(lambda n: f"unreadable{n}")
    return str(spares.take(lambda n: IPv4Address("192.0.2.0") + n)) if kind is IPv4Address else "192.0.2.0/30"


def _put(tree: Any, location: Location, spares: _Spares) -> None:
    """Set the stand-in at a location whose surroundings exist."""
    holder, last = _walk(tree, location[:-1]), location[-1]
    if isinstance(holder, dict | list):
        kind, info = _type_at(location)
        holder[last] = _stand_in(kind, info, str(last), spares)  # type: ignore[index]


def _take_out(tree: Any, location: Location) -> None:
    holder = _walk(tree, location[:-1])
    if isinstance(holder, dict):
        holder.pop(location[-1], None)


def _walk(tree: Any, location: Location) -> Any:
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def dotted(location: Location, raw: dict[str, Any] | None = None) -> str:
    """`("nodes", 1, "port")` → `nodes[pg_node2].port`: the item's name, or `#2` where it has none of its own."""
    text = ""
    for depth, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{_item_title(_walk(raw, location[:depth]), part, location[depth + 1 :])}]"
        else:
            plain = part if re.fullmatch(r"[\w-]+", part) else shown(part)
            text += f".{plain}" if text else plain
    return text or "(file)"


def _item_title(items: Any, index: int, rest: Location) -> str:
    names = [item.get("name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    name = _walk(items, (index, "name"))
    is_telling = isinstance(name, str) and re.fullmatch(r"[\w-]{1,40}", name) and names.count(name) == 1
    return str(name) if is_telling and rest != ("name",) else f"#{index + 1}"
