"""`switchover`, `restart`, `maintenance` and `reinit`: planned operations on a running cluster."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.core import errors
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.verdict import Outcome
from poolkeeper.report import plain

if TYPE_CHECKING:
    from poolkeeper.decide.switchover_checks import CandidateVerdict

AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
_MARKS = {Outcome.PASS: ("✔", "green"), Outcome.FAIL: ("✘", "bold red"), Outcome.UNKNOWN: ("?", "bold magenta")}


class Mode(StrEnum):
    """The two values of `maintenance`."""

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
        str | None, typer.Option(metavar="NODE", help="The next primary. Default: the best standby, by Patroni.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the preconditions; change nothing.")] = (
        False
    ),
    as_json: AsJson = False,
) -> None:
    """Hand the primary's role over, and measure the pause.

    The pause is the one that clients see. Meanwhile new connections wait at the endpoint. With --to, commits wait for
    about 2 s more, because Patroni then holds the other standby back. If a switchover is not safe, it is refused with
    the reasons.

    \b
      poolkeeper switchover --dry-run
      poolkeeper switchover --to pg_node2

    Exit code: 0 done, or with --dry-run possible; 37 refused.
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import switchover

    cluster = context.of(ctx)
    if dry_run:
        verdict = switchover.preview(cluster, to)
        _print_preview(verdict, to, as_json)
        raise typer.Exit(0 if verdict.is_allowed else errors.OperationRefused.exit_code)
    done = switchover.switchover(cluster, to, console.ConsoleSteps())
    if as_json:
        console.print_json({"schema": 1, **plain.data(done)})
        return
    console.out.print(f"{done.former} → {done.primary}", markup=False)
    console.out.print(f"no new session for {done.pause:.2f} s, no acknowledged commit for {done.write_pause:.2f} s")
    if done.failed_tries:
        console.out.print(f"{done.failed_tries} connections of the probe were refused or broken")


def _print_preview(verdict: CandidateVerdict, to: str | None, as_json: bool) -> None:
    if as_json:
        head = {"leader": verdict.leader, "candidate": verdict.candidate, "allowed": verdict.is_allowed}
        rows = [plain.data(precondition) for precondition in verdict.preconditions]
        console.print_json({"schema": 1, **head, "preconditions": rows})
    else:
        console.out.print(preconditions(verdict.preconditions))
        console.out.print(f"{verdict.leader or 'no leader'} → {_expected(verdict.candidate, to)}", markup=False)


def _expected(candidate: str | None, to: str | None) -> str:
    if to:
        return to
    return f"Patroni's choice, probably {candidate}" if candidate else "no candidate"


def preconditions(found: Sequence[Precondition]) -> Table:
    """Return one row for each precondition."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for precondition in found:
        mark, style = _MARKS[precondition.outcome]
        if not precondition.is_required and not precondition.holds:
            mark, style = "!", "yellow"
        table.add_row(Text(mark, style=style), Text(precondition.name), Text(precondition.fact))
    return table


def restart(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Argument(metavar="[NODE]", help="This node only. Default: every node.")] = None,
    as_json: AsJson = False,
) -> None:
    """Restart PostgreSQL on one node after the other.

    The order: the standbys one by one, then a switchover, then the former primary. It is refused while a standby is
    out.

    \b
      poolkeeper restart
      poolkeeper restart pg_node2

    Exit code: 0 done, 37 refused.
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import restart

    done = restart.restart(context.of(ctx), node, console.ConsoleSteps())
    if as_json:
        console.print_json({"schema": 1, **plain.data(done)})
        return
    console.err.print(f"restarted: {', '.join(done.nodes)}", markup=False)
    if done.switchover:
        pauses = f"{done.switchover.pause:.2f} s for sessions, {done.switchover.write_pause:.2f} s for commits"
        console.err.print(f"{done.switchover.former} → {done.switchover.primary}; pause: {pauses}", markup=False)


def maintenance(
    ctx: typer.Context, mode: Annotated[Mode, typer.Argument(help="on: no elections by Patroni, no repairs by keeper.")]
) -> None:
    """Pause or resume Patroni's elections and keeper's repairs.

    While the mode is on, a primary that dies is not replaced, and `status` reports degraded.
    """
    from poolkeeper.operations import maintenance

    changed = maintenance.set_mode(context.of(ctx), mode is Mode.ON, console.ConsoleSteps())
    console.err.print(f"maintenance mode is {mode.value}" + ("" if changed else " already; nothing was changed"))


def reinit(
    ctx: typer.Context,
    node: Annotated[str, typer.Argument(help="A standby.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before its data is deleted.")] = False,
) -> None:
    """Delete a standby's data and clone it again.

    The clone is taken from the primary; the command returns when Pgpool-II has attached the standby. It is refused for
    the primary, and while another standby is out.

    \b
      poolkeeper reinit pg_node3

    Exit code: 0 done, 2 not confirmed, 37 refused.
    """  # noqa: D301 - \b, which click needs, is not a mistake
    from poolkeeper.operations import reinit

    cluster = context.of(ctx)
    reinit.preview(cluster, node)
    if not yes:
        console.confirm(f"Delete the data of {node} and clone it again?", would=f"delete the data of {node}")
    steps = reinit.reinit(cluster, node, console.ConsoleSteps())
    console.err.print(f"{node} is back in {sum(step.seconds for step in steps):.1f} s", markup=False)
