"""Several faults as one: broken one after the other, as fast as it goes, and healed together.

Invariant: each of them is healed, whatever the others do; the first failure is told when all had their turn. Those
that were not reached by an injection that failed are healed all the same, which a fault allows at any time.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper import errors
from poolkeeper.faults.fault import Fault


class Several(Fault):
    """Faults of several victims, which last for the same time."""

    def __init__(self, parts: Sequence[Fault]) -> None:
        super().__init__(parts[0].ground, ", ".join(part.victim for part in parts))
        self._parts = tuple(parts)

    def __str__(self) -> str:
        return "; ".join(map(str, self._parts))

    def available(self) -> str:
        return next((reason for part in self._parts if (reason := part.available())), "")

    def aim(self) -> None:
        for part in self._parts:
            part.aim()

    def inject(self) -> None:
        for part in self._parts:
            part.inject()

    def heal(self) -> None:
        failures = []
        for part in self._parts:
            try:
                part.heal()
            except errors.PoolkeeperError as e:
                failures.append(f"{part}: {e.message}")
        if failures:
            raise errors.EngineFailed("; ".join(failures))
