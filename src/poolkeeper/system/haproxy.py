"""HAProxy's statistics page: the CSV form, and the version from its metrics."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from poolkeeper.core import errors
from poolkeeper.model.diagnosis import Traffic
from poolkeeper.model.observed import HaproxyView, Proxy
from poolkeeper.system import http

_VERSION = re.compile(r'haproxy_process_build_info\{version="([^"]+)"')


async def observe(url: str, auth: http.Auth | None, timeout: float) -> HaproxyView:
    """Return every proxy and the version. `url` is the dashboard's, without a query."""
    base = url.rstrip("/")
    table = await http.fetch(f"{base}/;csv", timeout=timeout, auth=auth)
    return HaproxyView(await _version(base, auth, timeout), read_rows(table.text))


async def _version(base: str, auth: http.Auth | None, timeout: float) -> str:
    """Return the version, or "unknown" where this HAProxy serves no metrics (they are optional in HAProxy)."""
    try:
        metrics = await http.fetch(f"{base}/metrics?scope=global", timeout=timeout, auth=auth)
    except errors.ServerRefused:
        return "unknown"
    found = _VERSION.search(metrics.text)
    return found.group(1) if found else "unknown"


def _rows(text: str) -> Iterator[dict[str, str]]:
    if not text.startswith("# pxname,svname,"):
        raise errors.ServerRefused("this is not HAProxy's statistics page (its CSV starts differently)", code="csv")
    return csv.DictReader(io.StringIO(text.removeprefix("# ")))


def read_rows(text: str) -> tuple[Proxy, ...]:
    """Read the CSV of the statistics page.

    Raises:
        ServerRefused: with code "csv", for any other text.
    """
    return tuple(
        Proxy(
            proxy=row["pxname"],
            name=row["svname"],
            status=row["status"],
            sessions=int(row["scur"] or 0),
            check=row.get("check_status", ""),
        )
        for row in _rows(text)
    )


async def observe_traffic(url: str, auth: http.Auth | None, timeout: float) -> tuple[Traffic, ...]:
    """Return the queues and sessions of every proxy. `url` is the dashboard's, without a query."""
    return read_traffic((await http.fetch(f"{url.rstrip('/')}/;csv", timeout=timeout, auth=auth)).text)


def read_traffic(text: str) -> tuple[Traffic, ...]:
    """Read the queues and sessions in the CSV of the statistics page.

    Raises:
        ServerRefused: with code "csv", for any other text.
    """
    return tuple(
        Traffic(
            proxy=row["pxname"],
            name=row["svname"],
            queued=int(row["qcur"] or 0),
            most_queued=int(row["qmax"] or 0),
            sessions=int(row["scur"] or 0),
            most_sessions=int(row["smax"] or 0),
            limit=int(row["slim"]) if row["slim"] else None,
        )
        for row in _rows(text)
    )
