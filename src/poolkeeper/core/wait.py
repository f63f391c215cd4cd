"""Waiting for a condition, with a deadline that says at its end what it last saw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from poolkeeper.core import errors

PAUSE = 0.1  # seconds between two looks that cost little


async def wait_for(
    what: str, look: Callable[[], Awaitable[str | None]], *, seconds: float, pause: float = PAUSE
) -> None:
    """Look until `look` returns None; otherwise it returns what is still missing. Raises DeadlinePassed with that."""
    deadline = time.monotonic() + seconds
    while (missing := await look()) is not None:
        if time.monotonic() > deadline:
            raise errors.DeadlinePassed(f"{what} did not happen within {seconds:g} s; last seen: {missing}")
        await asyncio.sleep(pause)
