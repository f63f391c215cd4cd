"""Waits for a condition, with a deadline whose error has the last observation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from poolkeeper.core import errors

T = TypeVar("T")
PAUSE = 0.1  # seconds between two checks that cost little


class NotYet(Exception):
    """The condition of a check does not hold yet. The text names what is missing."""


def require(missing: str | None) -> None:
    """Pass if `missing` is None. It is the result of a pure function that names what a condition lacks.

    Raises:
        NotYet: with the text of `missing`.
    """
    if missing is not None:
        raise NotYet(missing)


async def wait_for(what: str, check: Callable[[], Awaitable[T]], *, seconds: float, pause: float = PAUSE) -> T:
    """Call `check` until it returns instead of raising NotYet, and return what it returned.

    `what` names the condition; `seconds` is the deadline and `pause` the time between two checks.

    Raises:
        DeadlinePassed: with the text of the last NotYet. Any other error of `check` passes through at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await check()
        except NotYet as e:
            if time.monotonic() > deadline:
                raise errors.DeadlinePassed(f"{what} did not happen within {seconds:g} s; last seen: {e}") from e
        await asyncio.sleep(pause)
