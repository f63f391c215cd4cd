"""`drill`: break the running cluster for real, and measure what clients see."""

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

    from poolkeeper_lab.drill.drill_faults import Entry
    from poolkeeper_lab.drill.drill_results import Drill, DrillRound


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("drill")(drill)


def drill(
    ctx: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(metavar="[FAULT]...", help="Which; all without a name.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="How often each fault is injected.")] = 3,
    baseline: Annotated[bool, typer.Option("--baseline", help="Each round also with the keeper off.")] = False,
    seed: Annotated[int | None, typer.Option(help="Order, moments and victims as in the run with this seed.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A missed goal is a failure too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The JSON report on standard output.")] = False,
    list_only: Annotated[bool, typer.Option("--list", help="The faults and their goals; nothing is done.")] = False,
    reports: Annotated[Path, typer.Option(help="Where the reports go.")] = Path("reports"),
) -> None:
    """Kill, freeze and cut parts of the running cluster, and measure the pause that a client sees.

    A writer on the read-write endpoint and a reader on the read-only endpoint keep an account of every statement; in the end
    the account is compared with what the primary has. Everything that is broken is healed again, also after Ctrl-C.
    Exit code 0 when every round ran and healed and no acknowledged write was lost or stored twice; a missed goal of
    time is shown, and is a failure only with --strict. Sessions of other clients are cut as well.
    """
    from poolkeeper_lab.drill import drill_faults, drill_json, drill_report, drill_run, drill_schedule

    entries = drill_faults.choose(tuple(names or ()))
    if list_only:
        console.out.print(catalogue_table(entries))
        return
    place, progress = context.of(ctx), console.ConsoleSteps()
    site, chance = drill_run.drilled(place), random.SystemRandom().randrange(1 << 16) if seed is None else seed
    book = drill_run.DrillRecord(place.spec.name, entries, rounds, chance)
    progress.note(f"seed {chance}")

    def tell(done: DrillRound) -> None:
        book.rounds.append(done)
        progress.note(line(done))

    try:
        with state.lock(place.folder, "drill.lock"):  # two at once would take each other's faults for their own
            interrupts.run(drill_run.run(site, drill_schedule.turns(entries, rounds, baseline, chance), progress, tell))
    finally:
        if book.rounds:
            written = drill_report.write_all(book.drill(), reports)
            progress.note(f"reports: {', '.join(str(path) for path in written)}")
    result = book.drill()
    if as_json:
        console.out.print(drill_json.render(result), markup=False)
    else:
        console.out.print(figures_table(result))
    raise typer.Exit(0 if result.is_sound and not (strict and result.missed) else 1)


def line(done: DrillRound) -> str:
    """What came of a round."""
    from poolkeeper_lab.drill import drill_wording as words

    gaps = [
        f"{name} gap {words.seconds(gap.seconds)}" for name, gap in (("write", done.write), ("read", done.read)) if gap
    ]
    parts = [f"{name} {seconds:.2f}" for name, seconds in done.split.parts] if done.split else []
    lost = [f"{len(done.judgement.lost)} lost of {done.judgement.acknowledged}"] if done.judgement else []
    split = [f"({', '.join(parts)})"] if parts else []
    back = [f"back {words.seconds(done.back)}"] if done.back is not None else []
    problem = [f"PROBLEM: {done.problem}"] if done.problem else []
    return f"  {done.victim}: " + ", ".join([*gaps, *split, *back, *lost, *problem])


def catalogue_table(entries: Sequence[Entry]) -> Table:
    """The table of `--list`."""
    table = _table("FAULT", "WHAT IT DOES", "GOALS")
    for entry in entries:
        table.add_row(entry.name, entry.sentence, ", ".join(map(str, entry.goals)) or "none set")
    return table


def figures_table(result: Drill) -> Table:
    """The figures of a drill, fault by fault."""
    from rich.text import Text

    from poolkeeper_lab.drill import drill_wording as words

    table = _table(*(column.upper() for column in words.COLUMNS))
    styles = {True: "green", False: "bold yellow", None: "magenta"}
    for series in result.series:
        goals = [Text(words.goal(reached), style=styles[reached.is_met]) for reached in series.reached()]
        table.add_row(*words.row(series)[:-1], Text("\n").join(goals))
    table.caption = words.headline(result)
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, caption_justify="left")
    for column in columns:
        table.add_column(column)
    return table
