"""A suite as Markdown (CommonMark with tables), to be read raw as well as rendered.

Invariant: text from outside never becomes markup. Evidence stands in code fences longer than any run of backticks in
it; all other text is escaped and kept on its line. No HTML is written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolkeeper.model.verdict import Evidence, Outcome, Suite, Verdict
from poolkeeper.report import wording
from poolkeeper.suite import report_text, report_wording

_BACKTICKS = re.compile(r"`+")
# What begins markup inside a line; an underscore inside a word does not.
_MARKUP = re.compile(r"[\\`*{}\[\]<>#|~&$!]|(?<![^\W_])_|_(?![^\W_])")
_LINK = re.compile(r"(?<=\w)(?=://)|(?<=www)(?=\.)", re.I)


def render(suite: Suite) -> str:
    """The whole report, ending in one newline. Passwords are redacted."""
    suite = report_text.legible(suite)
    blocks = [*_opening(suite), *_attention(suite), *_changes(suite), *_groups(suite), *_checks(suite)]
    return "\n\n".join([*blocks, *_versions(suite), *_topology(suite), *_legend()]) + "\n"


def _opening(suite: Suite) -> list[str]:
    facts = [
        f"Cluster: {escape(suite.cluster)}",
        f"Started: {escape(wording.moment(suite.started_at))}",
        f"Took: {wording.duration(suite.seconds)}",
        f"Checks: {report_wording.tally(suite)}",
        f"Groups run: {report_wording.groups_run(suite)}",
    ]
    return [
        f"# {wording.SYMBOLS[suite.outcome]} {report_wording.headline(suite)}",
        "\n".join(f"- {fact}" for fact in facts),
    ]


def _attention(suite: Suite) -> list[str]:
    lines = [
        f"- {_mark(v.outcome)}: **{escape(v.title)}** – {escape(v.summary)}" for v in report_wording.attention(suite)
    ]
    return ["## Needs attention", "\n".join(lines)] if lines else []


def _changes(suite: Suite) -> list[str]:
    lines = [f"- {escape(change)}" for change in suite.changes]
    return ["## Changed since the last run", "\n".join(lines) or report_wording.NO_CHANGES]


def _groups(suite: Suite) -> list[str]:
    rows = [
        (str(g.number), g.name, f"{wording.SYMBOLS[g.outcome]} {g.word}", str(len(g.verdicts)), _time(g.seconds))
        for g in report_wording.groups(suite)
    ]
    return ["## Groups", table(("#", "Group", "Outcome", "Checks", "Time"), rows)]


def _checks(suite: Suite) -> list[str]:
    blocks = ["## Checks"]
    for group in report_wording.groups(suite):
        if group.verdicts:
            blocks.append(f"### {group.number}. {escape(group.name)}")
            blocks += [block for verdict in group.verdicts for block in _check(verdict)]
    return blocks if len(blocks) > 1 else []


def _check(verdict: Verdict) -> list[str]:
    heading = f"#### {wording.SYMBOLS[verdict.outcome]} {escape(verdict.title)}"
    facts = f"{_mark(verdict.outcome)} · {escape(verdict.check)} · {wording.duration(verdict.seconds)}"
    evidence = [block for piece in verdict.evidence for block in _evidence(piece)] or [report_wording.NO_EVIDENCE]
    return [heading, facts, f"Found: {escape(verdict.summary)}", *evidence]


def _evidence(piece: Evidence) -> list[str]:
    opening = f"On **{escape(piece.where)}** was run, in {wording.duration(piece.seconds)}:"
    returned = ["It returned:", fence(piece.returned)] if piece.returned else ["It returned nothing."]
    return [opening, fence(piece.ran), *returned]


def _versions(suite: Suite) -> list[str]:
    rows = list(suite.versions.items())
    return ["## Versions", table(("Component", "Version"), rows)] if rows else []


def _topology(suite: Suite) -> list[str]:
    return ["## Topology", table(("Service", "Where", "Role"), list(suite.topology))] if suite.topology else []


def _legend() -> list[str]:
    return ["## Legend", "\n".join(f"- {_mark(outcome)}: {report_wording.MEANINGS[outcome]}" for outcome in Outcome)]


def _mark(outcome: Outcome) -> str:
    return f"{wording.SYMBOLS[outcome]} {outcome.value}"


def _time(seconds: float) -> str:
    return wording.duration(seconds) if seconds else "–"


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table of text cells, each escaped and on one line."""
    lines = [header, tuple("---" for _ in header), *(tuple(escape(cell) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def fence(text: str) -> str:
    """The text in a code fence that nothing inside can close."""
    ticks = "`" * max(3, 1 + max(map(len, _BACKTICKS.findall(text)), default=0))
    return f"{ticks}text\n{text.removesuffix(chr(10))}\n{ticks}"


def escape(text: str) -> str:
    """The text as one line without markup. For use inside a line, never as its beginning."""
    one_line = " ".join(text.split())
    return _LINK.sub(r"\\", _MARKUP.sub(r"\\\g<0>", one_line))
