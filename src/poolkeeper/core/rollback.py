"""Doing several things whole or not at all: what was done is taken back, the last first, when something fails.

Invariant: a step is taken back if it was done or may have been done; Ctrl-C begins the way back and does not stop it.
Not promised: to survive SIGKILL or the loss of the machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress

Back = Callable[[], Awaitable[None]]
# Classes of SQLSTATE after which a commit may stand: a wait for the quorum that ended, a lost or ended session.
_MAYBE_DONE = ("01", "08", "57", "58", "XX")


class Rollback:
    """The steps that were done, each with the way back."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._done: list[tuple[str, Back]] = []

    @contextmanager
    def step(self, what: str, back: Back) -> Iterator[None]:
        """Do a step of one server call at most. It counts as done unless the server refused it for certain."""
        try:
            with self.progress.step(what):
                yield
        except errors.ServerRefused as e:
            if e.code[:2] in _MAYBE_DONE:
                self._done.append((what, back))
            raise
        except BaseException:
            self._done.append((what, back))
            raise
        self._done.append((what, back))

    async def roll_back(self) -> list[str]:
        """Take every step back, the last first; what became of each, a line a step."""
        lines = []
        while self._done:
            what, back = self._done.pop()
            try:
                await back()
                lines.append(f"taken back: {what}")
            except errors.PoolkeeperError as e:
                lines.append("\n".join(filter(None, [f"NOT taken back: {what}: {e.message}", e.detail])))
        return lines or ["nothing was changed"]


@asynccontextmanager
async def all_or_nothing(progress: Progress) -> AsyncIterator[Rollback]:
    """All steps, or none. The error that ended them tells in its detail what became of each."""
    undo = Rollback(progress)
    try:
        yield undo
    except BaseException as e:
        with interrupts.signals_blocked():
            lines = await undo.roll_back()
        if isinstance(e, errors.PoolkeeperError):
            e.detail = "\n".join(filter(None, [e.detail, *lines]))
        else:
            for line in lines:
                progress.note(line)
        raise
