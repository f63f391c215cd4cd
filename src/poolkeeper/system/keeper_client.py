"""The keeper's API, as `keeper/api.py` serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poolkeeper.core import errors
from poolkeeper.model.observed import KeeperView
from poolkeeper.system import http

_EVENTS = "poolkeeper_keeper_events_total{"


@dataclass(frozen=True)
class Metrics:
    """`/metrics`: CPU time since the agent's start in seconds, its largest resident size in bytes, its event counts."""

    cpu_seconds: float
    peak_bytes: int
    events: dict[str, int] = field(default_factory=dict)


async def metrics(host: str, port: int, timeout: float) -> Metrics:
    """The keeper in figures. Raises ServerRefused (code "metrics") if this is no keeper."""
    return read_metrics((await http.fetch(f"http://{host}:{port}/metrics", timeout=timeout)).text)


async def events(host: str, port: int, timeout: float) -> list[dict[str, Any]]:
    """The latest events, the newest last. Raises ServerRefused (code "json") if this is no keeper."""
    document = await http.fetch_json(f"http://{host}:{port}/events", timeout=timeout)
    if not isinstance(document, list):
        raise errors.ServerRefused("these are not the keeper's events", code="json")
    return document


def read_metrics(text: str) -> Metrics:
    """Prometheus' text format → what is asked for here."""
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if " " in line and not line.startswith("#"))
    try:
        return Metrics(
            cpu_seconds=float(values["process_cpu_seconds_total"]),
            peak_bytes=int(values["poolkeeper_keeper_memory_peak_bytes"]),
            events={key.split('"')[1]: int(count) for key, count in values.items() if key.startswith(_EVENTS)},
        )
    except (KeyError, IndexError, ValueError) as e:
        raise errors.ServerRefused("these are not the keeper's metrics", code="metrics") from e


async def observe(host: str, port: int, timeout: float) -> KeeperView:
    """What the keeper says of itself. Raises ServerRefused (code "json") if this is no keeper."""
    return read_view(await http.fetch_json(f"http://{host}:{port}/status", timeout=timeout))


def read_view(document: dict[str, Any]) -> KeeperView:
    """`/status` → a view."""
    try:
        return KeeperView(
            healthy=bool(document["healthy"]),
            primary=document["primary"],
            blind=tuple(
                f"{name}: {document[name]}" for name in ("store", "pool", "routes") if document[name] != "known"
            ),
            maintenance=bool(document["maintenance"]),
            open_matters=tuple(map(str, document["open"])),
            drift_seconds=float(document["drift_seconds"]),
            last=tuple(document["last"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise errors.ServerRefused("this is not the keeper's status (it lacks what a keeper says)", code="json") from e
