"""The words that the reports of a live self-test share with the command line."""

from __future__ import annotations

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.report.self_test_model import Bug, LiveTest, Stored

VERDICTS = {
    Outcome.PASS: "Every injected bug was caught",
    Outcome.FAIL: "An injected bug was missed",
    Outcome.UNKNOWN: "Not every bug was tried to the end",
}
MARKS = {Outcome.PASS: "caught", Outcome.FAIL: "MISSED", Outcome.UNKNOWN: "not tried to the end"}
BUGS = ("", "Bug", "What was wrong", "Scenario", "Caught by", "After", "Rounds", "The checker's message")
METHOD = (
    "Each bug was injected alone into a cluster that passed all health checks, and removed afterwards. Then the "
    "cluster was healthy again, and a check of the cluster found nothing left of the bug. A bug counts as caught only "
    "by an anomaly that was named before. After: the time from its first operation until the verdict, in seconds; the "
    "time until its scenario begins, and the time after its run ended, are not included."
)
NONE = "–"


def headline(test: LiveTest) -> str:
    """Return the verdict in one line."""
    caught = sum(bug.outcome is Outcome.PASS for bug in test.bugs)
    return f"{VERDICTS[test.outcome]}: {caught} of {len(test.bugs)} caught in a running cluster"


def stored(half: Stored) -> str:
    """Return the stored half in one line."""
    missed = f", missed: {', '.join(half.missed)}" if half.missed else ", none missed"
    return f"stored: {half.histories} histories with an injected anomaly, {half.mutants} broken checkers{missed}"


def cells(bug: Bug) -> tuple[str, ...]:
    """Return a bug's cells in the order of BUGS, without its mark."""
    after = NONE if bug.seconds is None else f"{bug.seconds:.0f} s"
    message = bug.text or bug.problem or f"wanted: {'; '.join(bug.wanted)}"
    caught = bug.caught_by or MARKS[bug.outcome]
    return (bug.name, bug.sentence, bug.scenario or NONE, caught, after, str(bug.rounds), message)


def line(bug: Bug) -> str:
    """Return a bug as a line for a terminal."""
    name, _, scenario, caught, after, rounds, message = cells(bug)
    where = f"{scenario}, round {rounds}, after {after}: " if bug.caught_by else ""
    return f"{name}: {where}{caught}: {message}"


def attention(test: LiveTest) -> list[str]:
    """Return what needs attention, a line each."""
    lines = [f"the stored half missed {name}" for name in test.stored.missed]
    for bug in test.bugs:
        if bug.outcome is not Outcome.PASS:
            wanted = f"wanted: {'; '.join(bug.wanted)}"
            lines.append(f"{bug.name}: {MARKS[bug.outcome]}; {wanted}{f'; {bug.problem}' if bug.problem else ''}")
    return lines
