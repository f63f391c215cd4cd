"""`events`: the story of the last role change."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.decide import timeline_reader as decide
from poolkeeper.model.assessment import Level
from poolkeeper.model.timeline import Timeline

WORDS = 110  # characters of a log's own words


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(events)


def events(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help="How far back the logs are read, as 10m, 48h, or a time.")] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Tell the last failover or switchover: every step of Patroni, PostgreSQL, Pgpool, HAProxy and keeper, in order.

    Exit code: 0 told, 1 the logs tell of none.
    """
    from poolkeeper.operations import events as operation

    where = context.of(ctx)
    told = operation.last_change(where, since)
    if told is None:
        console.err.print(f"the logs tell of no role change since {since}; --since looks further back", markup=False)
        raise typer.Exit(int(Level.DEGRADED))
    if as_json:
        console.print_json(decide.document(where.spec.name, told))
        return
    began = told.steps[0].at.isoformat(sep=" ", timespec="milliseconds")
    console.out.print(f"{told.kind}: {told.former or 'nobody'} → {told.primary}, began {began}", markup=False)
    console.out.print(table(told))


def table(told: Timeline) -> Table:
    """One row a step."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("TIME", "+MS", "SERVICE", "NODE", "STEP", "WORDS"):
        made.add_column(column, no_wrap=True, justify="right" if column == "+MS" else "left")
    for step in told.steps:
        time, offset = step.at.time().isoformat(timespec="milliseconds"), str(told.offset_ms(step))
        made.add_row(time, offset, step.service, step.node or "-", step.kind.value, Text(step.words[:WORDS]))
    return made
