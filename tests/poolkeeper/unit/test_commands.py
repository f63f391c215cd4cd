"""The table of commands equals what the modules of `cli/` register, and each module is imported on first use only."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from poolkeeper.cli import main, registry

OWN = [name for names in registry.MODULES.values() for name in names]
NAMES = list(registry.Commands())  # with those that the lab registers by entry points
SOURCES = Path(registry.__file__).parents[2]
BENCH_COMMANDS = "startup load keeper path storm scale overhead profile try failover all docs".split()
HEAVY = ("httpx", "psycopg", "yaml", "jinja2", "poolkeeper.model.spec", "poolkeeper.system", "poolkeeper_lab.bench")


def test_every_module_that_registers_commands_is_in_the_table() -> None:
    folder = Path(registry.__file__).parent
    found = {path.stem for path in folder.glob("*.py") if "def add_to(" in path.read_text()}
    assert found == set(registry.MODULES)


def test_no_name_is_registered_twice() -> None:
    assert NAMES[: len(OWN)] == OWN
    assert len(NAMES) == len(set(NAMES))
    assert set(NAMES) - set(OWN) == {"bench", "chaos", "drill"}


@pytest.mark.parametrize("module", registry.MODULES)
def test_a_module_registers_the_commands_of_the_table(module: str) -> None:
    part = typer.Typer()
    import_module(f"poolkeeper.cli.{module}").add_to(part)
    assert len(part.registered_commands) + len(part.registered_groups) == len(registry.MODULES[module])
    assert tuple(registry.commands_of(f"poolkeeper.cli.{module}")) == registry.MODULES[module]


@pytest.mark.parametrize("name", NAMES)
def test_each_command_is_found_and_prints_its_help(name: str) -> None:
    shown = CliRunner().invoke(main.app, [name, "--help"])
    assert shown.exit_code == 0
    assert f" {name} [OPTIONS]" in shown.stdout


def test_help_lists_every_command_in_the_order_of_the_table() -> None:
    shown = CliRunner().invoke(main.app, ["--help"])
    listed = [line.split()[0] for line in shown.stdout.partition("Commands:")[2].partition("\n\n")[0].splitlines()[1:]]
    assert listed == NAMES


@pytest.mark.parametrize(
    ("group", "inner"),
    [
        ("user", ["add", "passwd", "drop", "list"]),
        ("bench", BENCH_COMMANDS),
        ("keeper", ["run"]),
        ("chaos", ["run", "campaign", "list", "check", "self-test"]),
    ],
)
def test_a_group_has_its_commands(group: str, inner: list[str]) -> None:
    assert list(registry.Commands()[group].commands) == inner
    assert CliRunner().invoke(main.app, [group, inner[0], "--help"]).exit_code == 0


def test_an_unknown_command_is_refused_with_similar_names() -> None:
    shown = CliRunner().invoke(main.app, ["stauts"])
    assert shown.exit_code == 2
    assert "No such command 'stauts'. Did you mean 'status', 'restart'?" in shown.stderr


def imported_by(program: str) -> list[str]:
    """Return what a program imports in its own interpreter: this one has imported everything."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1].split()


def test_the_names_alone_import_no_command() -> None:
    program = "from typer.testing import CliRunner\nfrom poolkeeper.cli import main\n"
    loaded = imported_by(program + "CliRunner().invoke(main.app, ['stauts'])")
    assert [name for name in loaded if name.startswith(HEAVY)] == []


def test_a_command_imports_its_own_module_only() -> None:
    loaded = imported_by("from poolkeeper.cli import registry\nregistry.Commands()['status']")
    assert [name for name in registry.MODULES if f"poolkeeper.cli.{name}" in loaded] == ["status_commands"]


def test_the_summary_of_each_own_command_is_shown_in_full() -> None:
    """Typer cuts a long first line; the list of commands must teach what each one does."""
    shown = CliRunner().invoke(main.app, ["--help"], env={"COLUMNS": "80"}).stdout
    summaries = shown.partition("Commands:")[2].partition("\n\n")[0].splitlines()[1:]
    assert [line for line in summaries if line.split()[0] in OWN and line.endswith("...")] == []


def test_every_other_command_works_without_the_lab() -> None:
    """The product's commands are the same where no package registers further ones, and the lab is never imported."""
    program = """
import importlib.metadata as metadata, sys
found = metadata.entry_points
metadata.entry_points = lambda **wanted: [] if wanted.get("group") == "poolkeeper.commands" else found(**wanted)
class NoLab:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "poolkeeper_lab":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoLab())
from typer.testing import CliRunner
from poolkeeper.cli import main, registry
names = list(registry.Commands())
assert names == [name for own in registry.MODULES.values() for name in own], names
for words in (["--help"], *([name, "--help"] for name in names)):
    assert CliRunner().invoke(main.app, words).exit_code == 0, words
assert CliRunner().invoke(main.app, ["drill"]).exit_code == 2
"""
    assert not [name for name in imported_by(program) if name.startswith("poolkeeper_lab")]


def test_every_command_has_an_operation_of_its_name() -> None:
    """Except `test` and `doctor`, which have a package of their own, and `keeper`, which is the agent."""
    folder = SOURCES / "poolkeeper" / "operations"
    missing = [name for name in OWN if not (folder / f"{name}.py").exists()]
    assert missing == ["test", "doctor", "keeper"]
