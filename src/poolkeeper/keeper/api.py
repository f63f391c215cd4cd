"""The agent's API: it reads and changes nothing. Plain HTTP/1.0 on one port, one short answer a connection.

    /health    200 while the route loop iterates, else 503
    /status    what the agent knows, and for how long actions have been open, as JSON
    /events    the latest events, as JSON
    /metrics   the same in figures, in Prometheus' text format

Not promised: keep-alive, TLS, or an answer to a client that is slower than a few seconds.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from poolkeeper.keeper.decide import backends, routes
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState

STALLED = 5.0  # seconds without an iteration after which the agent is not healthy
REQUEST_TIMEOUT = 3.0  # seconds for a request
PAGES: dict[str, Callable[[KnownState, Journal], tuple[int, str, str]]]


async def serve(known: KnownState, journal: Journal, port: int) -> None:
    """Answer until cancelled."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await asyncio.wait_for(reader.readline(), REQUEST_TIMEOUT)
            words = request.decode(errors="replace").split()
            status, kind, body = page(words[1] if len(words) > 1 else "/", known, journal)
            head = f"HTTP/1.0 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\nConnection: close"
            writer.write(f"{head}\r\n\r\n{body}".encode())
            await asyncio.wait_for(writer.drain(), REQUEST_TIMEOUT)
        except (TimeoutError, ConnectionError):
            pass  # the client has disconnected or stays silent: it gets no answer
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "0.0.0.0", port)
    async with server:
        await server.serve_forever()


def page(path: str, known: KnownState, journal: Journal) -> tuple[int, str, str]:
    """Return the status, the content type and the body of a path."""
    make = PAGES.get(path.split("?", maxsplit=1)[0])
    return make(known, journal) if make else (404, "text/plain", "no such page\n")


def _is_healthy(known: KnownState) -> bool:
    return known.clock() - known.iterated_at < STALLED


def _health(known: KnownState, _: Journal) -> tuple[int, str, str]:
    return (200, "text/plain", "iterating\n") if _is_healthy(known) else (503, "text/plain", "stalled\n")


def status(known: KnownState, journal: Journal) -> dict[str, Any]:
    """Return what the agent knows, as plain data."""
    observed, memory = known.current(), known.memory
    view = observed.store.value
    open_actions = [*routes.decide(known.spec, observed, memory), *backends.decide(known.spec, observed, memory)]
    return {
        "healthy": _is_healthy(known),
        "store": observed.store.error or "known",
        "pool": observed.pool.error or "known",
        "routes": observed.routes.error or "known",
        "maintenance": bool(view and view.paused),
        "lease": observed.lease.owner if observed.lease else None,
        "primary": observed.primary,
        "nodes": {name: {"process": p.state, "why": p.reason} for name, p in observed.processes.items()},
        "open": [str(action) for action in open_actions],
        "drift_seconds": round(known.drift_age(bool(open_actions)), 1),
        "last": [e for e in journal.events if e["event"] in ("decided", "declined", "failed", "done")][-10:],
    }


def _status(known: KnownState, journal: Journal) -> tuple[int, str, str]:
    return 200, "application/json", json.dumps(status(known, journal), indent=1) + "\n"


def _events(_: KnownState, journal: Journal) -> tuple[int, str, str]:
    return 200, "application/json", json.dumps(list(journal.events)) + "\n"


def _metrics(known: KnownState, journal: Journal) -> tuple[int, str, str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    observed = known.current()
    lines = [
        f"poolkeeper_keeper_healthy {int(_is_healthy(known))}",
        *(
            f'poolkeeper_keeper_knows{{source="{name}"}} {int(seen.is_known)}'
            for name, seen in (("store", observed.store), ("pool", observed.pool), ("routes", observed.routes))
        ),
        *(
            f'poolkeeper_keeper_events_total{{event="{name}"}} {count}'
            for name, count in sorted(journal.counts.items())
        ),
        f"process_cpu_seconds_total {usage.ru_utime + usage.ru_stime:.3f}",
        f"poolkeeper_keeper_memory_peak_bytes {usage.ru_maxrss * 1024}",
    ]
    return 200, "text/plain; version=0.0.4", "\n".join(lines) + "\n"


PAGES = {"/health": _health, "/status": _status, "/events": _events, "/metrics": _metrics}
