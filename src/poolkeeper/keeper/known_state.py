"""What the agent knows now, filled by its senses and read as one scene.

Invariant: a sense that lost its source says so at once, so that nothing is decided on what was true before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Memory
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import (
    NOT_ASKED,
    NOT_READ,
    Contradiction,
    Lease,
    ObservedState,
    PoolNode,
    Replayed,
    Route,
    StoreView,
)
from poolkeeper.model.process_state import ProcessState
from poolkeeper.model.spec import ClusterSpec


@dataclass
class KnownState:
    """The latest of everything. `changed` wakes the loops; `turned` is when the loop last came round."""

    spec: ClusterSpec
    clock: Callable[[], float] = time.monotonic
    store: Seen[StoreView] = NOT_READ
    sights: dict[str, ProcessState] = field(default_factory=dict)
    pool: Seen[tuple[PoolNode, ...]] = NOT_ASKED
    routes: Seen[tuple[Route, ...]] = NOT_ASKED
    opened: Lease | None = None
    silent: dict[str, float] = field(default_factory=dict)
    replayed: dict[str, Replayed] = field(default_factory=dict)
    contradiction: Contradiction | None = None
    memory: Memory = field(default_factory=Memory)
    turned: float = 0.0
    drifting_since: float | None = None
    wake_routes: asyncio.Event = field(default_factory=asyncio.Event)
    wake_pool: asyncio.Event = field(default_factory=asyncio.Event)
    wake_probe: asyncio.Event = field(default_factory=asyncio.Event)

    def scene(self) -> ObservedState:
        """Everything as it is known at this moment."""
        known = (self.store, self.sights, self.pool, self.routes, self.opened, self.silent, self.replayed)
        return ObservedState(self.clock(), *known, self.contradiction)

    def look(self) -> tuple[ObservedState, Memory]:
        """The scene, and the memory brought up to it."""
        scene = self.scene()
        self.memory = eligibility.remember(self.spec, scene, self.memory)
        return scene, self.memory

    def drift_age(self, is_drifting: bool) -> float:
        """For how many seconds something has been open that should be otherwise; 0 if nothing is."""
        if not is_drifting:
            self.drifting_since = None
        elif self.drifting_since is None:
            self.drifting_since = self.clock()
        return 0.0 if self.drifting_since is None else self.clock() - self.drifting_since

    def doubt_holder(self) -> None:
        """HAProxy's own check finds the holder of the lease not fit: it must be seen to accept writes again."""
        self.opened = None
        self.wake_probe.set()

    def wake(self) -> None:
        """Something happened: look now."""
        self.wake_routes.set()
        self.wake_pool.set()
        self.wake_probe.set()

    def address(self, service: str) -> str:
        """A service's address in the network."""
        return str(self.spec.addresses()[service])


async def wait_or_tick(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so long; was it the event? It is cleared."""
    try:
        async with asyncio.timeout(seconds):  # Python 3.11's wait_for can swallow a cancellation
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
