"""`doctor`: what limits the running cluster now, and what to change."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.model.diagnosis import DoctorFinding
from poolkeeper.model.verdict import Outcome

_MARKS = {Outcome.PASS: ("✔", "green"), Outcome.FAIL: ("✘", "bold red"), Outcome.UNKNOWN: ("?", "bold magenta")}
_LONGEST = 200  # characters of a piece of evidence; --json has the whole
_WORDS = {
    Outcome.PASS: "nothing that was looked at limits it",
    Outcome.FAIL: "something limits it",
    Outcome.UNKNOWN: "cannot tell",
}


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("doctor")(doctor)


def doctor(
    ctx: typer.Context,
    show_all: Annotated[bool, typer.Option("--all", "-a", help="What does not limit it as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts; all of it, with the evidence.")] = False,
) -> None:
    """Say what limits the running cluster now: each finding with its figure, its threshold, and what to change.

    It looks at the endpoints' processes and connections, HAProxy's queues, every server's sessions, locks, counters and
    slots, the standbys, vacuum, the disks, etcd and the machine. It changes nothing. Counters are the servers' own,
    since they were last reset. What could not be looked at is unknown, never fine.

    Exit code: 0 nothing limits it, 1 something does, 3 cannot tell.
    """
    from poolkeeper.doctor import facts
    from poolkeeper.doctor.rules import all_rules

    cluster = context.of(ctx).with_passwords()
    judgements = all_rules.evaluate(cluster.spec, asyncio.run(facts.collect(cluster)))
    outcome = all_rules.outcome(judgements)
    code = all_rules.EXIT_CODES[outcome]
    if as_json:
        console.print_json(document(cluster.spec.name, judgements, outcome, code))
    else:
        console.out.print(screen(cluster.spec.name, judgements, outcome, show_all))
    raise typer.Exit(code)


def screen(cluster: str, judgements: Sequence[DoctorFinding], outcome: Outcome, show_all: bool) -> RenderableType:
    """What limits first, then what is unknown, then (if wanted) the rest; and the sum."""
    head = Text.assemble(f"cluster {cluster}: ", (_WORDS[outcome], _MARKS[outcome][1]))
    parts: list[RenderableType] = [head, ""]
    parts += [line for j in judgements if j.outcome is Outcome.FAIL for line in _limit(j)]
    parts += _unknown([j for j in judgements if j.outcome is Outcome.UNKNOWN])
    if show_all:
        parts += [*(_line(j.outcome, f"{j.check} ({j.subject}): {j.message}") for j in judgements if _is_fine(j)), ""]
    counts = [(sum(j.outcome is kind for j in judgements), kind) for kind in Outcome]
    said = {Outcome.PASS: "do not limit it", Outcome.FAIL: "limit it", Outcome.UNKNOWN: "unknown"}
    parts.append(Text(f"{len(judgements)} looks: " + ", ".join(f"{count} {said[kind]}" for count, kind in counts)))
    return Group(*parts)


def _is_fine(judgement: DoctorFinding) -> bool:
    return judgement.outcome is Outcome.PASS


def _line(outcome: Outcome, text: str) -> Text:
    return Text.assemble(_MARKS[outcome], f" {text}")


def _limit(judgement: DoctorFinding) -> list[RenderableType]:
    """What limits, and below it all that a person needs to act."""
    rows = {
        "limit": judgement.threshold,
        "key": judgement.key,
        "do": judgement.advice,
        "look": judgement.query,
        "seen": "; ".join(f"{e.where}: {_short(e.returned)}" for e in judgement.evidence),
    }
    head = _line(judgement.outcome, f"{judgement.check} ({judgement.subject}): {judgement.message}")
    return [head, *(Text(f"    {name:<6}{text}", style="dim") for name, text in rows.items() if text), ""]


def _unknown(judgements: Sequence[DoctorFinding]) -> list[RenderableType]:
    """One line for each reason: a node that does not answer is unknown by many checks."""
    groups: dict[tuple[str, str], list[str]] = {}
    for judgement in judgements:
        groups.setdefault((judgement.subject, judgement.message), []).append(judgement.check)
    lines = [_line(Outcome.UNKNOWN, f"{who}: {why}: {', '.join(checks)}") for (who, why), checks in groups.items()]
    return [*lines, *([""] if lines else [])]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def document(cluster: str, judgements: Sequence[DoctorFinding], outcome: Outcome, code: int) -> dict[str, Any]:
    """The stable form for scripts. `outcome` is one of pass, fail, unknown; so is each judgement's."""
    return {
        "schema": 1,
        "cluster": cluster,
        "outcome": outcome.value,
        "exit_code": code,
        "findings": [dataclasses.asdict(judgement) for judgement in judgements],
    }
