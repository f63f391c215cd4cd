"""`bench`: measure speed, behaviour under load, and the cost of the keeper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poolkeeper.cli import console, context
from poolkeeper.core import file_modes, interrupts
from poolkeeper_lab.cli import goal_tables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolkeeper_lab.bench.bench_parts import BenchOptions
    from poolkeeper_lab.bench.measure.figure import BenchFigure

Rounds = Annotated[int, typer.Option(min=0, max=100, help="Number of kept rounds; 0: the part's default.")]
Seconds = Annotated[float, typer.Option(min=0, max=600, help="Seconds of a measurement; 0: the part's default.")]
Seed = Annotated[int, typer.Option(min=0, help="Random seed; 0 picks one.")]
Full = Annotated[bool, typer.Option("--full", help="Run the full matrix; it takes hours.")]
Scale = Annotated[int, typer.Option(min=0, max=100, help="Scale of pgbench's tables, 16 MB each; 0: the default.")]
Json = Annotated[bool, typer.Option("--json", help="Print the JSON report on standard output.")]
Strict = Annotated[bool, typer.Option("--strict", help="Treat a goal that is not met as a failure.")]
Reports = Annotated[Path, typer.Option(help="Folder of the reports.")]
Compare = Annotated[Path | None, typer.Option(help="An earlier bench*.json: report the changes.")]
Peers = Annotated[list[str] | None, typer.Option("--peer", metavar="NAME", help="Only this peer; repeatable.")]
Faults = Annotated[list[str] | None, typer.Option("--fault", metavar="NAME", help="Only this fault; repeatable.")]
REPORTS = Path("reports")

benches = typer.Typer(help="Measure speed, load, start-up, scaling and overhead.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.add_typer(benches, name="bench")


@benches.callback()
def root() -> None:
    """Measure speed, load, start-up, scaling and overhead."""


@benches.command()
def startup(
    ctx: typer.Context,
    rounds: Rounds = 0,
    seed: Seed = 0,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Measure `up` from nothing, `up` again, `status` and the suite, with the images built.

    It starts a cluster of its own ("bench", other ports and network) and removes it again. A cluster that runs beside
    it makes the figures worse, so stop it first.
    """
    _make_images(ctx)
    options = _options(rounds, 0, seed, False, 0)
    _measure(ctx, ("startup",), options, "bench-startup", (reports, as_json, compare, strict))


@benches.command()
def load(
    ctx: typer.Context,
    minutes: Annotated[float, typer.Option(min=0.1, max=1440, help="Duration.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Keep every core busy, and check that nothing fails over or is lost, with light clients at both endpoints.

    It uses the running cluster, which must be healthy. The exit code is 0 if the lease did not change and every
    acknowledged write is stored exactly once, else 1.
    """
    from poolkeeper_lab.bench.parts import load_part

    result = interrupts.run(load_part.measure(context.of(ctx), minutes, console.ConsoleSteps()))
    _show(result.figures(), as_json)
    raise typer.Exit(0 if result.is_sound else 1)


@benches.command()
def keeper(
    ctx: typer.Context,
    seconds: Annotated[float, typer.Option(min=1, max=86400, help="Duration.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure the keeper's CPU share and memory on the running cluster, which should be at rest."""
    from poolkeeper_lab.bench.parts import keeper_part

    with console.ConsoleSteps().step(f"{seconds:g} s of rest"):
        result = interrupts.run(keeper_part.measure(context.of(ctx), seconds))
    _show(result.figures(), as_json)


@benches.command()
def path(
    ctx: typer.Context,
    rounds: Rounds = 0,
    seconds: Seconds = 0,
    seed: Seed = 0,
    full: Full = False,
    only: Annotated[str, typer.Option(help="Only loads whose title contains this text, for example: prepared")] = "",
    scale: Scale = 0,
    peers: Peers = None,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Run the same load on every endpoint of the running cluster, in turn: throughput, latency, CPU time of each part.

    It also starts and measures PgBouncer (--peer pgbouncer, the only peer here) in the cluster's network.
    It uses a database of its own, which it creates and drops, with pgbench in a container of the cluster's network.
    Run nothing else on the machine: a round with too much foreign load is discarded and counted.
    """
    options = replace(_options(rounds, seconds, seed, full, scale, only), peers=tuple(peers or ()))
    _measure(ctx, ("path",), options, "bench-path", (reports, as_json, compare, strict))


@benches.command()
def storm(
    ctx: typer.Context,
    rounds: Rounds = 0,
    seed: Seed = 0,
    full: Full = False,
    scale: Scale = 0,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Let 2,000 clients connect at once, each for one transaction; count refusals, and time the last transaction.

    It also keeps as many sessions busy as an endpoint serves, and twice as many. Other clients of the running cluster
    wait meanwhile. It uses a database of its own, which it creates and drops.
    """
    options = _options(rounds, 0, seed, full, scale)
    _measure(ctx, ("storm",), options, "bench-storm", (reports, as_json, compare, strict))


@benches.command()
def scale(
    ctx: typer.Context,
    only: Annotated[str, typer.Option(help="reads, nodes or clone; all three by default.")] = "",
    rounds: Rounds = 0,
    seconds: Seconds = 0,
    seed: Seed = 0,
    full: Full = False,
    scale: Scale = 0,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Measure reads over more standbys that are capped, clusters of more nodes, and the time of a new standby.

    Each part starts a cluster of its own ("bench", other ports and network) and removes it. It checks the disk first.
    The clusters have 3, 5 and 7 nodes, with --full also 4 and 6. The new standby has a database of --scale 64, about
    1 GB.
    """
    chosen_parts = [f"scale-{part}" for part in ("reads", "nodes", "clone") if only in ("", part)]
    if not chosen_parts:
        raise typer.BadParameter("must be reads, nodes or clone", param_hint="--only")
    options = _options(rounds, seconds, seed, full, scale)
    stem = f"bench-scale-{only}" if only else "bench-scale"
    _measure(ctx, tuple(chosen_parts), options, stem, (reports, as_json, compare, strict))


@benches.command()
def overhead(
    ctx: typer.Context,
    rounds: Rounds = 0,
    seconds: Seconds = 0,
    seed: Seed = 0,
    scale: Scale = 0,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Measure the cost of keeper (at rest, under load, during a failover), of quorum commit and of each kind of check.

    It starts a cluster of its own and removes it. `bench keeper` measures the keeper of the running cluster.
    """
    options = _options(rounds, seconds, seed, False, scale)
    _measure(ctx, ("overhead",), options, "bench-overhead", (reports, as_json, compare, strict))


@benches.command()
def profile(
    ctx: typer.Context,
    rounds: Rounds = 0,
    seed: Seed = 0,
    as_json: Json = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Measure the cost of one read for each part of the path: system calls, CPU time, packets and bytes.

    The figures are by endpoint and protocol. It starts a cluster of its own and removes it. strace counts system calls
    on this machine, as root. If that is not possible, the report notes it and has the other figures. docs/path.md
    explains them.
    """
    options = _options(rounds, 0, seed, False, 0)
    _measure(ctx, ("profile",), options, "bench-profile", (reports, as_json, compare, False))


@benches.command("try")
def variants(
    ctx: typer.Context,
    tried: Annotated[list[str], typer.Argument(metavar="KEY=VALUE[,KEY=VALUE…]…", help="One variant each.")],
    rounds: Rounds = 0,
    seconds: Seconds = 0,
    seed: Seed = 0,
    scale: Scale = 0,
    as_json: Json = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Measure the effect of other values of cluster.toml on the path, in turn with the declared ones.

    Example: poolkeeper bench try haproxy.hold_ms=0 pgpool.parameters.serialize_accept=true,endpoints.rw.max_pool=1
    It starts a cluster of its own, changes it with `up` before each measurement, and removes it.
    """
    options = replace(_options(rounds, seconds, seed, False, scale), variants=tuple(tried))
    _measure(ctx, ("try",), options, "bench-try", (reports, as_json, compare, False))


@benches.command()
def failover(
    ctx: typer.Context,
    peers: Peers = None,
    faults: Faults = None,
    rounds: Rounds = 0,
    seed: Seed = 0,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Break our cluster and the alternatives, in turn: how long writes stop, and which ones are lost.

    Each measurement starts a cluster from nothing, one at a time, with the same limits, and removes it again. A round
    of all takes about 20 minutes. A cluster that runs beside it makes the figures worse, so stop it first.
    Peers: patroni, patroni-fastest, pg_auto_failover, repmgr, pgpool. Faults: kill_node, kill_postmaster, switchover.
    """
    _make_images(ctx)
    options = replace(_options(rounds, 0, seed, False, 0), peers=tuple(peers or ()), faults=tuple(faults or ()))
    _measure(ctx, ("failover",), options, "bench-failover", (reports, as_json, compare, strict))


@benches.command("all")
def everything(
    ctx: typer.Context,
    rounds: Rounds = 0,
    seconds: Seconds = 0,
    seed: Seed = 0,
    full: Full = False,
    scale: Scale = 0,
    as_json: Json = False,
    strict: Strict = False,
    reports: Reports = REPORTS,
    compare: Compare = None,
) -> None:
    """Run every part, one after the other, and report them together."""
    from poolkeeper_lab.bench import bench_parts

    options = _options(rounds, seconds, seed, full, scale)
    names = tuple(name for name in bench_parts.PARTS if name != "try")  # which needs variants
    _measure(ctx, names, options, "bench-all", (reports, as_json, compare, strict))


@benches.command()
def docs(
    files: Annotated[
        list[Path], typer.Argument(metavar="BENCH.json...", help="Reports; for each part, the last one counts.")
    ],
    into: Annotated[Path, typer.Option(help="The document with the tables.")] = Path("docs/benchmarks.md"),
) -> None:
    """Generate the tables and pictures of docs/benchmarks.md again from JSON reports."""
    from poolkeeper_lab.cli import bench_run

    for written in bench_run.document(files, into):
        console.err.print(f"wrote {written}", markup=False)


def _make_images(ctx: typer.Context) -> None:
    """Provide the engine and the images before the measurement: there may never have been a cluster here."""
    from poolkeeper.operations import engine, up

    where, progress = context.of(ctx), console.ConsoleSteps()
    file_modes.make_folder(where.folder.root, file_modes.PRIVATE_FOLDER)
    engine.ensure(progress.note, where.folder.engine_log)
    up.ensure_images(where, progress)


def _options(rounds: int, seconds: float, seed: int, full: bool, scale: int, only: str = "") -> BenchOptions:
    from poolkeeper_lab.bench import bench_parts

    return bench_parts.BenchOptions(rounds, seconds, seed, full, scale, only)


def _measure(
    ctx: typer.Context,
    names: Sequence[str],
    options: BenchOptions,
    stem: str,
    output: tuple[Path, bool, Path | None, bool],
) -> None:
    """Run these parts; `output`: the reports' folder, `as_json`, an earlier run, `strict`."""
    from poolkeeper_lab.cli import bench_run

    raise typer.Exit(bench_run.perform(context.of(ctx), names, options, bench_run.Output(stem, *output)))


def _show(figures: Sequence[BenchFigure], as_json: bool) -> None:
    from poolkeeper_lab.bench.measure import figure

    if as_json:
        console.print_json(figure.as_document(figures))
    else:
        console.out.print(goal_tables.goals(figures))
