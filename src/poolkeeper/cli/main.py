"""The root command: the options that every command shares, and the one handler of errors."""

# ruff: noqa: E402 (the garbage collector is switched off before the imports)

from __future__ import annotations

import gc

gc.disable()  # imports allocate much and free nothing: collecting during them takes a quarter of their time.
#               Root.resolve_command enables it, after the last import that every run needs.

import errno
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from poolkeeper import __version__
from poolkeeper.cli import console, context, registry, streams
from poolkeeper.core import environment, errors, interrupts

EPILOG = (
    "Exit codes: 0 done; 1 a check failed; 2 the request is wrong; 10 cluster.toml is wrong; 2x the engine or the "
    "machine; 3x the cluster. `status` has its own: 0 healthy, 1 degraded, 2 down, 3 cannot tell. "
    "docs/operations.md lists all of them."
)


class Root(TyperGroup):
    """The command group. Every PoolkeeperError ends here, with its message and its exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = registry.Commands()  # type: ignore[assignment]  # Typer only reads it

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, without creating the commands."""
        del ctx
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the requested command; its module is imported here."""
        try:
            return super().resolve_command(ctx, args)
        finally:
            gc.freeze()  # the objects of the imports stay
            gc.enable()

    def invoke(self, ctx: Any) -> Any:
        """Run the requested command, and turn an error into its message and exit code."""
        try:
            return super().invoke(ctx)
        except errors.PoolkeeperError as e:
            console.report(e)
            sys.exit(e.exit_code)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in ("up", "down", "stop"):
                console.err.print(
                    "interrupted; `poolkeeper up` continues from here, `poolkeeper down` removes everything"
                )
            sys.exit(130)
        except BrokenPipeError:
            streams.end_quietly()
            sys.exit(141)
        except OSError as e:
            if e.errno != errno.ENOSPC or e.filename:
                raise
            streams.end_quietly()
            _report_full_disk(e)


def _report_full_disk(e: OSError) -> None:
    console.report(errors.DiskFull(f"the output cannot be written: {e.strerror}"))
    sys.exit(errors.DiskFull.exit_code)


app = typer.Typer(
    cls=Root,
    help="A high-availability PostgreSQL cluster behind Pgpool-II and HAProxy, and the proof that it works.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"poolkeeper {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The cluster's declaration.", envvar="POOLKEEPER_FILE")
    ] = Path("cluster.toml"),
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keep the file of the cluster for the command that follows."""
    del version
    ctx.obj = context.ClusterFile(file)


def run() -> None:
    """Run the command line: the entry point of the `poolkeeper` program."""
    # An interruption may leave coroutines that were created and never awaited; Python would warn about each.
    warnings.filterwarnings("ignore", r"coroutine .* was never awaited", RuntimeWarning)
    environment.isolate()
    streams.prepare()
    interrupts.exit_on_sigterm()
    try:
        app()
    finally:
        try:
            streams.finish()
        except OSError as e:
            _report_full_disk(e)


if __name__ == "__main__":
    run()
