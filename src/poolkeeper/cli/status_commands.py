"""`status`, `ps` and `logs`: what only looks."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from poolkeeper.cli import console, context, tables
from poolkeeper.cluster import handle, snapshot
from poolkeeper.decide import health
from poolkeeper.model.assessment import Assessment, Level
from poolkeeper.model.observed import Snapshot, versions
from poolkeeper.system import compose


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(status)
    app.command()(ps)
    app.command("logs")(show_logs)


def status(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Again and again until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks of --watch.")] = 2.0,
) -> None:
    """Show each node by every witness, side by side, and flag where they disagree.

    Exit code: 0 healthy, 1 degraded, 2 down, 3 cannot tell.
    """
    cluster = context.of(ctx).with_passwords()
    if watch:
        _watch(cluster, interval)
        return
    seen = asyncio.run(snapshot.take_snapshot(cluster))
    judged = health.assess(cluster.spec, seen)
    if as_json:
        console.print_json(as_document(cluster.spec.name, seen, judged))
    else:
        console.out.print(tables.status(cluster.spec, seen, judged))
    raise typer.Exit(int(judged.level))


def _watch(cluster: handle.Cluster, interval: float) -> None:
    """Look again and again; Ctrl-C ends it with the exit code of the last look."""
    from rich.live import Live  # only here, since `status` is asked more often than watched

    level = Level.UNKNOWN
    try:
        with Live(console=console.out, auto_refresh=False, screen=console.out.is_terminal) as live:
            while True:
                begin = time.monotonic()
                seen = asyncio.run(snapshot.take_snapshot(cluster))
                judged = health.assess(cluster.spec, seen)
                level = judged.level
                live.update(tables.status(cluster.spec, seen, judged), refresh=True)
                time.sleep(max(0.0, interval - (time.monotonic() - begin)))
    except KeyboardInterrupt:
        raise typer.Exit(int(level)) from None


def as_document(cluster: str, seen: Snapshot, judged: Assessment) -> dict[str, Any]:
    """The stable form for scripts. `level` is one of healthy, degraded, down, unknown."""
    return {
        "schema": 1,
        "cluster": cluster,
        "at": seen.at,
        "level": judged.level.name.lower(),
        "exit_code": int(judged.level),
        "primary": judged.primary,
        "nodes": [dataclasses.asdict(row) for row in judged.rows],
        "findings": [dataclasses.asdict(finding) for finding in judged.findings],
        "endpoints": {
            k: dataclasses.asdict(d.value) if d.value else {"error": d.error} for k, d in seen.endpoints.items()
        },
        "keeper": dataclasses.asdict(seen.keeper.value) if seen.keeper.value else {"error": seen.keeper.error},
        "versions": versions(seen),
        "containers": {name: dataclasses.asdict(c) for name, c in (seen.containers.value or {}).items()},
    }


def ps(ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the containers: address, ports, state, uptime, restarts, memory."""
    spec = context.of(ctx).spec
    containers = compose.containers(spec.name)
    memory = compose.memory_bytes([c.name for c in containers.values() if c.is_running])
    rows = tables.container_rows(spec, containers, memory, datetime.now(UTC))
    if as_json:
        console.print_json(rows)
    else:
        console.out.print(tables.containers(rows))
    if not containers:
        console.err.print("no container of this cluster exists; start it with: make pgpool-up")
        raise typer.Exit(int(Level.DOWN))


def show_logs(
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="All if none is named.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[str | None, typer.Option(help="As 10m, 2h, or a time.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, help="Last lines of each service.")] = None,
) -> None:
    """Show the logs, merged in time order; each service has its colour on a terminal."""
    from poolkeeper.operations import logs

    where = context.of(ctx)
    wanted = {service: where.container(service) for service in services or where.spec.addresses()}
    existing = compose.containers(where.spec.name)
    present = {service: name for service, name in wanted.items() if service in existing}
    if not present:
        console.err.print("no such container exists; start the cluster with: make pgpool-up")
        raise typer.Exit(int(Level.DOWN))
    width = max(map(len, present))
    lines = logs.merged(present, follow=follow, since=since, tail=tail)
    for line in lines:
        console.out.print(tables.log_line(line, width))
