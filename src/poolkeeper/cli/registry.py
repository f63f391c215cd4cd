"""The commands by their names; the module of each is imported when it is first used.

Importing what a command needs is most of the time that a short command takes. Therefore this table has the names, and
only the module of the command that runs is imported. `--help` imports them all.

A package adds commands by entry points of the group `poolkeeper.commands`. Without such a package, Poolkeeper's own
commands work as they are.

Invariant: the table names every command of every module of `cli/` once; tests/poolkeeper/unit/test_commands.py checks
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Any

import typer
from typer.main import get_group

# A module of this folder → the commands that its add_to registers, in the order of `--help`. The commands of other
# packages follow, by name.
MODULES: dict[str, tuple[str, ...]] = {
    "lifecycle_commands": ("init", "up", "stop", "down", "render", "engine"),
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
    """The commands of Typer's group: all names are known, and a command is created on first access."""

    def __init__(self) -> None:
        self._module = {name: f"{__package__}.{module}" for module, names in MODULES.items() for name in names}
        self._module |= {point.name: point.module for point in sorted(metadata.entry_points(group=GROUP))}
        self._created: dict[str, Any] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._module)

    def __len__(self) -> int:
        return len(self._module)

    def __contains__(self, name: object) -> bool:
        return name in self._module

    def __getitem__(self, name: str) -> Any:
        if name not in self._created:
            self._created |= commands_of(self._module[name])
        return self._created[name]


def commands_of(module: str) -> dict[str, Any]:
    """Import a module that has `add_to`; return the commands that it registers, by name."""
    part = typer.Typer(rich_markup_mode=None)
    import_module(module).add_to(part)
    return dict(get_group(part).commands)
