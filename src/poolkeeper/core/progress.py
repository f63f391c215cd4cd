"""How long work tells a person where it is: steps with a duration, and notes. The command line implements it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """Where progress goes."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """A step that takes a while; its duration is shown when it ends."""

    def note(self, text: str) -> None:
        """A line of its own."""


class Silent:
    """Progress of work inside a step of something else, which says nothing of it."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Not shown."""
        del title
        return nullcontext()

    def note(self, text: str) -> None:
        """Not shown."""
