"""A client of the keeper's API, which `keeper/api.py` serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poolkeeper.core import errors
from poolkeeper.model.observed import KeeperView
from poolkeeper.system import http

_EVENTS = "poolkeeper_keeper_events_total{"


@dataclass(frozen=True)
class Metrics:
    """The keeper's `/metrics`.

    They are its CPU time since its start in seconds, its peak resident size in bytes, and its event counts by kind.
    """

    cpu_seconds: float
    peak_bytes: int
    events: dict[str, int] = field(default_factory=dict)


async def metrics(host: str, port: int, timeout: float) -> Metrics:
    """Return the keeper's metrics; the errors are those of `http.fetch` and `read_metrics`."""
    return read_metrics((await http.fetch(f"http://{host}:{port}/metrics", timeout=timeout)).text)


async def events(host: str, port: int, timeout: float) -> list[dict[str, Any]]:
    """Return the latest events, the newest last.

    Raises:
        ServerRefused: with code "json", if this is no keeper.
    """
    document = await http.fetch_json(f"http://{host}:{port}/events", timeout=timeout)
    if not isinstance(document, list):
        raise errors.ServerRefused("these are not the keeper's events", code="json")
    return document


def read_metrics(text: str) -> Metrics:
    """Read the metrics in Prometheus' text format.

    Raises:
        ServerRefused: with code "metrics", if this is no keeper.
    """
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
    """Return the state that the keeper reports; the errors are those of `http.fetch_json` and `read_view`."""
    return read_view(await http.fetch_json(f"http://{host}:{port}/status", timeout=timeout))


def read_view(document: dict[str, Any]) -> KeeperView:
    """Read the document of `/status`.

    Raises:
        ServerRefused: with code "json", if this is no keeper.
    """
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
        raise errors.ServerRefused(
            "this is not the keeper's status (it lacks a field of the keeper)", code="json"
        ) from e
