"""A live self-test as Markdown (CommonMark with tables), to be read raw as well. Foreign text never is markup."""

from __future__ import annotations

from poolkeeper.report import wording
from poolkeeper.suite.suite_report import escape, fence, table
from poolkeeper_lab.chaos.report import self_test_wording as words
from poolkeeper_lab.chaos.report.self_test_model import LiveTest


def render(test: LiveTest) -> str:
    """The whole report, ending in one newline."""
    facts = [
        f"Cluster: {escape(test.cluster)}",
        f"Started: {escape(wording.moment(test.started_at))}",
        f"Took: {wording.duration(test.seconds)}",
        f"Seed: {test.seed}",
    ]
    blocks = [
        f"# {wording.SYMBOLS[test.outcome]} {escape(words.headline(test))}",
        "\n".join(f"- {fact}" for fact in facts),
        fence(f"{test.replay}   # the same again"),
    ]
    if lines := words.attention(test):
        blocks += ["## Needs attention", "\n".join(f"- {escape(line)}" for line in lines)]
    rows = [(wording.SYMBOLS[bug.outcome], *words.cells(bug)) for bug in test.bugs]
    blocks += ["## Bugs in the running cluster", table(words.BUGS, rows), words.METHOD]
    blocks += [
        "## Stored histories",
        f"{wording.SYMBOLS[test.stored.outcome]} {escape(words.stored(test.stored))}",
    ]
    return "\n\n".join(blocks) + "\n"
