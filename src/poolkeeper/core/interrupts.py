"""Block signals for a while, run a thread to its end, run asyncio so that SIGTERM and SIGHUP act as Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def signals_blocked() -> Iterator[None]:
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


def exit_on_sigterm() -> None:
    """Make SIGTERM end the program by SystemExit (exit code 143), so that cleanup code runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
