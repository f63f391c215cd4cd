"""Wait for a condition, with a deadline whose error says what was last seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from poolkeeper.core import errors

T = TypeVar("T")
PAUSE = 0.1  # seconds between two checks that cost little


class NotYet(Exception):
    """Raised by a check: the condition does not hold yet. Its text says what is missing."""


def require(missing: str | None) -> None:
    """Raise NotYet with this text, unless it is None: for pure functions that name what is missing."""
    if missing is not None:
        raise NotYet(missing)


async def wait_for(what: str, check: Callable[[], Awaitable[T]], *, seconds: float, pause: float = PAUSE) -> T:
    """Call `check` until it returns instead of raising NotYet, and return what it returned.

    `what` names the condition; `seconds` is the deadline and `pause` the time between two checks.

    Raises:
        DeadlinePassed: with the last NotYet's text. Any other error of `check` passes through at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await check()
        except NotYet as e:
            if time.monotonic() > deadline:
                raise errors.DeadlinePassed(f"{what} did not happen within {seconds:g} s; last seen: {e}") from e
        await asyncio.sleep(pause)


async def wait_until(
    what: str, look: Callable[[], Awaitable[str | None]], *, seconds: float, pause: float = PAUSE
) -> None:
    """To be replaced by wait_for: `look` returns what is missing, or None."""

    async def check() -> None:
        require(await look())

    await wait_for(what, check, seconds=seconds, pause=pause)
