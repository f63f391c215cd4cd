"""Waits: at least one check, an end as soon as the condition holds, and the last observation in the error."""

from __future__ import annotations

import asyncio
import time

import pytest

from poolkeeper.core import errors, wait


class Answers:
    """A check that gives these answers in turn and repeats the last one; None means that the condition holds."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = answers
        self.given: list[str | None] = []

    async def check(self) -> int:
        self.given.append(self.answers[min(len(self.given), len(self.answers) - 1)])
        wait.require(self.given[-1])
        return len(self.given)


def test_one_check_is_made_even_without_time() -> None:
    answers = Answers(None)
    assert asyncio.run(wait.wait_for("x", answers.check, seconds=0)) == 1
    assert answers.given == [None]


def test_the_wait_ends_as_soon_as_the_condition_holds_and_returns_its_value() -> None:
    answers = Answers("not yet", "nearly", None)
    begin = time.monotonic()
    assert asyncio.run(wait.wait_for("x", answers.check, seconds=60)) == 3
    assert answers.given == ["not yet", "nearly", None]
    assert 2 * wait.PAUSE <= time.monotonic() - begin < 30


def test_the_deadline_names_the_last_observation() -> None:
    """The message has the condition, the time and the last answer; the error may be retried."""
    answers = Answers("first", "second")
    with pytest.raises(
        errors.DeadlinePassed, match=r"^the thing did not happen within 0\.15 s; last seen: second$"
    ) as caught:
        asyncio.run(wait.wait_for("the thing", answers.check, seconds=0.15))
    assert caught.value.retryable


def test_another_error_of_the_check_ends_the_wait() -> None:
    """A container that died does not return during a wait."""

    async def check() -> None:
        raise errors.ContainerDied("gone")

    with pytest.raises(errors.ContainerDied):
        asyncio.run(wait.wait_for("x", check, seconds=60))


def test_require_passes_without_a_missing_part() -> None:
    wait.require(None)
    with pytest.raises(wait.NotYet, match="a primary"):
        wait.require("a primary")
