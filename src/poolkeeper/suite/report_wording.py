"""The words, symbols and figures that all formats share, so that no two reports of one run disagree.

Invariant: no text here reports "pass" for something that was not checked; a group that did not run is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from poolkeeper.model.verdict import GROUPS, Outcome, Suite, Verdict, merge

MEANINGS: dict[Outcome, str] = {
    Outcome.PASS: "it was checked and holds",
    Outcome.FAIL: "it was checked and does not hold",
    Outcome.UNKNOWN: "it could not be checked; this never counts as a pass",
}
NO_CHANGES = "No difference from an earlier run."


@dataclass(frozen=True)
class ReportGroup:
    """A group of checks in this run; `verdicts` is empty if it did not run."""

    number: int
    name: str
    verdicts: tuple[Verdict, ...]

    @property
    def outcome(self) -> Outcome:
        """The merged outcome; unknown if no check ran."""
        return merge(verdict.outcome for verdict in self.verdicts)

    @property
    def seconds(self) -> float:
        """Time spent collecting the group's evidence."""
        return sum(verdict.seconds for verdict in self.verdicts)

    @property
    def word(self) -> str:
        """The outcome, or that the group did not run."""
        return self.outcome.value if self.verdicts else "not run"


def groups(suite: Suite) -> tuple[ReportGroup, ...]:
    """Return all groups in order, those that did not run included."""
    ran = suite.by_group()
    return tuple(ReportGroup(n, GROUPS.get(n, f"Group {n}"), ran.get(n, ())) for n in sorted({*GROUPS, *ran}))


def headline(suite: Suite) -> str:
    """Return the verdict in one line: "20 of 20 checks pass", "1 of 20 fails, 2 unknown", "2 unknown"."""
    total, failed, unknown = len(suite.verdicts), suite.count(Outcome.FAIL), suite.count(Outcome.UNKNOWN)
    if not total:
        return "No check was run"
    fails = f"{failed} of {total} {'fails' if failed == 1 else 'fail'}" if failed else ""
    doubts = f"{unknown} unknown" if unknown else ""
    passes = "1 of 1 check passes" if total == 1 else f"{total} of {total} checks pass"
    return ", ".join(part for part in (fails, doubts) if part) or passes


def tally(suite: Suite) -> str:
    """Return the number of each outcome that occurs: "18 pass, 1 fail, 1 unknown"."""
    counts = ((suite.count(outcome), outcome.value) for outcome in Outcome)
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "none"


def groups_run(suite: Suite) -> str:
    """Return how many of the groups ran: "18 of 18"."""
    return f"{sum(bool(group.verdicts) for group in groups(suite))} of {len(groups(suite))}"


def attention(suite: Suite) -> tuple[Verdict, ...]:
    """Return the failed checks, then the unknown ones."""
    order = (Outcome.FAIL, Outcome.UNKNOWN)
    return tuple(verdict for outcome in order for verdict in suite.verdicts if verdict.outcome is outcome)
