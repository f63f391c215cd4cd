"""Blocked signals, threads that run to their end, and asyncio with SIGTERM and SIGHUP as Ctrl-C."""

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
    """Ignore SIGINT, SIGTERM and SIGHUP inside, in this process and in the programs that it starts."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """Run a call in a thread and return its result. A cancellation takes effect only after the call has ended."""
    running = asyncio.ensure_future(asyncio.to_thread(call, *arguments))
    interrupted: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as e:
            interrupted = e
    if interrupted:
        running.exception()  # retrieved, so that asyncio does not warn about it
        raise interrupted
    return running.result()


@contextmanager
def signals_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C inside the block.

    SIGINT gets its handler as well: a shell starts a background program with SIGINT ignored, and asyncio keeps that.
    No signal would then end the work in order.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does, and treat SIGTERM and SIGHUP as Ctrl-C."""
    with signals_as_interrupt():
        return asyncio.run(work)


def exit_on_sigterm() -> None:
    """Make SIGTERM end the program by SystemExit (exit code 143), so that cleanup code runs."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
