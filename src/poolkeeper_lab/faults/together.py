"""Several faults as one: each is injected while the ones before it still hold.

Invariant: they are healed in the reverse order, and one that cannot be healed does not keep the others from it. The
pause after a part is a part of the experiment: what is done meanwhile happens under the faults so far.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

from poolkeeper.core import errors
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

Parts = Sequence[tuple[Fault, float]]  # each fault, and the seconds for which only it and those before it hold


class Together(Fault):
    """The parts in their order."""

    sentence = "several faults at once around {}"

    def __init__(self, host: Host, victim: str, parts: Parts = ()) -> None:
        super().__init__(host, victim)
        self._given = tuple(parts)

    @cached_property
    def _parts(self) -> Parts:
        return self._given

    def available(self) -> str:
        return next((reason for part, _ in self._parts if (reason := part.available())), "")

    def aim(self) -> None:
        for part, _ in self._parts:
            part.aim()

    def inject(self) -> None:
        for part, seconds in self._parts:
            part.inject()
            time.sleep(seconds)

    def heal(self) -> None:
        failures = []
        for part, _ in reversed(self._parts):
            try:
                part.heal()
            except errors.PoolkeeperError as e:
                failures.append(f"{part}: {e.message}")
        if failures:
            raise errors.EngineFailed("; ".join(failures))
