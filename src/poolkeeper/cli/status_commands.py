"""`status`, `ps` and `logs`: the commands that only observe."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from poolkeeper.cli import console, context, tables
from poolkeeper.model.assessment import Level

if TYPE_CHECKING:
    from poolkeeper.cluster.handle import Cluster


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(status)
    app.command()(ps)
    app.command()(logs)


def status(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh until interrupted.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two refreshes of --watch.")] = 2.0,
) -> None:
    """Show each node as every component sees it.

    The views stand side by side, and a difference between them is marked.

    Exit code: 0 healthy, 1 degraded, 2 down, 3 cannot tell.
    """
    from poolkeeper.operations import status

    cluster = context.of(ctx)
    if watch:
        _watch(cluster, interval)
        return
    found = status.status(cluster)
    if as_json:
        console.print_json(status.document(found))
    else:
        console.out.print(tables.status(found.cluster.spec, found.snapshot, found.assessment))
    raise typer.Exit(int(found.assessment.level))


def _watch(cluster: Cluster, interval: float) -> None:
    """Refresh until Ctrl-C, which ends it with the exit code of the last refresh."""
    from rich.live import Live  # only here: `status` is run more often than watched

    from poolkeeper.operations import status

    level = Level.UNKNOWN
    try:
        with Live(console=console.out, auto_refresh=False, screen=console.out.is_terminal) as live:
            while True:
                begin = time.monotonic()
                found = status.status(cluster)
                level = found.assessment.level
                live.update(tables.status(found.cluster.spec, found.snapshot, found.assessment), refresh=True)
                time.sleep(max(0.0, interval - (time.monotonic() - begin)))
    except KeyboardInterrupt:
        raise typer.Exit(int(level)) from None


def ps(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the containers with state, ports and memory.

    The columns: service, container, address, ports, state, uptime, restarts, memory, image.

    Exit code: 0 listed, 2 there is none.
    """
    from poolkeeper.operations import ps

    rows = ps.ps(context.of(ctx))
    if as_json:
        console.print_json(rows)
    else:
        console.out.print(tables.containers(rows))
    if not rows:
        console.err.print("no container of this cluster exists; start it with: poolkeeper up")
        raise typer.Exit(int(Level.DOWN))


def logs(
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="All if none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue until interrupted.")] = False,
    since: Annotated[str | None, typer.Option(help="As 10m, 2h, or a time.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, help="Last lines of each service.")] = None,
) -> None:
    """Show the containers' logs, merged in time order.

    On a terminal each service has its own colour.

    Exit code: 0 shown, 2 no such container exists.
    """
    from poolkeeper.operations import logs

    present = logs.present(context.of(ctx), services or ())
    if not present:
        console.err.print("no such container exists; start the cluster with: poolkeeper up")
        raise typer.Exit(int(Level.DOWN))
    width = max(map(len, present))
    for line in logs.merged(present, follow=follow, since=since, tail=tail):
        console.out.print(tables.log_line(line, width))
