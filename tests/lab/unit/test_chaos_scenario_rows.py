"""The tables of scenarios are compact: a row takes one or two lines of the source, formatted by ruff."""

from __future__ import annotations

import ast
from pathlib import Path

import poolkeeper_lab
from poolkeeper_lab.chaos.mutants import mutant_scenarios
from poolkeeper_lab.chaos.scenarios import all_scenarios

PACKAGE = Path(poolkeeper_lab.__file__).parent
HELPERS = ("row", "overlapping", "of_drill")
MOST = 2
LONG = """
SCENARIOS = (
    row("short", paused(PRIMARY)) >> "A primary must be short",
    row("two_lines", paused(PRIMARY))
    >> "A primary must be on the second line",
    overlapping(
        "three_lines", paused(PRIMARY)
    ) >> "A primary must not be on the third line",
    row(
        "five_lines",
        paused(PRIMARY),
    )
    >> "A primary must not be on the fifth line",
)
"""


def rows(source: str) -> dict[str, int]:
    """Return the number of lines of each row, by the scenario's name."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.BinOp(left=ast.Call(func=ast.Name(id=helper), args=[ast.Constant(value=str(name)), *_])):
                if helper in HELPERS and isinstance(node.op, ast.RShift):
                    found[name] = (node.end_lineno or node.lineno) - node.lineno + 1
    return found


def of_package() -> dict[str, int]:
    found: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        found |= rows(path.read_text(encoding="utf-8"))
    return found


def test_each_scenario_is_a_row_of_a_table() -> None:
    assert of_package().keys() == {*all_scenarios.NAMES, *(scenario.name for scenario in mutant_scenarios.SCENARIOS)}


def test_each_row_takes_at_most_two_lines() -> None:
    assert [(name, lines) for name, lines in of_package().items() if lines > MOST] == []


def test_tables_are_formatted_by_ruff() -> None:
    tables = [path for path in PACKAGE.rglob("*.py") if rows(path.read_text(encoding="utf-8"))]
    assert [path.name for path in tables if "fmt: off" in path.read_text(encoding="utf-8")] == []


def test_injected_long_rows_are_counted() -> None:
    assert rows(LONG) == {"short": 1, "two_lines": 2, "three_lines": 3, "five_lines": 5}
