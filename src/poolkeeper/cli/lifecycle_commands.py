"""`init`, `up`, `stop`, `down`, `render` and `engine`: the commands that create, change or remove a cluster."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated

import typer

from poolkeeper.cli import console, context

_PURGE = "Remove .poolkeeper/ too: the passwords and the rendered files."


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(init)
    app.command()(up)
    app.command()(stop)
    app.command()(down)
    app.command()(render)
    app.command()(engine)


def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder; created if it is missing.")] = Path(),
    name: Annotated[str | None, typer.Option(help="The cluster's name, as blue.")] = None,
    subnet: Annotated[str | None, typer.Option(metavar="NETWORK", help="Its network, as 10.9.0.0/24.")] = None,
    port_offset: Annotated[int, typer.Option(metavar="N", help="Added to each port.")] = 0,
) -> None:
    """Write a cluster.toml with every key at its default.

    Each key has a comment. An existing file is not overwritten. A further cluster on one machine needs another name,
    network and ports:

    \b
      poolkeeper init
      poolkeeper init blue --name blue --subnet 10.9.0.0/24 --port-offset 1000

    Exit code: 0 written; 2 the file exists, or the options do not make a valid cluster.
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import init

    path = init.init(directory, init.InitOptions(name=name, subnet=subnet, port_offset=port_offset))
    option = "" if path == Path(init.FILE_NAME) else f"--file {shlex.quote(str(path))} "
    console.err.print(f"wrote {path}; edit it, then start the cluster with: poolkeeper {option}up", markup=False)


def up(ctx: typer.Context) -> None:
    """Start the declared cluster and wait until it is healthy.

    It returns when all health checks pass. It is idempotent: on a healthy cluster it changes nothing. After an edit of
    cluster.toml it takes the smallest step that applies the edit. After an interruption or a crash it continues from
    there.
    """
    from poolkeeper.cli import connection_lines
    from poolkeeper.operations import up

    begin = time.monotonic()
    cluster = context.of(ctx)
    result = up.up(cluster, console.ConsoleSteps())
    for repair in result.repairs:
        console.err.print(f"repaired: {repair}", markup=False)
    seconds = time.monotonic() - begin
    if result.changed_nothing:
        console.err.print(f"already up and healthy; nothing was changed ({seconds:.1f} s)")
    else:
        console.err.print(f"up and healthy in {seconds:.1f} s; primary: {result.assessment.primary}")
    console.out.print(connection_lines.of_cluster(cluster), markup=False)


def stop(ctx: typer.Context) -> None:
    """Stop every container; the data stays.

    `up` starts the cluster again.
    """
    from poolkeeper.operations import stop

    if not stop.stop(context.of(ctx), console.ConsoleSteps()):
        console.err.print("there is nothing to stop")


def down(ctx: typer.Context, purge: Annotated[bool, typer.Option("--purge", help=_PURGE)] = False) -> None:
    """Remove the cluster AND ITS DATA.

    This removes its containers, its network and its volumes, and nothing else. The passwords in .poolkeeper/ stay, so
    that a new cluster accepts the same ones; --purge removes them too. Images stay; `docker image rm` removes them.
    """
    from poolkeeper.operations import down

    down.down(context.of(ctx), purge, console.ConsoleSteps())


def render(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to write; created if it is missing.")
    ] = Path("rendered"),
) -> None:
    """Write the Compose file and every configuration file.

    They are for reading: `up` renders its own. No password is in them.
    """
    from poolkeeper.operations import render

    count = render.render(context.of(ctx), directory)
    console.err.print(f"wrote {count} files to {directory}", markup=False)


def engine(ctx: typer.Context) -> None:
    """Provide a container engine with Compose v2.

    If one answers, nothing is changed. Otherwise it is installed and started; each step is announced before it begins.
    """
    from poolkeeper.operations import engine

    info = engine.ensure(console.ConsoleSteps().note, context.of(ctx).folder.engine_log)
    console.err.print(f"Docker Engine {info.engine_version}, Compose {info.compose_version}")
