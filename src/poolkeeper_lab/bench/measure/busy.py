"""A machine without an idle core: one process a core that does nothing but compute, at normal priority.

Invariant: no such process outlives the one that started it, however that one ended: each looks after its parent.
Run as a program with the parent's process id, this module is such a process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from poolkeeper.system import process

_STRETCH = 200_000  # turns between two looks at the parent: some 10 ms


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def compute(parent: int) -> None:
    """Compute until the parent is gone."""
    while os.getppid() == parent:
        for _ in range(_STRETCH):
            pass


@contextmanager
def every_core() -> Iterator[int]:
    """Every core is busy for the length of the block; how many they are."""
    with ExitStack() as stack:
        for _ in range(cores()):
            stack.enter_context(process.running([sys.executable, "-m", __name__, str(os.getpid())]))
        yield cores()


if __name__ == "__main__":
    compute(int(sys.argv[1]))
