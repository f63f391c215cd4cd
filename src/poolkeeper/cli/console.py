"""The command line's output: progress with durations, colour on a terminal only, one place for errors."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console

from poolkeeper.core import errors
from poolkeeper.model import redact


class StreamConsole(Console):
    """A console whose reader may go away. Rich itself would end the command with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Stay silent; raise where nothing but the output was wanted, so that the command ends (as with `| head`).

        Raises:
            BrokenPipeError: the reader of standard output is gone. Without one of the progress, a command continues.
        """
        if not self.stderr:
            raise BrokenPipeError
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


# Rich assumes 80 columns where there is no terminal; a pipe or a file has no width.
out = StreamConsole(highlight=False, soft_wrap=True, width=None if sys.stdout and sys.stdout.isatty() else 240)
err = StreamConsole(stderr=True, highlight=False, soft_wrap=True)


class ConsoleSteps:
    """Progress on standard error: on a terminal a spinner while a step runs, then one line with its duration."""

    def __init__(self) -> None:
        self._open: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while the block runs; an inner step is indented."""
        begin = time.monotonic()
        indent = "  " * len(self._open)
        self._open.append(title)
        status = err.status(f"{title} …") if err.is_terminal and not indent else None
        if status:
            status.start()
        try:
            yield
        except BaseException:
            _line(f"{indent}[red]✘[/] ", title, begin)
            raise
        else:
            _line(f"{indent}[green]✔[/] ", title, begin)
        finally:
            self._open.pop()
            if status:
                status.stop()

    def note(self, text: str) -> None:
        """Print a separate line."""
        err.print("  " * len(self._open) + text, markup=False)


def _line(mark: str, title: str, begin: float) -> None:
    err.print(mark, end="")
    err.print(f"{title}  ", markup=False, end="")
    err.print(f"{time.monotonic() - begin:.1f} s", style="dim")


def print_json(document: Any) -> None:
    """Print a document for scripts on standard output."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def report(error: errors.PoolkeeperError) -> None:
    """Print an error for a person: what and where, the details, what to do next."""
    err.print("error: ", style="bold red", end="")
    err.print(redact.redact(error.message), markup=False)
    if error.detail:
        err.print(redact.redact(error.detail), markup=False, style="dim")
    if error.hint:
        err.print("→ ", style="bold", end="")
        err.print(error.hint, markup=False)


def confirm(question: str, *, would: str) -> None:
    """Ask the person at the terminal, and abort the command unless the answer is yes.

    Raises:
        UsageError: no terminal is there to ask, with what the command `would` do.
    """
    if not sys.stdin.isatty():
        raise errors.UsageError(f"this would {would}", hint="Confirm it with: --yes")
    typer.confirm(question, abort=True)
