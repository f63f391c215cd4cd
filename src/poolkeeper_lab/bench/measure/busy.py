"""A machine without an idle core: one process for each core that only computes, at normal priority.

Invariant: no such process outlives the one that started it, however that one ended: each checks for its parent.
As a program with the parent's process id as its argument, this module is such a process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from poolkeeper.system import process

_STRETCH = 200_000  # iterations between two checks for the parent: about 10 ms


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def compute(parent: int) -> None:
    """Compute until the parent has ended."""
    while os.getppid() == parent:
        for _ in range(_STRETCH):
            pass


@contextmanager
def every_core() -> Iterator[int]:
    """Keep every core busy for the length of the block, and yield the number of cores."""
    with ExitStack() as stack:
        for _ in range(cores()):
            stack.enter_context(process.running([sys.executable, "-m", __name__, str(os.getpid())]))
        yield cores()


if __name__ == "__main__":
    compute(int(sys.argv[1]))
