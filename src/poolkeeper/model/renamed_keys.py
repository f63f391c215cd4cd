"""Keys of `cluster.toml` that earlier releases named differently: each one is refused with its new name.

Invariant: the value of an old key is validated as that of the new one, so that one run reports every mistake. A mistake
in such a value has the location of the old key, where the file has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model.endpoint_keys import BALANCED, BEHIND_HAPROXY
from poolkeeper.model.locations import Location, dotted, take_out, walk

RENAMED: Mapping[tuple[str, ...], tuple[str, ...]] = {
    **{("lanes", key): ("endpoints", key) for key in BEHIND_HAPROXY},
    ("lanes", "pool"): ("endpoints", BALANCED),
    ("endpoints", "pool"): ("endpoints", BALANCED),
    ("lanes",): ("endpoints",),  # the last: an empty table, or one with other keys
}


@dataclass
class Translation:
    """The mistakes of the old keys, and the way from a new location back to the place in the file."""

    mistakes: list[tuple[Location, str]] = field(default_factory=list)
    moved: dict[Location, Location] = field(default_factory=dict)  # new → old

    def in_file(self, location: Location) -> Location:
        """Return where the file has the key of a new location."""
        for depth in range(len(location), 0, -1):
            if old := self.moved.get(location[:depth]):
                return (*old, *location[depth:])
        return location


def translate(raw: dict[str, Any]) -> Translation:
    """Move the value of each old key in `raw` to its new key, and return the mistakes."""
    found = Translation()
    for old, new in RENAMED.items():
        value = walk(raw, old)
        if value is None:
            continue
        if len(old) == 1:
            _move_table(raw, old, new, found)
        else:
            found.mistakes.append((old, _move(raw, old, new, found)))
    return found


def _move(raw: dict[str, Any], old: tuple[str, ...], new: tuple[str, ...], found: Translation) -> str:
    """Move one value; return the sentence about its key."""
    value = take_out(raw, old)
    if walk(raw, new) is not None:
        return f"is now named {dotted(new)}; the file has two tables for it, keep one"
    holder = raw.setdefault(new[0], {})
    if isinstance(holder, dict):
        holder[new[-1]] = value
        found.moved[new] = old
    return f"is now named {dotted(new)}"


def _move_table(raw: dict[str, Any], old: tuple[str, ...], new: tuple[str, ...], found: Translation) -> None:
    """Move the rest of an old table. A table whose known keys have sentences of their own needs no further one."""
    table = raw.pop(old[0])
    if not any(location[:1] == old for location, _ in found.mistakes):
        found.mistakes.append((old, f"is now named {dotted(new)}"))
    if isinstance(table, dict) and isinstance(raw.setdefault(new[0], {}), dict):
        for key, value in table.items():
            if key not in raw[new[0]]:
                raw[new[0]][key] = value
                found.moved[(*new, key)] = (*old, key)
