"""The commands by their names, each imported when it is first asked for.

A command's module brings in what the command needs, and that is most of the time that a short one takes; so the names
are written down here, and only the module of the command that is run is imported. `--help` imports them all.

Invariant: the table names every command of every module of `cli/` once; tests/unit/test_commands.py holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Any

import typer
from typer.main import get_group

# A module of this folder → what its add_to registers. Their order is the order of `--help`: the groups come last.
MODULES: dict[str, tuple[str, ...]] = {
    "lifecycle_commands": ("up", "stop", "down", "render", "engine"),
    "status_commands": ("status", "ps", "logs"),
    "test_command": ("test",),
    "doctor_command": ("doctor",),
    "tune_command": ("tune",),
    "operation_commands": ("switchover", "restart", "maintenance", "reinit"),
    "events_command": ("events",),
    "user_commands": ("user",),
    "keeper_command": ("keeper",),
}
GROUP = "poolkeeper.commands"  # entry points of other packages: command = "package.module:add_to"


class Commands(Mapping[str, Any]):
    """What Typer's group takes for its dictionary of commands: the names are known, a command is made when wanted."""

    def __init__(self) -> None:
        self._module = {name: f"{__package__}.{module}" for module, names in MODULES.items() for name in names}
        self._module |= {point.name: point.module for point in sorted(metadata.entry_points(group=GROUP))}
        self._made: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._module)

    def __len__(self) -> int:
        return len(self._module)

    def __contains__(self, name: object) -> bool:
        return name in self._module

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made |= made_by(self._module[name])
        return self._made[name]


def made_by(module: str) -> dict[str, Any]:
    """Import a module that has `add_to`; return its commands, as Typer makes them."""
    part = typer.Typer(rich_markup_mode=None)
    import_module(module).add_to(part)
    return dict(get_group(part).commands)
