"""The words that the reports of a live self-test share with the command line."""

from __future__ import annotations

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.report.self_test_model import Bug, LiveTest, Stored

VERDICTS = {
    Outcome.PASS: "Every planted bug was caught",
    Outcome.FAIL: "A planted bug was missed",
    Outcome.UNKNOWN: "Not every bug could be tried",
}
MARKS = {Outcome.PASS: "caught", Outcome.FAIL: "MISSED", Outcome.UNKNOWN: "not tried to the end"}
BUGS = ("", "Bug", "What was wrong", "Scenario", "Caught by", "After", "Rounds", "In the checker's words")
METHOD = (
    "Each bug was planted alone in a cluster that every witness called healthy, and taken away afterwards; then the "
    "cluster was healthy again, and clean of it by a look at the cluster. A bug counts as caught only by an anomaly "
    "that was named before. After: from its first operation until the verdict, in seconds; what a bug costs until its "
    "scenario begins and after its run ended is not in it."
)
NONE = "–"


def headline(test: LiveTest) -> str:
    """The verdict in one line."""
    caught = sum(bug.outcome is Outcome.PASS for bug in test.bugs)
    return f"{VERDICTS[test.outcome]}: {caught} of {len(test.bugs)} caught in a running cluster"


def stored(half: Stored) -> str:
    """The stored half in one line."""
    missed = f", missed: {', '.join(half.missed)}" if half.missed else ", none missed"
    return f"stored: {half.histories} histories with something planted, {half.mutants} broken checkers{missed}"


def cells(bug: Bug) -> tuple[str, ...]:
    """A bug's cells in the order of BUGS, its mark aside."""
    after = NONE if bug.seconds is None else f"{bug.seconds:.0f} s"
    said = bug.text or bug.problem or f"wanted: {'; '.join(bug.wanted)}"
    caught = bug.caught_by or MARKS[bug.outcome]
    return (bug.name, bug.sentence, bug.scenario or NONE, caught, after, str(bug.rounds), said)


def line(bug: Bug) -> str:
    """A bug for a terminal."""
    name, _, scenario, caught, after, rounds, said = cells(bug)
    where = f"{scenario}, round {rounds}, after {after}: " if bug.caught_by else ""
    return f"{name}: {where}{caught}: {said}"


def attention(test: LiveTest) -> list[str]:
    """What a reader has to look at, a line each."""
    lines = [f"the stored half missed {name}" for name in test.stored.missed]
    for bug in test.bugs:
        if bug.outcome is not Outcome.PASS:
            wanted = f"wanted: {'; '.join(bug.wanted)}"
            lines.append(f"{bug.name}: {MARKS[bug.outcome]}; {wanted}{f'; {bug.problem}' if bug.problem else ''}")
    return lines
