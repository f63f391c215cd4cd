"""Many runs of chaos, one after the other, and their combined figures: values only.

Invariant: the outcome is never better than that of any session; one that did not take place leaves it unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper.model import verdict
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.history.final_state import HEAL_SECONDS
from poolkeeper_lab.chaos.report.chaos_model import ChaosRun, Passage


@dataclass(frozen=True)
class CampaignTally:
    """A scenario over all its iterations. Seconds; None if unknown."""

    scenario: str
    promise: str
    turns: int
    outcome: Outcome
    longest_heal: float | None
    longest_pause: float | None  # of the read-write endpoint


@dataclass(frozen=True)
class Campaign:
    """The sessions that took place. `planned` is their planned number; `problem` is why there are fewer."""

    cluster: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    seed: int
    replay: str
    planned: int
    runs: tuple[ChaosRun, ...]
    left_out: tuple[str, ...] = ()  # scenarios that cannot be run on this machine, each with the reason
    problem: str = ""

    @property
    def outcome(self) -> Outcome:
        """The merged outcome of all sessions."""
        missing = [Outcome.UNKNOWN] if self.planned > len(self.runs) else []
        return verdict.merge([*(run.outcome for run in self.runs), *missing])

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every iteration of every session."""
        return tuple(passage for run in self.runs for passage in run.passages)

    @property
    def operations(self) -> int:
        """Operations that clients began."""
        return sum(share.ok + share.fail + share.info for run in self.runs for share in run.shares)

    @property
    def acknowledged(self) -> int:
        """Operations that the server acknowledged."""
        return sum(share.ok for run in self.runs for share in run.shares)

    @property
    def writes(self) -> int:
        """Acknowledged operations that change something."""
        return sum(share.writes for run in self.runs for share in run.shares)

    @property
    def scenarios(self) -> int:
        """The scenarios that ran."""
        return len(self.tallies)

    @property
    def faults(self) -> int:
        """Injected faults."""
        return sum(run.injected for run in self.runs)

    @property
    def lost(self) -> int:
        """Acknowledged writes that were missing at the end."""
        return sum(run.lost for run in self.runs)

    @property
    def anomalies(self) -> int:
        """Anomalies of all checkers, those of the final state included."""
        return sum(verdict.count for run in self.runs for verdict in run.verdicts)

    @property
    def unhealed(self) -> int:
        """Iterations after which the cluster did not recover in time, or never."""
        begun = (passage for passage in self.passages if passage.began is not None)
        return sum(passage.heal_seconds is None or passage.heal_seconds > HEAL_SECONDS for passage in begun)

    @property
    def tallies(self) -> tuple[CampaignTally, ...]:
        """Each scenario with an iteration that began, in the order of the names."""
        return tuple(self._tallies())

    def _tallies(self) -> Iterator[CampaignTally]:
        begun = [passage for passage in self.passages if passage.began is not None]
        for name in sorted({passage.scenario for passage in begun}):
            own = [passage for passage in begun if passage.scenario == name]
            heals = [passage.heal_seconds for passage in own if passage.heal_seconds is not None]
            pauses = [passage.pauses[RW] for passage in own if passage.pauses and RW in passage.pauses]
            worst = verdict.merge(passage.outcome for passage in own)
            yield CampaignTally(
                name, own[0].promise, len(own), worst, max(heals, default=None), max(pauses, default=None)
            )
