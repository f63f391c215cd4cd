"""Format the benchmark's figures and their goals as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from poolkeeper.cli import tables
from poolkeeper_lab.bench.measure.figure import BenchFigure

_MET = {True: Text("met", style="green"), False: Text("missed", style="yellow"), None: Text("")}


def goals(figures: Sequence[BenchFigure]) -> Table:
    """Return the table of figures that each have a goal."""
    table = tables.plain_table("QUANTITY", "FIGURE", "GOAL", "", "")
    for figure in figures:
        goal = "-" if figure.goal is None else f"≤ {figure.goal:g} {figure.unit}".rstrip()
        table.add_row(figure.name, figure.text, goal, _MET[figure.is_met], Text(figure.remark, style="dim"))
    return table
