"""The root command: options that every command shares, and the one handler of errors."""

# ruff: noqa: E402 (what the imports cost is decided before them)

from __future__ import annotations

import gc

gc.disable()  # imports make much and drop nothing: collecting meanwhile would be a quarter of the time they take.
#               Root.resolve_command enables it, after the last import that every run needs.

import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from poolkeeper import __version__
from poolkeeper.cli import console, context, registry
from poolkeeper.core import errors

EPILOG = (
    "Exit codes: 0 done; 1 a check failed; 2 the command line is wrong; 10 cluster.toml is wrong; 2x the engine or the "
    "machine; 3x the cluster. `status` has its own: 0 healthy, 1 degraded, 2 down, 3 cannot tell. "
    "docs/operations.md lists them all."
)


class Root(TyperGroup):
    """The command group; every error of ours ends here, with its message and its exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = registry.Commands()  # type: ignore[assignment]  # Typer only looks things up in it

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, without making them."""
        del ctx
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is asked for; its module is imported here."""
        try:
            return super().resolve_command(ctx, args)
        finally:
            gc.freeze()  # what the imports made stays
            gc.enable()

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except errors.PoolkeeperError as e:
            console.report(e)
            sys.exit(e.exit_code)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in ("up", "down", "stop"):
                console.err.print("interrupted; `poolkeeper up` goes on from here, `poolkeeper down` takes it all away")
            sys.exit(130)
        except BrokenPipeError:
            console.end_quietly()
            sys.exit(141)


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
    file: Annotated[Path, typer.Option("--file", "-f", help="The declared cluster.", envvar="POOLKEEPER_FILE")] = Path(
        "cluster.toml"
    ),
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    """Remember which cluster is meant."""
    del version
    ctx.obj = context.ClusterFile(file)


def run() -> None:
    """The entry point."""
    # An interruption may meet a question that was prepared and not yet asked; Python would complain of each.
    warnings.filterwarnings("ignore", r"coroutine .* was never awaited", RuntimeWarning)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is under way takes its own things away
    app()


if __name__ == "__main__":
    run()
