"""Turn one question into a `Reading`: time it, bound it, and keep its answer as evidence.

Invariant: `take` never raises an error of Poolkeeper's tree, and ends within its limit also against a frozen server.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from poolkeeper.core import errors
from poolkeeper.model.probe import Failure, FailureKind, Reading
from poolkeeper.model.verdict import Evidence
from poolkeeper.system import postgres

T = TypeVar("T")
SomeReading = Reading[Any] | None

_LONGEST = 160  # characters of a server's message in a summary; the evidence has the full text
# What psycopg and libpq put around a message when a session fails to open.
_WRAPPING = re.compile(r"^\S+@\S+: |connection failed: |connection to server at .*? failed: | Is the server running.*$")

# A session that fails to open has no SQLSTATE in libpq; these texts of PostgreSQL 17 and Pgpool-II 4.6 identify it.
_OPENING = (
    ("password authentication failed", "28P01"),
    ("authentication failed", "28000"),
    ("no pg_hba.conf entry", "28000"),
    ("pool_passwd file does not contain", "28000"),
    ('" does not exist', "3D000"),
    ("permission denied for database", "28000"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("not yet accepting connections", "57P03"),
    ("not accepting connections", "57P03"),
    ("too many clients", "53300"),
    ("too many connections", "53300"),
    ("remaining connection slots", "53300"),
)


async def take(where: str, ran: str, limit: float, work: Awaitable[T], show: Callable[[T], str] = str) -> Reading[T]:
    """Return the answer of `work` as a reading.

    `limit` is in seconds; `show` turns the answer into text.
    """
    began = time.perf_counter()
    value: T | None = None
    failure: Failure | None = None
    try:
        async with asyncio.timeout(limit):
            value = await work
    except TimeoutError:
        failure = Failure(FailureKind.UNREACHABLE, "", f"no answer within {limit:g} s")
    except errors.PoolkeeperError as e:
        failure = failure_of(e)
    seconds = time.perf_counter() - began
    returned = describe(failure) if failure or value is None else show(value)
    return Reading(Evidence(where, " ".join(ran.split()), returned, seconds), value, failure)


def failure_of(error: errors.PoolkeeperError) -> Failure:
    """Return an adapter's error as a failure of one of the suite's kinds."""
    if not isinstance(error, errors.ServerRefused):
        return Failure(FailureKind.UNREACHABLE, "", error.message)
    if error.code == postgres.AMBIGUOUS:
        return Failure(FailureKind.AMBIGUOUS, error.code, error.message)
    return Failure(FailureKind.REFUSED, _code_of(error), error.message)


def _code_of(error: errors.ServerRefused) -> str:
    if error.code != "08004":
        return error.code
    return next((code for text, code in _OPENING if text in error.message), error.code)


def describe(failure: Failure | None) -> str:
    """Return a failure as the text of an evidence; "" for none."""
    if failure is None:
        return ""
    return f"{failure.kind} {failure.code}: {failure.text}" if failure.code else f"{failure.kind}: {failure.text}"


def reason(reading: SomeReading) -> str:
    """Return in a few words why a reading has no value; "" if it has one."""
    if reading is None:
        return "it was not tried"
    return brief(reading.failure) if reading.failure else ""


def brief(failure: Failure) -> str:
    """Return a failure in a few words, with its code."""
    text = _WRAPPING.sub("", failure.text).strip()
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"{short} ({failure.code})" if failure.code not in ("", "08004") else short


def listed(names: Iterable[str]) -> str:
    """Return names as "a", "a and b" or "a, b and c"; there must be one."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
