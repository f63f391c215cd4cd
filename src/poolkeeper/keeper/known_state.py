"""The present state as the agent knows it. Its watchers and loops fill it; its decisions read it as one observed state.

Invariant: a watcher that lost its source reports that at once, so that nothing is decided on what was true before.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Memory
from poolkeeper.model.observed_state import ObservedState, Replayed
from poolkeeper.model.process_state import ProcessState
from poolkeeper.model.spec import ClusterSpec


@dataclass
class KnownState:
    """The latest observed state, the memory of the decisions, and the events that wake the loops.

    Read the observed state through `current`, which sets its time. `iterated_at` is when the route loop last finished
    an iteration, `drifting_since` since when an action has been open; both are monotonic seconds.
    """

    spec: ClusterSpec
    clock: Callable[[], float] = time.monotonic
    observed: ObservedState = field(default_factory=lambda: ObservedState(0.0))
    memory: Memory = field(default_factory=Memory)
    iterated_at: float = 0.0
    drifting_since: float | None = None
    wake_routes: asyncio.Event = field(default_factory=asyncio.Event)
    wake_pool: asyncio.Event = field(default_factory=asyncio.Event)
    wake_probe: asyncio.Event = field(default_factory=asyncio.Event)

    def current(self) -> ObservedState:
        """Return everything as it is known at this moment."""
        return replace(self.observed, at=self.clock())

    def refresh(self) -> tuple[ObservedState, Memory]:
        """Return the current observed state, and the memory brought up to it."""
        observed = self.current()
        self.memory = eligibility.remember(self.spec, observed, self.memory)
        return observed, self.memory

    def update(self, **parts: Any) -> None:
        """Replace parts of the observed state, named as its fields."""
        self.observed = replace(self.observed, **parts)

    def set_process(self, process: ProcessState) -> None:
        """Replace the state of one node's supervisor."""
        self.update(processes={**self.observed.processes, process.node: process})

    def set_silent(self, node: str, is_silent: bool) -> None:
        """Note that a node's Patroni does not answer, keeping the time of the first silence; or that it answers."""
        silent = dict(self.observed.silent)
        if is_silent:
            silent.setdefault(node, self.clock())
        else:
            silent.pop(node, None)
        self.update(silent=silent)

    def set_replayed(self, node: str, lsn: int | None) -> None:
        """Note the position that a standby has replayed now; None: it is not known any more."""
        replayed = {name: position for name, position in self.observed.replayed.items() if name != node}
        if lsn is not None:
            replayed[node] = Replayed(self.clock(), lsn)
        self.update(replayed=replayed)

    def drift_age(self, is_drifting: bool) -> float:
        """Return for how many seconds an action has been open without a break; 0 if none is."""
        if not is_drifting:
            self.drifting_since = None
        elif self.drifting_since is None:
            self.drifting_since = self.clock()
        return 0.0 if self.drifting_since is None else self.clock() - self.drifting_since

    def recheck_holder(self) -> None:
        """Require that the lease holder is seen to accept writes again: HAProxy's own check finds it down."""
        self.update(opened=None)
        self.wake_probe.set()

    def wake(self) -> None:
        """Start the next iteration of both loops, and the next probe, at once."""
        self.wake_routes.set()
        self.wake_pool.set()
        self.wake_probe.set()

    def address(self, service: str) -> str:
        """Return a service's address in the network."""
        return str(self.spec.addresses()[service])


async def wait_or_tick(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most `seconds`; return whether it came, and clear it."""
    try:
        async with asyncio.timeout(seconds):  # Python 3.11's wait_for can swallow a cancellation
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
