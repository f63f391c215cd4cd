"""Many runs of chaos, one after the other, and what they come to: values only.

Invariant: the outcome is never better than that of any sitting; one that did not take place leaves it unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poolkeeper.model import verdict
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.report.chaos_model import HEAL_SECONDS, ChaosRun, Passage


@dataclass(frozen=True)
class CampaignTally:
    """A scenario over all its turns. Seconds; None where nothing is known."""

    scenario: str
    promise: str
    turns: int
    outcome: Outcome
    longest_heal: float | None
    longest_pause: float | None  # of the read-write endpoint


@dataclass(frozen=True)
class Campaign:
    """The sittings that took place. `planned` is how many were to; `problem` is why there are fewer."""

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
        """The merged one of all sittings."""
        missing = [Outcome.UNKNOWN] if self.planned > len(self.runs) else []
        return verdict.merge([*(run.outcome for run in self.runs), *missing])

    @property
    def passages(self) -> tuple[Passage, ...]:
        """Every turn of every sitting."""
        return tuple(passage for run in self.runs for passage in run.passages)

    @property
    def operations(self) -> int:
        """That clients began."""
        return sum(share.ok + share.fail + share.info for run in self.runs for share in run.shares)

    @property
    def acknowledged(self) -> int:
        """Operations of which the server said so."""
        return sum(share.ok for run in self.runs for share in run.shares)

    @property
    def writes(self) -> int:
        """Acknowledged operations that change something."""
        return sum(share.writes for run in self.runs for share in run.shares)

    @property
    def faults(self) -> int:
        """That were injected."""
        return sum(run.injected for run in self.runs)

    @property
    def lost(self) -> int:
        """Acknowledged writes that the end did not show."""
        return sum(run.lost for run in self.runs)

    @property
    def anomalies(self) -> int:
        """Of all checkers, those of the state after it all included."""
        return sum(judgement.count for run in self.runs for judgement in run.judgements)

    @property
    def unhealed(self) -> int:
        """Turns after which the cluster was not whole in time, or never."""
        begun = (passage for passage in self.passages if passage.began is not None)
        return sum(passage.heal_seconds is None or passage.heal_seconds > HEAL_SECONDS for passage in begun)

    @property
    def tallies(self) -> tuple[CampaignTally, ...]:
        """Each scenario that had a turn which began, in the order of their names."""
        return tuple(self._tallies())

    def _tallies(self) -> Iterator[CampaignTally]:
        begun = [passage for passage in self.passages if passage.began is not None]
        for name in sorted({passage.scenario for passage in begun}):
            own = [passage for passage in begun if passage.scenario == name]
            heals = [passage.heal_seconds for passage in own if passage.heal_seconds is not None]
            pauses = [passage.pauses["rw"] for passage in own if passage.pauses and "rw" in passage.pauses]
            worst = verdict.merge(passage.outcome for passage in own)
            yield CampaignTally(
                name, own[0].promise, len(own), worst, max(heals, default=None), max(pauses, default=None)
            )
