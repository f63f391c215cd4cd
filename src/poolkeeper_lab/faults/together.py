"""Several faults as one: each is injected while the ones before it still last.

Invariant: they are healed in the reverse order, and a failed healing does not prevent the others. The pause after a
part is a part of the experiment: the clients then work under the faults so far.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property

from typing_extensions import override

from poolkeeper.core import errors
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

Parts = Sequence[tuple[Fault, float]]  # each fault, and the seconds for which only it and those before it last


class Together(Fault):
    """The parts, injected in their order."""

    sentence = "several faults at once around {}"

    def __init__(self, host: Host, victim: str, parts: Parts = ()) -> None:
        super().__init__(host, victim)
        self._given = tuple(parts)

    @cached_property
    def _parts(self) -> Parts:
        return self._given

    @override
    def available(self) -> str:
        return next((reason for part, _ in self._parts if (reason := part.available())), "")

    @override
    def aim(self) -> None:
        for part, _ in self._parts:
            part.aim()

    @override
    def inject(self) -> None:
        for part, seconds in self._parts:
            part.inject()
            time.sleep(seconds)

    @override
    def heal(self) -> None:
        failures = []
        for part, _ in reversed(self._parts):
            try:
                part.heal()
            except errors.PoolkeeperError as e:
                failures.append(f"{part}: {e.message}")
        if failures:
            raise errors.EngineFailed("; ".join(failures))
