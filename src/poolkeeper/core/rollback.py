"""Steps that are done completely or not at all: when one fails, the completed steps are rolled back, the last first.

Invariant: a step is rolled back if it was done or may have been done. Ctrl-C starts the rollback and does not stop it.
Not promised: a rollback after SIGKILL or the loss of the machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from poolkeeper.core import errors, interrupts
from poolkeeper.core.progress import Progress

Reverse = Callable[[], Awaitable[None]]
# Classes of SQLSTATE after which a commit may stand: a wait for the quorum that ended, a lost or ended session.
_MAYBE_DONE = ("01", "08", "57", "58", "XX")


class Rollback:
    """The completed steps, each with the call that reverses it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._done: list[tuple[str, Reverse]] = []

    @contextmanager
    def step(self, what: str, reverse: Reverse) -> Iterator[None]:
        """Do a step of one server call at most. It counts as done unless the server certainly refused it."""
        try:
            with self.progress.step(what):
                yield
        except errors.ServerRefused as e:
            if e.code[:2] in _MAYBE_DONE:
                self._done.append((what, reverse))
            raise
        except BaseException:
            self._done.append((what, reverse))
            raise
        self._done.append((what, reverse))

    async def roll_back(self) -> list[str]:
        """Roll every step back, the last first. Return a line for each step with its result."""
        lines = []
        while self._done:
            what, reverse = self._done.pop()
            try:
                await reverse()
                lines.append(f"rolled back: {what}")
            except errors.PoolkeeperError as e:
                lines.append("\n".join(filter(None, [f"NOT rolled back: {what}: {e.message}", e.detail])))
        return lines or ["nothing was changed"]


@asynccontextmanager
async def all_or_nothing(progress: Progress) -> AsyncIterator[Rollback]:
    """Do all steps, or none. On an error, its detail lists the result of each rollback."""
    rollback = Rollback(progress)
    try:
        yield rollback
    except BaseException as e:
        with interrupts.signals_blocked():
            lines = await rollback.roll_back()
        if isinstance(e, errors.PoolkeeperError):
            e.detail = "\n".join(filter(None, [e.detail, *lines]))
        else:
            for line in lines:
                progress.note(line)
        raise
