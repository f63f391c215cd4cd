"""Waiting: looks at least once, ends as soon as it may, and says at its end what it last saw."""

from __future__ import annotations

import asyncio
import time

import pytest

from poolkeeper.core import errors, wait


def _looks(*answers: str | None) -> tuple[list[str | None], wait.Callable[[], wait.Awaitable[str | None]]]:
    """A condition that answers in turn, and goes on with its last answer; and what it answered."""
    given: list[str | None] = []

    async def look() -> str | None:
        given.append(answers[min(len(given), len(answers) - 1)])
        return given[-1]

    return given, look


def test_it_looks_once_even_without_time() -> None:
    """A condition that holds needs no time."""
    given, look = _looks(None)
    asyncio.run(wait.wait_until("x", look, seconds=0))
    assert given == [None]


def test_it_ends_as_soon_as_the_condition_holds() -> None:
    """Not a pause longer than it must."""
    given, look = _looks("not yet", "nearly", None)
    begin = time.monotonic()
    asyncio.run(wait.wait_until("x", look, seconds=60))
    assert given == ["not yet", "nearly", None]
    assert 2 * wait.PAUSE <= time.monotonic() - begin < 30


def test_the_deadline_says_what_was_last_seen() -> None:
    """What did not happen, in which time, and the last look's words; it may be tried again."""
    _, look = _looks("first", "second")
    with pytest.raises(
        errors.DeadlinePassed, match=r"^the thing did not happen within 0\.15 s; last seen: second$"
    ) as e:
        asyncio.run(wait.wait_until("the thing", look, seconds=0.15))
    assert e.value.retryable


def test_an_error_of_the_look_is_not_waited_out() -> None:
    """A container that died does not come back by waiting."""

    async def look() -> str | None:
        raise errors.ContainerDied("gone")

    with pytest.raises(errors.ContainerDied):
        asyncio.run(wait.wait_until("x", look, seconds=60))
