"""Play one scenario against the running cluster: inject its steps in order, heal them, and wait for the recovery.

Invariant: the history has a fault's begin before its injection, and its end only if it was injected and healed, so a
fault that failed leaves the verdict unknown. Every fault is healed, also after an error or Ctrl-C.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors, interrupts, wait
from poolkeeper.decide import health
from poolkeeper_lab.chaos.history.final_state import HEAL_SECONDS
from poolkeeper_lab.chaos.history.history import Phase
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.run.chaos_schedule import ScheduledScenario
from poolkeeper_lab.chaos.scenarios.scenario import ScenarioStep
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.healing import Healing

PRIMARY_SECONDS = 40.0  # between two steps: a lease and an election
Held = tuple[tuple[ScenarioStep, float], ...]  # the next steps, and the seconds that each lasts


@dataclass
class PlayedScenario:
    """A scenario and its course. Times are of the monotonic clock, None for what did not happen."""

    scheduled: ScheduledScenario
    victims: list[str] = field(default_factory=list)
    began: float | None = None  # when the first step was injected
    healed: float | None = None  # when the last step was healed
    recovered: float | None = None  # when all health checks passed again
    ended: float = 0.0
    is_unhealed: bool = False  # the cluster did not recover in time
    problem: str = ""

    @property
    def heal_seconds(self) -> float | None:
        """The seconds from the end of the fault to the recovery, or to the end of the wait without one."""
        end = self.ended if self.is_unhealed else self.recovered
        return None if self.healed is None or end is None else end - self.healed


@dataclass
class Nemesis:
    """Injects the faults of scenarios, and records them."""

    site: DrilledCluster
    recorder: Recorder
    healing: Healing
    identity: str  # of the cluster that may be broken

    async def play(self, played: PlayedScenario) -> None:
        """Play a scenario and note its course in it. After a fault began, wait for recovery or set `is_unhealed`."""
        try:
            await self._try(played, self._steps(played))
            if played.began is not None:
                await self._try(played, self._recover(played))
        finally:
            played.ended = time.monotonic()

    async def _try(self, played: PlayedScenario, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except errors.PoolkeeperError as e:
            played.problem = "; ".join(filter(None, (played.problem, e.message)))
        except ProcessLookupError:
            played.problem = "the target process had just ended"

    async def _steps(self, played: PlayedScenario) -> None:
        scheduled = played.scheduled
        await asyncio.sleep(scheduled.phase * self.site.spec.patroni.loop_wait)  # a moment within Patroni's loop
        steps = tuple(zip(scheduled.scenario.steps, scheduled.holds, strict=True))
        if scheduled.scenario.overlaps:
            await self._step(played, *steps[0], steps[1:])
        else:
            for step, hold in steps:
                await self._step(played, step, hold)

    async def _step(self, played: PlayedScenario, step: ScenarioStep, hold: float, inside: Held = ()) -> None:
        """Play one step; after its time, play those of `inside`, one within the other, while it still lasts."""
        primary = await self._primary()
        await workload_tables.require_identity(self.site.cluster, primary, self.identity)
        victims = await self._victims(step, primary, played)
        victim = ", ".join(victims)
        fault = step.fault(self.site.host, victims, self.site.switchover(primary, keeper=True))
        if reason := fault.available():
            raise errors.PermissionRefused(f"not run: {reason}")
        await interrupts.in_thread(fault.aim)
        played.victims.append(victim)
        self.recorder.nemesis(played.scheduled.scenario.name, victim, Phase.BEGIN, step.sentence)
        await self._break(played, fault, hold, inside)

    async def _break(self, played: PlayedScenario, fault: Fault, hold: float, inside: Held) -> None:
        failures, victim, is_injected = len(self.healing.failures), played.victims[-1], False
        try:
            async with self.healing.broken(fault):
                played.began = played.began or time.monotonic()
                await interrupts.in_thread(fault.inject)
                is_injected = True
                await asyncio.sleep(hold)  # the length of the fault, not a wait for a condition
                if inside:
                    await self._step(played, *inside[0], inside[1:])
        finally:
            played.healed = time.monotonic()
            if is_injected and len(self.healing.failures) == failures:
                self.recorder.nemesis(played.scheduled.scenario.name, victim, Phase.END)
        if failed := self.healing.failures[failures:]:
            raise errors.EngineFailed("; ".join(failed))

    async def _recover(self, played: PlayedScenario) -> None:
        try:
            await self.site.wait_healthy(HEAL_SECONDS)
            played.recovered = time.monotonic()
        except errors.DeadlinePassed:
            played.is_unhealed = True
            raise

    async def _victims(self, step: ScenarioStep, primary: str, played: PlayedScenario) -> tuple[str, ...]:
        """Return the victims of a step: of two standbys, never the one that an earlier step broke."""
        pick = played.scheduled.pick
        if step.target is not FaultTarget.STANDBY:
            return await self.site.find_all(step.target, primary, pick)
        count = len(self.site.spec.nodes)
        found = [await self.site.find_all(step.target, primary, pick + shift) for shift in range(count)]
        return next((names for names in found if not set(names) & set(played.victims)), found[0])

    async def _primary(self) -> str:
        """Wait for a primary and return its name.

        Raises:
            DeadlinePassed: if there is none for PRIMARY_SECONDS.
        """

        async def check() -> str:
            found = health.assess(self.site.spec, await snapshot.take_snapshot(self.site.cluster)).primary
            if not found:
                raise wait.NotYet("no primary")
            return found

        return await wait.wait_for("a primary", check, seconds=PRIMARY_SECONDS)
