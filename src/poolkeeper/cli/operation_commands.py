"""`switchover`, `restart`, `maintenance` and `reinit`: what is done to a running cluster on purpose."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.core import errors
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.verdict import Outcome

AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
_MARKS = {Outcome.PASS: ("✔", "green"), Outcome.FAIL: ("✘", "bold red"), Outcome.UNKNOWN: ("?", "bold magenta")}


class Mode(StrEnum):
    """What `maintenance` can be."""

    ON = "on"
    OFF = "off"


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command()(switchover)
    app.command()(restart)
    app.command()(maintenance)
    app.command()(reinit)


def switchover(
    ctx: typer.Context,
    to: Annotated[
        str | None, typer.Option(metavar="NODE", help="The next primary; without, Patroni takes the best standby.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the preconditions; change nothing.")] = (
        False
    ),
    as_json: AsJson = False,
) -> None:
    """Hand the primary's role over, and measure the pause that clients see.

    New connections wait at the endpoint meanwhile. A named standby costs about 2 s more, in which commits wait: Patroni
    then holds the other standby back. It refuses, with the reasons, when it is not safe.

    \b
      poolkeeper switchover --dry-run
      poolkeeper switchover --to pg_node2

    Exit code: 0 done, or with --dry-run possible; 37 refused.
    """
    from poolkeeper.operations import switchover as operation

    where = context.of(ctx)
    if dry_run:
        judged = operation.preview(where, to)
        rows = [dataclasses.asdict(precondition) for precondition in judged.preconditions]
        if as_json:
            head = {"leader": judged.leader, "candidate": judged.candidate, "allowed": judged.is_allowed}
            console.print_json({"schema": 1, **head, "preconditions": rows})
        else:
            console.out.print(preconditions(judged.preconditions))
            console.out.print(f"{judged.leader or 'nobody'} → {_expected(judged.candidate, to)}", markup=False)
        raise typer.Exit(0 if judged.is_allowed else errors.OperationRefused.exit_code)
    done = operation.switchover(where, to, console.ConsoleSteps())
    if as_json:
        console.print_json({"schema": 1, **dataclasses.asdict(done)})
        return
    console.out.print(f"{done.former} → {done.primary}", markup=False)
    console.out.print(f"no new session for {done.pause:.2f} s, no acknowledged commit for {done.write_pause:.2f} s")
    if done.failed_tries:
        console.out.print(f"{done.failed_tries} connections of the probe were refused or broken")


def _expected(candidate: str | None, to: str | None) -> str:
    if to:
        return to
    return f"whom Patroni finds best, probably {candidate}" if candidate else "nobody"


def preconditions(found: Sequence[Precondition]) -> Table:
    """One row each."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for precondition in found:
        mark, style = _MARKS[precondition.outcome]
        if not precondition.is_required and not precondition.holds:
            mark, style = "!", "yellow"
        table.add_row(Text(mark, style=style), Text(precondition.name), Text(precondition.fact))
    return table


def restart(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="That one only; all if none is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Restart PostgreSQL: the standbys one by one, then a switchover, then the former primary.

    It refuses while a standby is out. Exit code: 0 done, 37 refused.

    \b
      poolkeeper restart
      poolkeeper restart pg_node2
    """
    from poolkeeper.operations import restart as rolling_restart

    done = rolling_restart.restart(context.of(ctx), node, console.ConsoleSteps())
    if as_json:
        console.print_json({"schema": 1, **dataclasses.asdict(done)})
        return
    console.err.print(f"restarted: {', '.join(done.nodes)}", markup=False)
    if done.switchover:
        pauses = f"{done.switchover.pause:.2f} s for sessions, {done.switchover.write_pause:.2f} s for commits"
        console.err.print(f"{done.switchover.former} → {done.switchover.primary}; pause: {pauses}", markup=False)


def maintenance(
    ctx: typer.Context, mode: Annotated[Mode, typer.Argument(help="on: nobody elects, nobody mends.")]
) -> None:
    """Stop Patroni from electing and keeper from mending, or let them go on.

    While it is on, a primary that dies is not replaced; `status` is degraded.
    """
    from poolkeeper.operations import maintenance as operation

    changed = operation.set_mode(context.of(ctx), mode is Mode.ON, console.ConsoleSteps())
    console.err.print(f"maintenance mode is {mode.value}" + ("" if changed else " already; nothing was changed"))


def reinit(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(help="A standby.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before its data is thrown away.")] = False,
) -> None:
    """Throw a standby's data away and clone it anew from the primary; wait until Pgpool-II has it again.

    It refuses for the primary, and while another standby is out. Exit code: 0 done, 37 refused.

    \b
      poolkeeper reinit pg_node3
    """
    from poolkeeper.operations import reinit as operation

    where = context.of(ctx)
    operation.preview(where, node)
    if not yes:
        if not sys.stdin.isatty():
            raise errors.UsageError(f"the data of {node} would be thrown away", hint="Say so: --yes")
        typer.confirm(f"Throw the data of {node} away and clone it anew?", abort=True)
    steps: Sequence[Any] = operation.reinit(where, node, console.ConsoleSteps())
    console.err.print(f"{node} is back in {sum(step.seconds for step in steps):.1f} s", markup=False)
