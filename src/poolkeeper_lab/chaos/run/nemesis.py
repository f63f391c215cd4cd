"""One scenario against the running cluster: its acts in order, their healing, and the cluster whole again.

Invariant: a fault is in the history before it is injected; its end is there only if it was injected and taken away, so
that a fault that failed leaves the verdict unknown. It is healed whatever happens, Ctrl-C included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field

from poolkeeper.cluster import snapshot
from poolkeeper.core import errors, interrupts, wait
from poolkeeper.decide import health
from poolkeeper_lab.chaos.history.history import Phase
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.report.chaos_model import HEAL_SECONDS
from poolkeeper_lab.chaos.run.chaos_schedule import ScheduledScenario
from poolkeeper_lab.chaos.scenarios.scenario import ScenarioStep
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.drill.drilled_cluster import DrilledCluster
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.healing import Healing

PRIMARY_SECONDS = 40.0  # between two acts: a lease and an election
Held = tuple[tuple[ScenarioStep, float], ...]  # acts to come, and for how many seconds each lasts


@dataclass
class PlayedScenario:
    """What came of a turn. Times are of the monotonic clock, None where it did not come so far."""

    turn: ScheduledScenario
    victims: list[str] = field(default_factory=list)
    began: float | None = None  # when the first act was injected
    healed: float | None = None  # when the last one was taken away
    whole: float | None = None  # when every witness said green again
    ended: float = 0.0
    is_unhealed: bool = False  # it was not whole in time
    problem: str = ""

    @property
    def heal_seconds(self) -> float | None:
        """From the end of the fault to a whole cluster; where it did not become whole, how long that was waited for."""
        end = self.ended if self.is_unhealed else self.whole
        return None if self.healed is None or end is None else end - self.healed


@dataclass
class Nemesis:
    """Who breaks things, and writes it down."""

    site: DrilledCluster
    recorder: Recorder
    healing: Healing
    identity: str  # of the cluster that may be broken

    async def play(self, played: PlayedScenario) -> None:
        """Play a turn; what happens is noted in it. What it began ends with a whole cluster, or with `is_unhealed`."""
        try:
            await self._try(played, self._acts(played))
            if played.began is not None:
                await self._try(played, self._become_whole(played))
        finally:
            played.ended = time.monotonic()

    async def _try(self, played: PlayedScenario, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except errors.PoolkeeperError as e:
            played.problem = "; ".join(filter(None, (played.problem, e.message)))
        except ProcessLookupError:
            played.problem = "the process that was to be met had just ended"

    async def _acts(self, played: PlayedScenario) -> None:
        await asyncio.sleep(played.turn.phase * self.site.spec.patroni.loop_wait)  # a moment of Patroni's round
        acts = tuple(zip(played.turn.scenario.steps, played.turn.holds, strict=True))
        if played.turn.scenario.overlaps:
            await self._act(played, *acts[0], acts[1:])
        else:
            for act, hold in acts:
                await self._act(played, act, hold)

    async def _act(self, played: PlayedScenario, act: ScenarioStep, hold: float, inside: Held = ()) -> None:
        """One act; those of `inside` are played, one in the other, when it has lasted for its time."""
        primary = await self._primary()
        await workload_tables.require_identity(self.site.cluster, primary, self.identity)
        victims = await self._victims(act, primary, played)
        victim = ", ".join(victims)
        fault = act.fault(self.site.host, victims, self.site.switchover(primary, keeper=True))
        if reason := fault.available():
            raise errors.PermissionRefused(f"not run: {reason}")
        await interrupts.in_thread(fault.aim)
        played.victims.append(victim)
        self.recorder.nemesis(played.turn.scenario.name, victim, Phase.BEGIN, act.sentence)
        await self._break(played, fault, hold, inside)

    async def _break(self, played: PlayedScenario, fault: Fault, hold: float, inside: Held) -> None:
        failures, victim, is_injected = len(self.healing.failures), played.victims[-1], False
        try:
            async with self.healing.broken(fault):
                played.began = played.began or time.monotonic()
                await interrupts.in_thread(fault.inject)
                is_injected = True
                await asyncio.sleep(hold)  # a fault lasts a while: that is the experiment
                if inside:
                    await self._act(played, *inside[0], inside[1:])
        finally:
            played.healed = time.monotonic()
            if is_injected and len(self.healing.failures) == failures:
                self.recorder.nemesis(played.turn.scenario.name, victim, Phase.END)
        if failed := self.healing.failures[failures:]:
            raise errors.EngineFailed("; ".join(failed))

    async def _become_whole(self, played: PlayedScenario) -> None:
        try:
            await self.site.wait_healthy(HEAL_SECONDS)
            played.whole = time.monotonic()
        except errors.DeadlinePassed:
            played.is_unhealed = True
            raise

    async def _victims(self, act: ScenarioStep, primary: str, played: PlayedScenario) -> tuple[str, ...]:
        """Whom an act meets: of two standbys never the one that an act before has just broken."""
        if act.target is not FaultTarget.STANDBY:
            return await self.site.find_all(act.target, primary, played.turn.pick)
        count = len(self.site.spec.nodes)
        found = [await self.site.find_all(act.target, primary, played.turn.pick + shift) for shift in range(count)]
        return next((names for names in found if not set(names) & set(played.victims)), found[0])

    async def _primary(self) -> str:
        """The primary's name. Raises DeadlinePassed where there is none for a long time."""
        found = ""

        async def look() -> str | None:
            nonlocal found
            found = health.assess(self.site.spec, await snapshot.take_snapshot(self.site.cluster)).primary or ""
            return None if found else "no primary"

        await wait.wait_until("a primary", look, seconds=PRIMARY_SECONDS)
        return found
