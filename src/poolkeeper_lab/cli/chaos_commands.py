"""`chaos`: break the running cluster and judge what clients were told; judge a recording again; check the checkers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from poolkeeper.cli import console, context
from poolkeeper.model.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from poolkeeper_lab.chaos.checkers.checker_self_test import SelfTest
    from poolkeeper_lab.chaos.checkers.finding import CheckerFinding
    from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation

WORDS = {Outcome.PASS: "every promise held", Outcome.FAIL: "a promise was broken", Outcome.UNKNOWN: "cannot tell"}
EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.UNKNOWN: 3}  # 2 is a wrong command line
STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.UNKNOWN: "magenta"}
SHOWN = 5  # anomalies of one finding; --json has more

HELP = "Break the running cluster, and judge what its clients were told."
chaos = typer.Typer(help=HELP, no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.add_typer(chaos, name="chaos")


@chaos.callback()
def root() -> None:
    """Break the running cluster, and judge what its clients were told."""


@chaos.command("run")
def run_(
    ctx: typer.Context,
    minutes: Annotated[float, typer.Option(min=0.5, max=1440, help="About how long; what is begun is ended.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Order, moments and victims as in the run with this seed.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Which; repeatable; all without it.")] = None,
    reports: Annotated[Path, typer.Option(help="Where the reports and the history go.")] = Path("reports"),
    as_json: Annotated[bool, typer.Option("--json", help="The JSON report on standard output.")] = False,
) -> None:
    """Break the running cluster for some minutes while clients work at every endpoint, and judge all that they were told.

    Everything that is broken is healed again, also after Ctrl-C, and what was recorded is judged then too. The same
    seed, minutes and scenarios plan the same faults. Sessions of other clients are cut as well.

    Exit code: 0 every promise held, 1 one was broken, 3 something could not be judged.
    """
    from poolkeeper_lab.cli import chaos_run

    raise typer.Exit(EXIT[chaos_run.perform(context.of(ctx), minutes, seed, scenario or [], reports, as_json)])


@chaos.command()
def campaign(
    ctx: typer.Context,
    faults: Annotated[int, typer.Option(min=1, max=100_000, help="So many at the least.")] = 300,
    minutes: Annotated[float, typer.Option(min=1, max=120, help="Of one sitting, about.")] = 12,
    pace: Annotated[float, typer.Option(min=0.1, max=20, help="Clients ask so many times as often as in `run`.")] = 2,
    seed: Annotated[int | None, typer.Option(help="The same sittings as in the campaign with this seed.")] = None,
    sitting: Annotated[int | None, typer.Option(min=1, help="Only this one of the plan.")] = None,
    reports: Annotated[Path, typer.Option(help="Where the reports and histories go.")] = Path("reports/campaign"),
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Play every scenario, and the quicker ones again until there were enough faults: hours, on the running cluster.

    It is cut into sittings, each of which is a run that is judged by itself; one that breaks a promise is told, its
    evidence is kept, and the next one goes on. The figures in the end are of all of them.

    Exit code: 0 every promise held, 1 one was broken, 3 something could not be judged.
    """
    from poolkeeper_lab.cli import chaos_campaign

    asked = chaos_campaign.CampaignRequest(faults, minutes, pace, seed, sitting, reports, as_json)
    raise typer.Exit(EXIT[chaos_campaign.perform(context.of(ctx), asked)])


@chaos.command("list")
def list_(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """The scenarios, what each must show, and whether it can be run here; nothing is done."""
    from poolkeeper_lab.cli import chaos_run

    if as_json:
        console.print_json(chaos_run.catalogue(context.of(ctx)))
    else:
        console.out.print(chaos_run.table(context.of(ctx)))


@chaos.command()
def check(
    history: Annotated[Path, typer.Argument(help="The recorded file.")],
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Judge a recorded history again: what clients were told, against what docs/guarantees.md promises.

    Exit code: 0 every promise held, 1 one was broken, 3 something could not be judged, 12 the file is damaged.
    """
    from poolkeeper_lab.chaos.checkers import run_verdict
    from poolkeeper_lab.chaos.history import jsonl
    from poolkeeper_lab.chaos.report import verdict_document

    judged = run_verdict.evaluate(jsonl.read(history))
    if as_json:
        console.print_json(verdict_document.document(judged))
    else:
        _verdict(judged.outcome)
        for text in lines(judged):
            console.out.print(text, markup=False)
    raise typer.Exit(EXIT[judged.outcome])


@chaos.command("self-test")
def self_test(
    ctx: typer.Context,
    stored: Annotated[bool, typer.Option("--stored", help="Only the histories that come with Poolkeeper.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Say which bugs there are; nothing is done.")] = False,
    bug: Annotated[list[str] | None, typer.Option(help="Which; repeatable; all without it.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="How often a bug that nobody saw is tried.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Moments and victims as in the test with this seed.")] = None,
    reports: Annotated[Path, typer.Option(help="Where the reports and the histories go.")] = Path("reports"),
    as_json: Annotated[bool, typer.Option("--json", help="The JSON report on standard output.")] = False,
) -> None:
    """Check the checkers: stored histories and broken checkers, then bugs planted in the running cluster, one by one.

    Each bug has to be caught by an anomaly that was named before. It is taken away afterwards, also after Ctrl-C; what
    a test that was killed left is found and taken away by the next one.

    Exit code: 0 all were caught, 1 one was missed, 3 one could not be tried to the end.
    """
    from poolkeeper_lab.cli import chaos_self_test

    if listed:
        if as_json:
            console.print_json(chaos_self_test.catalogue(context.of(ctx)))
        else:
            console.out.print(chaos_self_test.table(context.of(ctx)))
        return
    if not stored:
        asked = chaos_self_test.SelfTestRequest(bug or [], rounds, seed, reports, as_json)
        raise typer.Exit(EXIT[chaos_self_test.perform(context.of(ctx), asked)])
    raise typer.Exit(EXIT[_stored(as_json)])


def _stored(as_json: bool) -> Outcome:
    from poolkeeper_lab.chaos.checkers import checker_self_test as tested
    from poolkeeper_lab.chaos.report import verdict_document

    result = tested.run(tested.stored())
    if as_json:
        console.print_json(verdict_document.self_test_document(result))
    else:
        console.out.print(_self_test_line(result), style=STYLES[result.outcome], markup=False)
        for text in self_test_lines(result):
            console.out.print(text, markup=False)
    return result.outcome


def _verdict(outcome: Outcome) -> None:
    console.out.print(f"{outcome.upper()}: {WORDS[outcome]}", style=STYLES[outcome], markup=False)


def lines(judged: RunEvaluation) -> Iterator[str]:
    """What follows the verdict: the run, a line a checker with what it found, and the pauses."""
    counts = ", ".join(f"{count} {completion}" for completion, count in judged.counts.items())
    yield f"{judged.header.scenario}, seed {judged.header.seed}: {counts}"
    if judged.is_torn:
        yield "the last line was cut by a crash and is not counted"
    for finding in judged.findings:
        yield from _finding(finding)
    for endpoint, gap in judged.gaps.items():
        end = ", and no end seen" if gap.is_open else ""
        yield f"  longest pause at {endpoint}: {gap.seconds:.3f} s{end}"


def _finding(finding: CheckerFinding) -> Iterator[str]:
    name = f"{finding.checker} ({finding.workload})" if finding.workload else finding.checker
    yield f"{finding.outcome.upper():<8}{name}: {finding.summary}  {finding.seconds:.2f} s"
    for anomaly in finding.anomalies[:SHOWN]:
        yield f"          {anomaly.name}: {anomaly.text}"
    if len(finding.anomalies) > SHOWN:
        yield f"          and {len(finding.anomalies) - SHOWN} more: {finding.counts}"
    for unknown in finding.unknowns:
        yield f"          unknown: {unknown}"
    for anomaly in finding.permitted[:1]:
        yield f"          permitted at this level, {len(finding.permitted)} seen, as {anomaly.name}: {anomaly.text}"


def _self_test_line(result: SelfTest) -> str:
    missed = f", missed: {', '.join(result.missed)}" if result.missed else ""
    return f"{result.outcome.upper()}: {len(result.trials)} histories, {len(result.mutants)} broken checkers{missed}"


def self_test_lines(result: SelfTest) -> Iterator[str]:
    """A line a history, then a line a broken checker."""
    for trial in result.trials:
        wanted = trial.expected.anomaly or trial.expected.outcome
        mark = "caught" if trial.is_met else f"MISSED ({trial.outcome})"
        yield f"{mark:<8}{trial.name}: {wanted} by {trial.expected.checker} in {trial.seconds:.4f} s: {trial.words}"
    for mutant in result.mutants:
        mark = "caught" if mutant.caught_by else "MISSED"
        some = ", ".join(mutant.caught_by[:3])
        yield f"{mark:<8}broken checker, {mutant.name}: by {len(mutant.caught_by)} histories, {some}"
