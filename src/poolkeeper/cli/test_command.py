"""`test`: the validation suite against this cluster, or against any other Pgpool-II and HAProxy cluster."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from poolkeeper.cli import console, context
from poolkeeper.core import errors
from poolkeeper.model.endpoint_keys import BALANCED, RO, RW
from poolkeeper.model.target import Target
from poolkeeper.model.verdict import GROUPS, Outcome, Suite, compare
from poolkeeper.system import postgres

ENDPOINTS = (BALANCED, RW, RO)
_MARKS = {Outcome.PASS: ("✔", "green"), Outcome.FAIL: ("✘", "bold red"), Outcome.UNKNOWN: ("?", "bold magenta")}


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("test")(run_suite)


def run_suite(
    ctx: typer.Context,
    only: Annotated[
        list[int] | None, typer.Option(min=1, max=len(GROUPS), help="A group, by its number; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The JSON report on standard output.")] = False,
    reports: Annotated[Path, typer.Option(help="The folder of the reports.")] = Path("reports"),
    dsn: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DSN", help="Another cluster: balanced=…, rw=…, ro=…, and NODE=… for each node."),
    ] = None,
    stats: Annotated[str, typer.Option(metavar="URL", help="Its HAProxy statistics, as http://user@host:8406/.")] = "",
) -> None:
    """Run the validation suite and write its reports.

    It has 20 checks in 13 groups through the endpoints, and 10 more in 5 groups for promises of Poolkeeper's own.

    The groups: 1 Node Status, 2 PgPool-II Connection, 3 HAProxy Connectivity, 4 Streaming Replication, 5 Write
    Isolation, 6 DDL Replication, 7 Load Balancing, 8 Version Consistency, 9 WAL Streaming, 10 Replication Slots, 11
    Concurrent Writes, 12 PgPool-II Version, 13 HAProxy Stats. Poolkeeper's own: 14 Read-Only Endpoint, 15 No Drift, 16
    Quorum Commit, 17 Keeper, 18 Direct Endpoints. A check passes, fails, or is unknown if it could not be run. The
    reports are Markdown, HTML, JUnit XML and JSON.

    For a cluster that Poolkeeper did not start, give every endpoint and node. The passwords come from PGPASSFILE,
    PGPASSWORD and POOLKEEPER_STATS_PASSWORD, so that the argument list contains none. Groups 14 to 18 do not run there:
    they need access that the endpoints do not give.

    poolkeeper test --dsn balanced="host=db port=9999 user=me dbname=x" --dsn rw=… --dsn ro=… --dsn n1=… --dsn n2=…
    --stats http://admin@db:8406/

    Exit code: 0 every check passes, 1 otherwise.
    """
    from poolkeeper.suite import report_files, report_json, test

    target = foreign_target(dsn, stats) if dsn else test.own_target(context.of(ctx).with_passwords())
    progress = console.ConsoleSteps()
    before, note = report_files.last_outcomes(reports)
    if note:
        progress.note(note)
    suite = _run_groups(target, only, progress)
    if before and not only:
        suite = replace(suite, changes=compare(before, suite.verdicts))
    written = report_files.write_all(suite, reports)
    if as_json:
        console.out.print(report_json.render(suite), markup=False)
    else:
        console.out.print(table(suite))
    progress.note(f"reports: {', '.join(str(path) for path in written)}")
    raise typer.Exit(0 if suite.outcome is Outcome.PASS else 1)


def _run_groups(target: Target, only: list[int] | None, progress: console.ConsoleSteps) -> Suite:
    from poolkeeper.suite import test

    with progress.step(f"running {len(only) if only else 'all'} groups against {target.cluster}"):
        return asyncio.run(test.run_suite(target, frozenset(only) if only else None, progress.note))


def table(result: Suite) -> RenderableType:
    """Return the verdicts, group by group, and the totals."""
    parts: list[RenderableType] = []
    for group, verdicts in result.by_group().items():
        parts.append(Text(f"{group:>2} {GROUPS[group]}", style="bold"))
        for verdict in verdicts:
            mark, style = _MARKS[verdict.outcome]
            parts.append(Text.assemble("   ", (mark, style), f" {verdict.title}: {verdict.summary}"))
    parts += [Text(f"changed since the last run: {line}", style="yellow") for line in result.changes]
    counts = {outcome: result.count(outcome) for outcome in Outcome}
    total = f"{counts[Outcome.PASS]} of {len(result.verdicts)} checks pass in {result.seconds:.1f} s"
    rest = ", ".join(f"{counts[o]} {o.value}" for o in (Outcome.FAIL, Outcome.UNKNOWN) if counts[o])
    parts += ["", Text(f"{total}; {rest}" if rest else total, style=_MARKS[result.outcome][1])]
    return Group(*parts)


def foreign_target(dsn: list[str], stats: str) -> Target:
    """Return the target that the options describe.

    Raises:
        UsageError: an option is missing or cannot be read.
    """
    pairs = dict(item.split("=", 1) for item in dsn if "=" in item.split(" ", 1)[0])
    missing = [endpoint for endpoint in ENDPOINTS if endpoint not in pairs]
    nodes = {name: postgres.parse_dsn(text) for name, text in pairs.items() if name not in ENDPOINTS}
    if missing or len(nodes) < 2 or not stats:
        wants = [f"--dsn {endpoint}=…" for endpoint in missing]
        wants += ["at least two --dsn NODE=…"] if len(nodes) < 2 else []
        wants += ["--stats URL"] if not stats else []
        raise errors.UsageError(f"another cluster needs {', '.join(wants)}", hint="poolkeeper test --help shows how.")
    url = urlsplit(stats)
    password = os.environ.get("POOLKEEPER_STATS_PASSWORD", url.password or "")
    return Target(
        cluster=url.hostname or "another cluster",
        nodes=nodes,
        monitors=nodes,
        balanced=postgres.parse_dsn(pairs[BALANCED]),
        rw=postgres.parse_dsn(pairs[RW]),
        ro=postgres.parse_dsn(pairs[RO]),
        stats_url=f"{url.scheme}://{url.hostname}:{url.port or 80}{url.path}",
        stats_auth=(url.username, password) if url.username else None,
    )
