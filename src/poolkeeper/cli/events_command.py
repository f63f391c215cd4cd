"""`events`: the timeline of the last role change."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.decide import timeline_reader
from poolkeeper.model.assessment import Level
from poolkeeper.model.timeline import Timeline

LONGEST_LINE = 110  # characters of a log line in the table


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(events)


def events(
    ctx: typer.Context,
    since: Annotated[str, typer.Option(help="How far back the logs are read, as 10m, 48h, or a time.")] = "24h",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Show the timeline of the last role change.

    It has every step of Patroni, PostgreSQL, Pgpool-II, HAProxy and keeper in a failover or switchover, in order.

    Exit code: 0 shown, 1 the logs contain no role change.
    """
    from poolkeeper.operations import events

    cluster = context.of(ctx)
    timeline = events.last_change(cluster, since)
    if timeline is None:
        console.err.print(f"the logs contain no role change since {since}; --since reads further back", markup=False)
        raise typer.Exit(int(Level.DEGRADED))
    if as_json:
        console.print_json(timeline_reader.document(cluster.spec.name, timeline))
        return
    began = timeline.steps[0].at.isoformat(sep=" ", timespec="milliseconds")
    change = f"{timeline.kind}: {timeline.former or 'unknown'} → {timeline.primary}"
    console.out.print(f"{change}, began {began}", markup=False)
    console.out.print(table(timeline))


def table(timeline: Timeline) -> Table:
    """Return one row for each step."""
    rows = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("TIME", "+MS", "SERVICE", "NODE", "STEP", "WORDS"):
        rows.add_column(column, no_wrap=True, justify="right" if column == "+MS" else "left")
    for step in timeline.steps:
        time, offset = step.at.time().isoformat(timespec="milliseconds"), str(timeline.offset_ms(step))
        rows.add_row(time, offset, step.service, step.node or "-", step.kind.value, Text(step.words[:LONGEST_LINE]))
    return rows
