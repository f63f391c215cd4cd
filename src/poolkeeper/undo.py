"""Doing several things whole or not at all: what was done is taken back, the last first, when something fails.

Invariant: a step is taken back if it was done or may have been done; Ctrl-C begins the way back and does not stop it.
Not promised: to survive SIGKILL or the loss of the machine.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from poolkeeper import errors
from poolkeeper.model.progress import Progress

T = TypeVar("T")
Back = Callable[[], Awaitable[None]]
# Classes of SQLSTATE after which a commit may stand: a wait for the quorum that ended, a lost or ended session.
_MAYBE_DONE = ("01", "08", "57", "58", "XX")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Undo:
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
async def all_or_nothing(progress: Progress) -> AsyncIterator[Undo]:
    """All steps, or none. The error that ended them tells in its detail what became of each."""
    undo = Undo(progress)
    try:
        yield undo
    except BaseException as e:
        with deaf():
            lines = await undo.roll_back()
        if isinstance(e, errors.PoolkeeperError):
            e.detail = "\n".join(filter(None, [e.detail, *lines]))
        else:
            for line in lines:
                progress.note(line)
        raise


@contextmanager
def deaf() -> Iterator[None]:
    """Ctrl-C and its like are not heard inside, neither here nor by the programs started here."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """`asyncio.to_thread`, but never left behind: a call that was begun has ended before a cancellation goes on."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    interrupted: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as e:
            interrupted = e
    if interrupted:
        running.exception()  # looked at, so that asyncio does not complain of it
        raise interrupted
    return running.result()


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in which SIGTERM and SIGHUP are as good as Ctrl-C.

    Ctrl-C itself is made to count too: a shell starts a program in the background with SIGINT ignored, and asyncio
    leaves that as it is, so that no signal at all would end the work in order.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return asyncio.run(work)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
