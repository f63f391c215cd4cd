"""The tables and pictures of docs/benchmarks.md, made from the JSON of real runs: no figure there is typed by hand.

The document has pairs of marks, `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`; the text between them is replaced.
NAME is `goals`, or the name of a part. If several runs have a part, the last run named counts. The text of a part that
no run has stays, its goals included. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from poolkeeper.core import errors
from poolkeeper.report import markdown, svg, wording
from poolkeeper.report.markdown import escape
from poolkeeper_lab.bench.report import bench_plot, bench_report, bench_wording
from poolkeeper_lab.bench.report.bench_model import BenchRun, BenchSection

GOALS = "goals"
FOLDER = "benchmarks"  # of the pictures, beside the document
NOT_YET = "Not measured yet."
_PAIR = re.compile(r"(<!-- bench:(?P<name>[a-z][a-z-]*) -->\n)(?P<text>.*?)(?P<end><!-- /bench:(?P=name) -->)", re.S)
_MARK = re.compile(r"<!-- /?bench:[^>]*-->")


def latest(runs: Sequence[BenchRun]) -> dict[str, tuple[BenchRun, BenchSection]]:
    """Return part → the last run that has it."""
    return {section.name: (run, section) for run in runs for section in run.sections}


def fill(document: str, runs: Sequence[BenchRun]) -> str:
    """Return the document with its tables filled again.

    Raises:
        UsageError: if a mark has no partner.
    """
    found = latest(runs)
    pairs = list(_PAIR.finditer(document))
    if len(_MARK.findall(document)) != 2 * len(pairs):
        raise errors.UsageError(
            "a mark of the document has no partner", hint="They are <!-- bench:NAME --> and <!-- /bench:NAME -->."
        )

    parts = [pair["name"] for pair in pairs]

    def filled(pair: re.Match[str]) -> str:
        name, before = pair["name"], pair["text"].strip()
        if name == GOALS:
            after = _goals(found, before, parts)
        else:
            after = "\n\n".join(_part(*found[name])) if name in found else before
        return f"{pair[1]}\n{after or NOT_YET}\n\n{pair['end']}"

    return _PAIR.sub(filled, document)


def pictures(runs: Sequence[BenchRun]) -> Iterator[tuple[str, str]]:
    """Yield file name and SVG of every picture of every part."""
    for _, section in latest(runs).values():
        for number, drawn in enumerate(bench_plot.pictures(section), start=1):
            yield f"{section.name}-{number}.svg", svg.standalone(bench_plot.draw(drawn))


def _goals(found: dict[str, tuple[BenchRun, BenchSection]], before: str, parts: Sequence[str]) -> str:
    """Return the table of goals: a part's rows from its run, or the present ones; in the order of the document."""
    rows = [(name, *bench_wording.goal_row(goal)) for name, (_, section) in found.items() for goal in section.goals]
    head, rule, *new = markdown.table(("Part", *bench_wording.GOALS), rows).splitlines()
    old = [line for line in before.splitlines() if line.startswith("| ") and line not in (head, rule)]
    lines = [*new, *(line for line in old if _first_cell(line) not in found)]
    placed = [line for part in parts for line in lines if _first_cell(line) == part]
    return "\n".join([head, rule, *placed]) if placed else ""


def _first_cell(line: str) -> str:
    return line.split("|")[1].strip()


def _part(run: BenchRun, section: BenchSection) -> list[str]:
    drawn = bench_plot.pictures(section)
    shown = [f"![{escape(p.title)}]({FOLDER}/{section.name}-{i}.svg)" for i, p in enumerate(drawn, start=1)]
    return [_about(run), *bench_report.body(section), *shown]


def _about(run: BenchRun) -> str:
    about = ", ".join(f"{name} {value}" for name, value in run.versions.items())
    moment, where = wording.moment(run.started_at), bench_wording.machine(run)
    broken = " It was interrupted." if run.is_interrupted else ""
    return (
        f"{escape(run.command)}, {escape(moment)}; {escape(where['Processor'])}, {escape(where['Memory'])} of memory, "
        f"kernel {escape(run.machine.kernel)}; {escape(about)}.{broken}"
    )
