"""The faults that are injected now, and their healing in every case.

Invariant: a fault is noted before it is injected and healed when its block ends: normally, by an error, or by Ctrl-C,
which cannot stop the healing. A failed healing is reported and does not prevent the others.
Not promised: to survive SIGKILL; `sweep.sweep` and `poolkeeper up` repair what such an end left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from poolkeeper.core import errors, interrupts
from poolkeeper_lab.faults.fault import Fault


class Healing:
    """The faults that are open, and the failed healings."""

    def __init__(self) -> None:
        self._open: list[Fault] = []
        self.failures: list[str] = []

    @property
    def open(self) -> tuple[Fault, ...]:
        """The faults that are injected, or may be."""
        return tuple(self._open)

    @asynccontextmanager
    async def broken(self, fault: Fault) -> AsyncIterator[None]:
        """Run a block with the injection and everything after it; the fault is healed at its end, if not before."""
        self._open.append(fault)
        try:
            yield
        finally:
            with interrupts.signals_blocked():
                await self.heal(fault)

    async def heal(self, fault: Fault) -> bool:
        """Heal a fault now, once, and return whether it is healed. A failure is added to `failures`."""
        if fault not in self._open:
            return True
        self._open.remove(fault)
        try:
            await interrupts.in_thread(fault.heal)
        except errors.PoolkeeperError as e:
            self.failures.append(f"NOT healed: {fault}: {e.message}")
            return False
        return True
