"""`doctor`: find what limits the running cluster now, and what to change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.model.diagnosis import DoctorFinding
from poolkeeper.model.verdict import Outcome
from poolkeeper.report import plain

_MARKS = {Outcome.PASS: ("✔", "green"), Outcome.FAIL: ("✘", "bold red"), Outcome.UNKNOWN: ("?", "bold magenta")}
_LONGEST = 200  # characters of a piece of evidence; --json has all of it
_WORDS = {
    Outcome.PASS: "no check found a limit",
    Outcome.FAIL: "at least one check found a limit",
    Outcome.UNKNOWN: "cannot tell",
}


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("doctor")(doctor)


def doctor(
    ctx: typer.Context,
    show_all: Annotated[bool, typer.Option("--all", "-a", help="Show the findings without a limit as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: every finding, with its evidence.")] = False,
) -> None:
    """Find what limits the running cluster now, and what to change.

    It checks the endpoints' processes and connections, HAProxy's queues, every server's sessions, locks, counters and
    slots, the standbys, vacuum, the disks, etcd and the machine. Each finding has its figure, its threshold, and what
    to change. It changes nothing. Counters are the servers' own, since they were last reset. What could not be checked
    is unknown, never a pass.

    Exit code: 0 nothing limits it, 1 something does, 3 cannot tell.
    """
    from poolkeeper.doctor import facts
    from poolkeeper.doctor.rules import all_rules

    cluster = context.of(ctx).with_passwords()
    findings = all_rules.evaluate(cluster.spec, asyncio.run(facts.collect(cluster)))
    outcome = all_rules.outcome(findings)
    code = all_rules.EXIT_CODES[outcome]
    if as_json:
        console.print_json(document(cluster.spec.name, findings, outcome, code))
    else:
        console.out.print(screen(cluster.spec.name, findings, outcome, show_all))
    raise typer.Exit(code)


def screen(cluster: str, findings: Sequence[DoctorFinding], outcome: Outcome, show_all: bool) -> RenderableType:
    """Return what limits the cluster, then what is unknown, with `show_all` the rest, and the totals."""
    head = Text.assemble(f"cluster {cluster}: ", (_WORDS[outcome], _MARKS[outcome][1]))
    parts: list[RenderableType] = [head, ""]
    parts += [line for f in findings if f.outcome is Outcome.FAIL for line in _limit(f)]
    parts += _unknown([f for f in findings if f.outcome is Outcome.UNKNOWN])
    if show_all:
        passed = (f for f in findings if f.outcome is Outcome.PASS)
        parts += [*(_line(f.outcome, f"{f.check} ({f.subject}): {f.message}") for f in passed), ""]
    counts = [(sum(f.outcome is kind for f in findings), kind) for kind in Outcome]
    words = {Outcome.PASS: "without a limit", Outcome.FAIL: "with a limit", Outcome.UNKNOWN: "unknown"}
    parts.append(Text(f"{len(findings)} checks: " + ", ".join(f"{count} {words[kind]}" for count, kind in counts)))
    return Group(*parts)


def _line(outcome: Outcome, text: str) -> Text:
    return Text.assemble(_MARKS[outcome], f" {text}")


def _limit(finding: DoctorFinding) -> list[RenderableType]:
    """Return the finding, and below it all that a person needs for the repair."""
    rows = {
        "limit": finding.threshold,
        "key": finding.key,
        "do": finding.advice,
        "query": finding.query,
        "seen": "; ".join(f"{e.where}: {_short(e.returned)}" for e in finding.evidence),
    }
    head = _line(finding.outcome, f"{finding.check} ({finding.subject}): {finding.message}")
    return [head, *(Text(f"    {name:<6}{text}", style="dim") for name, text in rows.items() if text), ""]


def _unknown(findings: Sequence[DoctorFinding]) -> list[RenderableType]:
    """Return one line for each reason: a node that does not answer makes many checks unknown."""
    groups: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        groups.setdefault((finding.subject, finding.message), []).append(finding.check)
    lines = [_line(Outcome.UNKNOWN, f"{subject}: {why}: {', '.join(c)}") for (subject, why), c in groups.items()]
    return [*lines, *([""] if lines else [])]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def document(cluster: str, findings: Sequence[DoctorFinding], outcome: Outcome, code: int) -> dict[str, Any]:
    """Return the stable form for scripts. `outcome` is one of pass, fail, unknown, for each finding too."""
    return {
        "schema": 1,
        "cluster": cluster,
        "outcome": outcome.value,
        "exit_code": code,
        "findings": [plain.data(finding) for finding in findings],
    }
