"""Locations in a parsed `cluster.toml`: the path of keys and list positions to a value, as pydantic writes it."""

from __future__ import annotations

import re
from typing import Any

from poolkeeper.model.grammar import shown

Location = tuple[str | int, ...]


def walk(tree: Any, location: Location) -> Any:
    """Return the value at a location, None if there is none."""
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def is_under(location: Location, others: set[Location]) -> bool:
    """Tell whether a location is one of the others or below one of them."""
    return any(location[:depth] in others for depth in range(len(location) + 1))


def take_out(tree: Any, location: Location) -> Any:
    """Remove the value at a location and return it, None if there is none."""
    holder = walk(tree, location[:-1])
    return holder.pop(location[-1], None) if isinstance(holder, dict) else None


def dotted(location: Location, raw: dict[str, Any] | None = None) -> str:
    """Return a location as text: `("nodes", 1, "port")` → `nodes[pg_node2].port`.

    An item of a list has its name, or `#2` if it has no unique one. `raw` is the parsed file, None without one.
    """
    text = ""
    for depth, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{_item_title(walk(raw, location[:depth]), part, location[depth + 1 :])}]"
        else:
            plain = part if re.fullmatch(r"[\w-]+", part) else shown(part)
            text += f".{plain}" if text else plain
    return text or "(file)"


def _item_title(items: Any, index: int, rest: Location) -> str:
    names = [item.get("name") for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    name = walk(items, (index, "name"))
    is_telling = isinstance(name, str) and re.fullmatch(r"[\w-]{1,40}", name) and names.count(name) == 1
    return str(name) if is_telling and rest != ("name",) else f"#{index + 1}"
