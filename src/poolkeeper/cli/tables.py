"""Build the tables that a terminal shows from values. Rich drops every colour if the output is not a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from poolkeeper.model import endpoint_keys
from poolkeeper.model.assessment import Assessment, FindingKind, Level, NodeRow
from poolkeeper.model.observed import versions

if TYPE_CHECKING:  # every command with a table imports this module, and needs only its own one of these
    from collections.abc import Mapping, Sequence

    from poolkeeper.model.database_users import UserRow
    from poolkeeper.model.observed import EndpointView, Seen, Snapshot
    from poolkeeper.model.spec import ClusterSpec
    from poolkeeper.operations.logs import Line

_LEVEL_STYLE = {Level.HEALTHY: "bold green", Level.DEGRADED: "bold yellow", Level.DOWN: "bold red"}
_PALETTE = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_blue", "bright_red")


def plain_table(*columns: str) -> Table:
    """Return a table without borders; its cells do not wrap."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def status(spec: ClusterSpec, seen: Snapshot, assessment: Assessment) -> RenderableType:
    """Return the screen of `status`."""
    head = Text.assemble(
        f"cluster {spec.name}: ",
        (
            assessment.level.name.lower().replace("unknown", "cannot tell"),
            _LEVEL_STYLE.get(assessment.level, "bold magenta"),
        ),
        f"   primary: {assessment.primary or 'none'}   {seen.at[:19]}Z",
    )
    parts: list[RenderableType] = [
        head,
        "",
        _nodes(assessment.rows),
        "",
        _endpoints(spec, seen),
        "",
        _version_line(seen),
    ]
    parts += ["", *_keeper(seen)]
    if assessment.findings:
        parts += ["", *(_finding(str(f), f.kind) for f in assessment.findings)]
    return Group(*parts)


def _finding(text: str, kind: FindingKind) -> Text:
    return Text(
        text, style="magenta" if kind is FindingKind.UNKNOWN else "red" if kind is FindingKind.DOWN else "yellow"
    )


def _nodes(rows: tuple[NodeRow, ...]) -> Table:
    table = plain_table("NODE", "CONTAINER", "SERVER", "PATRONI", "TL", "LAG", "SLOT", "PGPOOL", "HAPROXY")
    for row in rows:
        name = Text(f"{row.node} ≠ drift", style="bold yellow") if row.drift else Text(row.node)
        patroni = row.patroni.replace("_standby", "")  # quorum_standby, sync_standby: the column names Patroni
        cells = (row.container, row.postgres, patroni, row.timeline, row.lag, row.slot, row.pgpool, row.haproxy)
        table.add_row(name, *cells)
    return table


def _endpoints(spec: ClusterSpec, seen: Snapshot) -> Table:
    table = plain_table("ENDPOINT", "PORT", "PGPOOL", "ANSWERED BY")
    containers = seen.containers.value or {}
    for key in endpoint_keys.POOLED:
        endpoint = getattr(spec.endpoints, key)
        state = containers[endpoint.service].state if endpoint.service in containers else "?"
        table.add_row(key, str(endpoint.port), f"{endpoint.service} {state}", _answer(seen.endpoints.get(key)))
    for key, direct in spec.direct_endpoints().items():
        table.add_row(key, str(direct.port), "-", _answer(seen.endpoints.get(key)))
    return table


def _answer(endpoint: Seen[EndpointView] | None) -> str:
    if endpoint is None:
        return "?"
    if endpoint.value is None:
        return "no answer"
    return f"{endpoint.value.node} ({'standby' if endpoint.value.in_recovery else 'primary'})"


def _keeper(seen: Snapshot) -> list[Text]:
    """Return keeper's state and its latest events."""
    view = seen.keeper.value
    if view is None:
        return [Text("keeper: no answer")]
    state = "in maintenance mode, makes no changes" if view.maintenance else "keeping" if view.healthy else "stalled"
    return [Text(f"keeper: {state}"), *(Text(f"  {_event(event)}", style="dim") for event in view.last[-3:])]


def _event(event: Mapping[str, Any]) -> str:
    words = (str(event[key]) for key in ("event", "what", "node", "proxy") if key in event)
    why = f": {event['why']}" if "why" in event else ""
    return f"{str(event.get('at', ''))[11:19]} {' '.join(words)}{why}"


def _version_line(seen: Snapshot) -> Text:
    return Text("  ".join(f"{name} {version}" for name, version in versions(seen).items()), style="dim")


def containers(rows: list[dict[str, Any]]) -> Table:
    """Return the table of `ps`."""
    table = plain_table("SERVICE", "CONTAINER", "ADDRESS", "PORTS", "STATE", "UPTIME", "RESTARTS", "MEMORY", "IMAGE")
    for row in rows:
        ports = ", ".join(row["ports"]) or "-"
        cells = (row["state"], row["uptime"], str(row["restarts"]), row["memory"], row["image"])
        table.add_row(row["service"], row["container"], row["address"], ports, *cells)
    return table


def log_line(line: Line, width: int) -> Text:
    """Return a log line with its service in front, each service in its own colour."""
    colour = _PALETTE[sum(line.service.encode()) % len(_PALETTE)]
    return Text.assemble((f"{line.service:<{width}} ", colour), (f"{line.at[11:23]} ", "dim"), line.text)


def users(rows: Sequence[UserRow]) -> RenderableType:
    """Return the table of `user list`, and below it what could not be compared."""
    table = plain_table("NAME", "LOGIN", "IN POOL_PASSWD", "SUPERUSER", "DATABASES", "DRIFT")
    words = {True: "yes", False: "no", None: "?"}
    for row in rows:
        cells = (
            words[row.can_login],
            words[row.in_pool_passwd],
            words[row.is_superuser],
            ", ".join(row.databases) or "-",
        )
        flag = Text("; ".join(row.drift), style="yellow") if row.drift else Text("?" if row.undecided else "")
        table.add_row(row.name, *cells, flag)
    unknown = dict.fromkeys(reason for row in rows for reason in row.undecided)
    return Group(table, *(Text(f"could not read: {reason}", style="magenta") for reason in unknown))
