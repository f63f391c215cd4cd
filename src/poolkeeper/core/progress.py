"""Progress reports of long work: steps with a duration, and notes. The command line implements them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Progress(Protocol):
    """The receiver of progress reports."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Report a step; its duration is shown when it ends."""

    def note(self, text: str) -> None:
        """Report a line of text."""


class Silent:
    """Progress that is not shown: the work is part of a step that is reported already."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Show nothing."""
        del title
        return nullcontext()

    def note(self, text: str) -> None:
        """Show nothing."""
