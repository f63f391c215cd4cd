"""`drill`: inject faults into the running cluster, and measure their effect on clients."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poolkeeper.cli import console, context
from poolkeeper.core import interrupts
from poolkeeper.system import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from poolkeeper_lab.drill.drill_faults import DrillFault
    from poolkeeper_lab.drill.drill_results import Drill, DrillRound


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("drill")(drill)


def drill(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[FAULT]...", help="Faults; all by default.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of injections of each fault.")] = 3,
    baseline: Annotated[bool, typer.Option("--baseline", help="Repeat each round with the keeper off.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the order, moments and victims of this seed.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on a missed goal too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON report.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="List the faults and their goals; change nothing.")] = False,
    reports: Annotated[Path, typer.Option(help="Directory of the reports.")] = Path("reports"),
) -> None:
    """Break parts of the cluster, and measure what clients see.

    A writer on the read-write endpoint and a reader on the read-only endpoint record every statement. In the end, the
    record is compared with the rows of the primary. Every fault is healed, also after Ctrl-C. The exit code is 0 if
    every round ran and healed and no acknowledged write was lost or stored twice. A missed goal of time is shown, and
    is a failure only with --strict. Sessions of other clients are cut as well.
    """
    from poolkeeper_lab.drill import drill_faults, drill_json, drill_report, drill_run, drill_schedule

    entries = drill_faults.choose(tuple(names or ()))
    if list_only:
        console.out.print(catalogue_table(entries))
        return
    cluster, progress = context.of(ctx), console.ConsoleSteps()
    site = drill_run.drilled(cluster)
    chosen_seed = random.SystemRandom().randrange(1 << 16) if seed is None else seed
    record = drill_run.DrillRecord(cluster.spec.name, entries, rounds, chosen_seed)
    progress.note(f"seed {chosen_seed}")

    def note(done: DrillRound) -> None:
        record.rounds.append(done)
        progress.note(line(done))

    plan = drill_schedule.plan(entries, rounds, baseline, chosen_seed)
    try:
        with state.lock(cluster.folder, "drill.lock"):  # two at once would take each other's faults for their own
            interrupts.run(drill_run.run(site, plan, progress, note))
    finally:
        if record.rounds:
            written = drill_report.write_all(record.drill(), reports)
            progress.note(f"reports: {', '.join(str(path) for path in written)}")
    result = record.drill()
    if as_json:
        console.out.print(drill_json.render(result), markup=False)
    else:
        console.out.print(figures_table(result))
    raise typer.Exit(0 if result.is_sound and not (strict and result.missed) else 1)


def line(done: DrillRound) -> str:
    """Return the results of a round in one line."""
    from poolkeeper_lab.drill import drill_wording

    ends = (("write", done.write), ("read", done.read))
    gaps = [f"{name} gap {drill_wording.seconds(gap.seconds)}" for name, gap in ends if gap]
    parts = [f"{name} {seconds:.2f}" for name, seconds in done.split.parts] if done.split else []
    lost = [f"{len(done.verdict.lost)} lost of {done.verdict.acknowledged}"] if done.verdict else []
    split = [f"({', '.join(parts)})"] if parts else []
    back = [f"back {drill_wording.seconds(done.back)}"] if done.back is not None else []
    problem = [f"PROBLEM: {done.problem}"] if done.problem else []
    return f"  {done.victim}: " + ", ".join([*gaps, *split, *back, *lost, *problem])


def catalogue_table(entries: Sequence[DrillFault]) -> Table:
    """Return the table of `--list`."""
    table = _table("FAULT", "EFFECT", "GOALS")
    for entry in entries:
        table.add_row(entry.name, entry.sentence, ", ".join(map(str, entry.goals)) or "none set")
    return table


def figures_table(result: Drill) -> Table:
    """Return the table of a drill's figures, a row for each fault."""
    from rich.text import Text

    from poolkeeper_lab.drill import drill_wording

    table = _table(*(column.upper() for column in drill_wording.COLUMNS))
    styles = {True: "green", False: "bold yellow", None: "magenta"}
    for series in result.series:
        goals = [Text(drill_wording.goal(reached), style=styles[reached.is_met]) for reached in series.reached()]
        table.add_row(*drill_wording.row(series)[:-1], Text("\n").join(goals))
    table.caption = drill_wording.headline(result)
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, caption_justify="left")
    for column in columns:
        table.add_column(column)
    return table
