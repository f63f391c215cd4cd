"""`tune`: the values of `cluster.toml` for this machine and a number of clients, printed or written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.model.tuning import Choice, Proposal, Wish, WorkloadKind
from poolkeeper.report import plain


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("tune")(tune)


def tune(
    ctx: typer.Context,
    cores: Annotated[int | None, typer.Option(min=1, max=4096, help="Default: this machine's.")] = None,
    memory: Annotated[
        float | None, typer.Option(min=0.25, max=65536, metavar="GB", help="Default: this machine's.")
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Sessions open at once. Default: as the endpoints declare."),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, max=100, help="Pairs of user and database. Default: as max_pool declares.")
    ] = None,
    workload: Annotated[WorkloadKind, typer.Option(help="The busiest endpoint, and how heavy its statements are.")] = (
        WorkloadKind.OLTP
    ),
    write: Annotated[bool, typer.Option("--write", help="Edit the file in place; `up` then applies it.")] = False,
    as_diff: Annotated[bool, typer.Option("--diff", help="Print the edit as a diff.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Compute the values of cluster.toml for this machine.

    These are the pools, connections, memory, checkpoints and workers, each with its formula and source. All containers
    share this machine, so its memory is divided among the nodes. Only --write changes the file, and keeps every comment
    and every other key. For each edit, the output names what `up` will do to a running cluster.

    \b
      poolkeeper tune --clients 100 --pairs 1
      poolkeeper tune --cores 16 --memory 64 --clients 400 --workload mixed --diff

    Exit code: 0 done; 10 cluster.toml is wrong; 37 the file cannot be edited in place; 38 the machine is too small.
    """  # noqa: D301 - \b, which click needs, is not a mistake
    if write + as_diff + as_json > 1:
        raise typer.BadParameter("--write, --diff and --json exclude each other")
    from poolkeeper.operations import tune

    cluster, path = context.of(ctx), context.path_of(ctx)
    text = path.read_bytes().decode()
    proposal = tune.proposal(cluster, tune.machine_of(cores, memory), Wish(clients, pairs, workload))
    if as_json:
        console.print_json(document(proposal))
    elif as_diff:
        sys.stdout.writelines(tune.diff(text, proposal, path))
    else:
        console.out.print(table(proposal), soft_wrap=False)
        if write:
            _print_written(path, tune.write(path, text, proposal))


def _print_written(path: Path, is_written: bool) -> None:
    line = f"{path} written; apply it with: poolkeeper up" if is_written else f"{path} has these values already"
    console.err.print(line, markup=False)


def table(proposal: Proposal) -> RenderableType:
    """Return the choices (a default in brackets), what `up` does for each, the memory, and the notes."""
    head = f"{proposal.machine.cores} cores, {proposal.machine.memory_mb} MB, {_wished(proposal.wish)}"
    choices = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("KEY", "NOW", "PROPOSED"):
        choices.add_column(column, no_wrap=True)
    choices.add_column("WHY", overflow="fold")
    for choice in proposal.choices:
        style = "bold yellow" if choice.is_change else ""
        why = f"{choice.why} [{choice.source}]"
        choices.add_row(choice.key, _now(choice), Text(str(choice.proposed), style=style), Text(why))
    memory = Table(box=None, pad_edge=False, header_style="bold")
    memory.add_column("MEMORY OF THE MACHINE", no_wrap=True)
    memory.add_column("MB", justify="right", no_wrap=True)
    memory.add_column("FORMULA", overflow="fold")
    for share in proposal.budget:
        memory.add_row(share.title, f"{share.mb:.0f}", share.formula)
    memory.add_row("sum", f"{proposal.total_mb:.0f}", f"of {proposal.machine.memory_mb}")
    return Group(
        Text(head, style="bold"), "", choices, "", _disturbance(proposal), "", memory, "", *map(Text, proposal.notes)
    )


def _disturbance(proposal: Proposal) -> RenderableType:
    """Return each change with what `up` does for it."""
    if not proposal.changes:
        return Text("Nothing to change.")
    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column("CHANGE", no_wrap=True)
    rows.add_column("WHAT `up` DOES", overflow="fold")
    for choice in proposal.changes:
        rows.add_row(choice.key, proposal.effects.get(choice.key, "?"))
    return rows


def _wished(wish: Wish) -> str:
    clients = "endpoints as declared" if wish.clients is None else f"{wish.clients} clients"
    pairs = "" if wish.pairs is None else f" of {wish.pairs} pairs"
    return f"{clients}{pairs}, {wish.workload.value}"


def _now(choice: Choice) -> str:
    return f"({choice.default})" if choice.now is None else str(choice.now)


def document(proposal: Proposal) -> dict[str, Any]:
    """Return the stable form for scripts.

    Memory is in MiB. `now` is null where the file does not set the key; `default` is in force then.
    """
    return {
        "schema": 1,
        "machine": plain.data(proposal.machine),
        "wish": plain.data(proposal.wish),
        "choices": [
            {
                "key": choice.key,
                "now": choice.now,
                "default": choice.default,
                "proposed": choice.proposed,
                "change": choice.is_change,
                "why": choice.why,
                "source": choice.source,
                "up": proposal.effects.get(choice.key),
            }
            for choice in proposal.choices
        ],
        "memory": [plain.data(share) for share in proposal.budget],
        "memory_total_mb": proposal.total_mb,
        "notes": list(proposal.notes),
    }
