"""`docs/configuration.md`, from the model itself: every key with its type, default, rule and meaning.

Invariant: what the page says of a key is what `ClusterSpec` and `rules` enforce, and its example of a refusal is what
`source.load` really answers. Not promised: advice; that stands in the comments of `cluster.toml`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from poolkeeper.core.errors import SpecError
from poolkeeper.model import rules, source
from poolkeeper.model.grammar import IN_WORDS, RESERVED_SERVICES, SERVICE, shown
from poolkeeper.model.spec import ClusterSpec

PARAMETER_NAME = "a parameter's name: "  # how grammar.IN_WORDS begins
# What a type demands by itself (grammar.py).
_RULE_OF_TYPE: dict[Any, str] = {
    IPv4Address: 'in quotes, such as `"10.8.0.11"`',
    IPv4Network: 'in quotes, such as `"10.8.0.0/24"`, without host bits; not loopback, link-local or multicast',
    bool: "`true` or `false`",
}
EXAMPLE = """\
[postgresql]
max_connections = 100

[patroni]
ttl = "30s"
loop_wiat = 5

[[nodes]]
name = "pg_node1"
address = "10.8.0.11"
port = 5611

[[nodes]]
name = "pg_node2"
address = "10.9.0.12"
port = 5611
"""

INTRODUCTION = """\
# `cluster.toml`: every key

<!-- Generated from the model by poolkeeper.render.config_docs; edit src/poolkeeper/model/spec.py instead. -->

One file declares the cluster. The `cluster.toml` at the root of this repository holds every key with its default
value and says when to change it; this page holds every key with its rule.

- A key or table that is left out keeps its default. Two things count as a whole: a list of tables (`[[nodes]]`,
  `[[etcd.members]]`: whoever writes one writes all of its entries, each with all of its keys) and a table of
  parameters (`[postgresql.parameters]`, `[pgpool.parameters]`).
- A key that is not on this page is refused, wherever it stands: a misspelt setting never goes unnoticed.
- Types are exact. `ttl = "20"`, `ttl = 20.0` and `connection_cache = 1` are mistakes.
- No text may contain a line break or another control character.

## How a bad file is refused

Every command that reads the file checks all of it first. One mistake is enough: nothing is started, changed or
stopped, the exit code is {exit_code}, and *all* mistakes are listed with key, line and rule. An entry of a list is
called by its name (`nodes[pg_node2].port`), or by its place where its name cannot be told (`nodes[#2].name`). This
file

```toml
{example}```

is answered with

```text
{answer}
```

A value that is wrong by itself is not used in judging others: above, no rule is tried with that `ttl`. A key that is
"not in the file" is judged by its default: after a change of `network.subnet`, for instance, every address that still
has its default lies outside and is named.
"""


def render() -> str:
    """The whole page; it ends with a newline."""
    parts = [_introduction(), *_tables(ClusterSpec, ClusterSpec(), ""), _rules(), _owned()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _introduction() -> str:
    try:
        source.load(EXAMPLE)
    except SpecError as e:
        answer = f"{e.message}\n{e.detail}\n{e.hint}"
        return INTRODUCTION.format(example=EXAMPLE, answer=answer, exit_code=e.exit_code)
    raise AssertionError("the example of a bad file is a good one")


def _tables(model: type[BaseModel], value: BaseModel | None, path: str) -> Iterator[str]:
    """One section for a table, then one for each table inside it. Without `value`, the keys have no defaults."""
    rows, inner = [], []
    for key, field in model.model_fields.items():
        default = getattr(value, key) if value is not None else ...
        name = f"{path}.{key}" if path else key
        if item := _item(field):
            inner.append(_list_section(name, field, item, default))
        elif isinstance(default, BaseModel):
            inner.extend(_tables(type(default), default, name))
            if field.description:
                inner[-1] = inner[-1].replace(f"{_doc(type(default))}\n", f"{field.description}\n", 1)
        else:
            rows.append(_row(name, field, default))
    title = f"## `[{path}]`" if path else "## The top of the file"
    if rows or path:
        yield _section(title, _doc(model), rows)
    yield from inner


def _list_section(name: str, field: FieldInfo, item: type[BaseModel], default: Any) -> str:
    rows = [_row(f"{name}[].{key}", inner, ...) for key, inner in item.model_fields.items()]
    section = _section(f"## `[[{name}]]`", f"{field.description} One table an entry; by default:", [])
    columns = list(item.model_fields)
    entries = "\n".join("- " + ", ".join(f"`{_toml(getattr(entry, key))}`" for key in columns) for entry in default)
    return f"{section}\n{entries}\n\n{_table(rows)}"


def _section(title: str, text: str, rows: list[str]) -> str:
    return f"{title}\n\n{text}\n" + (f"\n{_table(rows)}" if rows else "")


def _table(rows: list[str]) -> str:
    return "\n".join(["| key | type | default | rule | meaning |", "|---|---|---|---|---|", *rows]) + "\n"


def _row(name: str, field: FieldInfo, default: Any) -> str:
    written = "required" if default is ... else _default(default)
    return f"| `{name}` | {_type(field)} | {written} | {_rule(field)} | {field.description} |"


def _default(default: Any) -> str:
    if isinstance(default, dict):
        return "<br>".join(f"`{key} = {_toml(value)}`" for key, value in default.items()) or "(empty)"
    return f"`{_toml(default)}`"


def _toml(value: Any) -> str:
    return shown(str(value) if isinstance(value, IPv4Address | IPv4Network) else value)


def _item(field: FieldInfo) -> type[BaseModel] | None:
    """The model of a list's entries, where the field is a list of tables."""
    return get_args(field.annotation)[0] if get_origin(field.annotation) is tuple else None


def _type(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        kind = type(get_args(kind)[0])
    if get_origin(kind) is dict:
        return "table"
    words: dict[Any, str] = {int: "whole number", bool: "truth value", str: "text", IPv4Address: "IPv4 address"}
    return words.get(kind, "IPv4 network")


def _rule(field: FieldInfo) -> str:
    """What the field's own type and limits demand."""
    if get_origin(field.annotation) is Literal:
        choices = [f"`{_toml(choice)}`" for choice in get_args(field.annotation)]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else f"{choices[0]} only"
    if get_origin(field.annotation) is dict:
        pattern = get_args(get_args(field.annotation)[0])[1].pattern
        return f"names: {_words(pattern).removeprefix(PARAMETER_NAME)}; values: text, a number, true or false"
    limits = _limits(field)
    bounds = [f"{word} {limits[key]}" for key, word in (("ge", "at least"), ("le", "at most")) if key in limits]
    if "ge" in limits and "le" in limits:
        bounds = [f"{limits['ge']} to {limits['le']}"]
    if "pattern" in limits:
        bounds.append(_words(str(limits["pattern"])))
    if str(limits.get("pattern")) == SERVICE:
        bounds.append("none of " + ", ".join(f"`{name}`" for name in RESERVED_SERVICES))
    return "; ".join(bounds) or _RULE_OF_TYPE.get(field.annotation, "")


def _limits(field: FieldInfo) -> dict[str, Any]:
    """The narrowest `ge` and `le`, and the pattern."""
    lower: list[Any] = [limit.ge for limit in field.metadata if isinstance(limit, Ge)]
    upper: list[Any] = [limit.le for limit in field.metadata if isinstance(limit, Le)]
    patterns = [limit.pattern for limit in field.metadata if getattr(limit, "pattern", None)]
    found: dict[str, list[Any]] = {"ge": sorted(lower)[-1:], "le": sorted(upper)[:1], "pattern": patterns}
    return {key: bounds[0] for key, bounds in found.items() if bounds}


def _words(pattern: str) -> str:
    return f"{IN_WORDS[pattern]} (`{pattern}`)".replace("|", "\\|")


def _doc(thing: type | Callable[..., object]) -> str:
    return inspect.getdoc(thing) or ""


def _rules() -> str:
    lines = [
        "## Rules between keys",
        "",
        "Each is checked for the whole file; each breach is a mistake of its own.",
        "",
    ]
    for rule in rules.RULES:
        words = " ".join(_doc(rule).split())
        lines.append(f"- **{rule.__name__.replace('_', ' ')}**: {words}")
    return "\n".join(lines)


def _owned() -> str:
    lines = ["## Parameters that are not yours to set", ""]
    lines.append("Patroni or Poolkeeper answers for these; under `parameters` they are refused.")
    lists = (("postgresql", rules.OWNED_POSTGRESQL, ""), ("pgpool", rules.OWNED_PGPOOL, ", and all of `backend_…`"))
    for table, names, more in lists:
        listed = ", ".join(f"`{name}`" for name in sorted(names))
        lines += ["", f"### `[{table}.parameters]`", "", f"{listed}{more}"]
    return "\n".join(lines)
