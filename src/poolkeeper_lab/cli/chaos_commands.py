"""`chaos`: inject faults into the running cluster and check the clients' results; check histories; test checkers."""

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
EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.UNKNOWN: 3}  # 2 means a wrong command line
STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.UNKNOWN: "magenta"}
SHOWN = 5  # anomalies of one finding; --json has more

HELP = "Inject faults under load, and check what clients received."
chaos = typer.Typer(help=HELP, no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.add_typer(chaos, name="chaos")


@chaos.callback()
def root() -> None:
    """Inject faults under load, and check what clients received."""


@chaos.command("run")
def run_(
    ctx: typer.Context,
    minutes: Annotated[float, typer.Option(min=0.5, max=1440, help="Approximate length; a begun scenario ends.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Repeat the order, moments and victims of this seed.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Only this scenario; repeatable.")] = None,
    reports: Annotated[Path, typer.Option(help="Directory of the reports and the history.")] = Path("reports"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON report.")] = False,
) -> None:
    """Inject faults for some minutes while clients work at every endpoint, and check all results of the clients.

    Every fault is healed, also after Ctrl-C, and the history recorded until then is checked. The same seed, minutes and
    scenarios plan the same faults. Sessions of other clients are cut as well.

    Exit code: 0 every promise held, 1 one was broken, 3 something could not be checked.
    """
    from poolkeeper_lab.cli import chaos_run

    raise typer.Exit(EXIT[chaos_run.perform(context.of(ctx), minutes, seed, scenario or [], reports, as_json)])


@chaos.command()
def campaign(
    ctx: typer.Context,
    faults: Annotated[int, typer.Option(min=1, max=100_000, help="Minimum number of faults.")] = 300,
    minutes: Annotated[float, typer.Option(min=1, max=120, help="Approximate length of one session.")] = 12,
    pace: Annotated[float, typer.Option(min=0.1, max=20, help="Rate of the clients; 1 is the rate of `run`.")] = 2,
    seed: Annotated[int | None, typer.Option(help="Repeat the sessions of this seed.")] = None,
    session: Annotated[int | None, typer.Option(min=1, help="Run only this session of the plan.")] = None,
    reports: Annotated[Path, typer.Option(help="Directory of the reports and histories.")] = Path("reports/campaign"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Play every scenario, and repeat the quicker ones until there are enough faults: hours, on the running cluster.

    A campaign consists of sessions, each a separate run with a verdict. A session that breaks a promise is reported and
    its evidence is kept; the campaign continues with the next session. The final figures cover all sessions.

    Exit code: 0 every promise held, 1 one was broken, 3 something could not be checked.
    """
    from poolkeeper_lab.cli import chaos_campaign

    request = chaos_campaign.CampaignRequest(faults, minutes, pace, seed, session, reports, as_json)
    raise typer.Exit(EXIT[chaos_campaign.perform(context.of(ctx), request)])


@chaos.command("list")
def list_(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the scenarios, the promise that each tests, and whether it can run here; change nothing."""
    from poolkeeper_lab.cli import chaos_run

    if as_json:
        console.print_json(chaos_run.catalogue(context.of(ctx)))
    else:
        console.out.print(chaos_run.table(context.of(ctx)))


@chaos.command()
def check(
    history: Annotated[Path, typer.Argument(help="The recorded file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a recorded history: the results of the clients against the promises of docs/guarantees.md.

    Exit code: 0 every promise held, 1 one was broken, 3 something could not be checked, 12 the file is damaged.
    """
    from poolkeeper_lab.chaos.checkers import run_verdict
    from poolkeeper_lab.chaos.history import jsonl
    from poolkeeper_lab.chaos.report import verdict_document

    evaluation = run_verdict.evaluate(jsonl.read(history))
    if as_json:
        console.print_json(verdict_document.document(evaluation))
    else:
        _print_verdict(evaluation.outcome)
        for text in lines(evaluation):
            console.out.print(text, markup=False)
    raise typer.Exit(EXIT[evaluation.outcome])


@chaos.command("self-test")
def self_test(
    ctx: typer.Context,
    stored: Annotated[
        bool, typer.Option("--stored", help="Check only the histories that ship with Poolkeeper.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the bugs; change nothing.")] = False,
    bug: Annotated[list[str] | None, typer.Option(help="Only this bug; repeatable.")] = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Maximum number of tries of a missed bug.")] = 3,
    seed: Annotated[int | None, typer.Option(help="Repeat the moments and victims of this seed.")] = None,
    reports: Annotated[Path, typer.Option(help="Directory of the reports and the histories.")] = Path("reports"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON report.")] = False,
) -> None:
    """Test the checkers: with stored histories and mutants, then with bugs injected into the running cluster in turn.

    Each bug has to be caught by an anomaly that is declared before the test. The bug is removed afterwards, also after
    Ctrl-C. A killed test may leave a bug; the next test finds and removes it.

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
        request = chaos_self_test.SelfTestRequest(bug or [], rounds, seed, reports, as_json)
        raise typer.Exit(EXIT[chaos_self_test.perform(context.of(ctx), request)])
    raise typer.Exit(EXIT[_check_stored(as_json)])


def _check_stored(as_json: bool) -> Outcome:
    from poolkeeper_lab.chaos.checkers import checker_self_test
    from poolkeeper_lab.chaos.report import verdict_document

    result = checker_self_test.run(checker_self_test.stored())
    if as_json:
        console.print_json(verdict_document.self_test_document(result))
    else:
        console.out.print(_self_test_line(result), style=STYLES[result.outcome], markup=False)
        for text in self_test_lines(result):
            console.out.print(text, markup=False)
    return result.outcome


def _print_verdict(outcome: Outcome) -> None:
    console.out.print(f"{outcome.upper()}: {WORDS[outcome]}", style=STYLES[outcome], markup=False)


def lines(evaluation: RunEvaluation) -> Iterator[str]:
    """Yield the lines after the verdict: the run, the finding of each checker, and the pauses."""
    counts = ", ".join(f"{count} {completion}" for completion, count in evaluation.counts.items())
    yield f"{evaluation.header.scenario}, seed {evaluation.header.seed}: {counts}"
    if evaluation.is_torn:
        yield "the last line was cut by a crash and is not counted"
    for finding in evaluation.findings:
        yield from _finding(finding)
    for endpoint, gap in evaluation.gaps.items():
        end = ", without an observed end" if gap.is_open else ""
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
    """Yield a line for each history, then a line for each broken checker."""
    for trial in result.trials:
        wanted = trial.expected.anomaly or trial.expected.outcome
        mark = "caught" if trial.is_met else f"MISSED ({trial.outcome})"
        yield f"{mark:<8}{trial.name}: {wanted} by {trial.expected.checker} in {trial.seconds:.4f} s: {trial.words}"
    for mutant in result.mutants:
        mark = "caught" if mutant.caught_by else "MISSED"
        some = ", ".join(mutant.caught_by[:3])
        yield f"{mark:<8}broken checker, {mutant.name}: by {len(mutant.caught_by)} histories, {some}"
