"""`bench`: what measures speed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from poolkeeper.cli import chosen, console, tables

benches = typer.Typer(help="Measure speed: several rounds, medians, beside a yardstick.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.add_typer(benches, name="bench")


@benches.callback()
def root() -> None:
    """Measure speed: several rounds, medians, beside a yardstick."""


@benches.command()
def startup(
    ctx: typer.Context,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often each command is run.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Measure `up` from nothing, `up` again, `status` and the 20 checks, with the images built.

    It starts a cluster of its own ("bench", other ports and network) and takes it down again; a cluster that runs
    beside it makes the figures worse, so stop it first.
    """
    from poolkeeper import bringup, setup_engine
    from poolkeeper.bench import startup as measurement
    from poolkeeper.system import compose, images

    where, progress = chosen.of(ctx), console.Steps()
    where.folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    setup_engine.ensure(progress.note, where.folder.engine_log)
    bringup.ensure_images(where, progress)
    if any(container.is_running for container in compose.containers(where.spec.name).values()):
        progress.note(f"note: the cluster {where.spec.name} is running, which makes these figures worse")
    image = images.references(where.spec, where.image_sources)["postgres"]
    with tempfile.TemporaryDirectory(prefix="poolkeeper-bench-") as folder:
        figures = measurement.measure(where.spec, image, Path(folder), rounds, progress)
    if as_json:
        console.print_json(measurement.as_document(figures))
    else:
        console.out.print(tables.figures(measurement.as_document(figures)))
