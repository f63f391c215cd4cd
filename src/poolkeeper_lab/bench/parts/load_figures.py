"""The figures of a period under full load: the lease, the clients' writes and reads, the keeper's work. Pure.

Invariant: a missing observation counts against the cluster: without the stored rows, the result is not sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from poolkeeper_lab.bench.measure.figure import BenchFigure
from poolkeeper_lab.drill.ledger import Gap, LedgerVerdict

LEASE, LOST, UNSOUND = "changes of the lease (false failovers)", "writes lost", "writes doubled or out of nowhere"
KEEPER_CPU, KEEPER_MEMORY = "keeper's CPU", "keeper's memory"
_KINDS = ("what", "state", "process")  # the detail that distinguishes events of one name


@dataclass(frozen=True)
class Holding:
    """The owner of the lease since `at` (monotonic seconds), with its key's revision; None is no owner."""

    at: float
    owner: str | None
    revision: int

    def is_same(self, other: Holding) -> bool:
        """Return whether both are the same lease."""
        return (self.owner, self.revision) == (other.owner, other.revision)

    def __str__(self) -> str:
        return f"{self.owner or 'no owner'} (revision {self.revision})"


def changes(seen: Iterable[Holding]) -> list[tuple[Holding, Holding]]:
    """Return every change of the lease, with its state before and after. A renewal by Patroni is not a change.

    A period without an owner is part of the change, unless it lasted until the end.
    """
    seen = list(seen)
    holders = [h for h in seen if h.owner is not None or h is seen[-1]]
    return [(before, after) for before, after in pairwise(holders) if not before.is_same(after)]


def work_by_kind(events: Iterable[Mapping[str, Any]], since: datetime) -> dict[str, int]:
    """Count the keeper's events from `since` on by name and kind, the most frequent first."""
    of_now = (e for e in events if datetime.fromisoformat(str(e["at"])) >= since)
    return dict(Counter(_kind(event) for event in of_now).most_common())


def _kind(event: Mapping[str, Any]) -> str:
    details = [str(event[key]) for key in _KINDS if key in event]
    return " ".join([str(event["event"]), *details[:1]])


@dataclass(frozen=True)
class FullLoadResult:
    """All observations. `verdict` is None if the stored rows could not be read."""

    seconds: float
    cores: int
    holdings: tuple[Holding, ...]
    blind: int  # how often the watch of the lease broke; each watch begins with a reading, so it notices a change
    write: Gap
    read: Gap
    verdict: LedgerVerdict | None
    load_average: tuple[float, float, float]
    keeper_cpu: float | None  # per cent of one core
    keeper_memory: float | None  # MB
    work: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether there was no false failover, and every acknowledged write is stored exactly once."""
        return bool(self.holdings) and not changes(self.holdings) and bool(self.verdict and self.verdict.is_sound)

    def figures(self) -> list[BenchFigure]:
        """Return the figures, the most important first."""
        changed = changes(self.holdings)
        remark = "; ".join(f"{before} → {after}" for before, after in changed)
        return [
            BenchFigure(
                "minutes", self.seconds / 60, "min", remark=f"{self.cores} busy processes on {self.cores} cores"
            ),
            BenchFigure(LEASE, len(changed) if self.holdings else None, goal=0, remark=remark),
            BenchFigure("the watch of the lease broke", self.blind),
            *self._writes(),
            _gap("longest write gap", self.write),
            _gap("longest read gap", self.read),
            *(
                BenchFigure(f"load average, {m} min", load)
                for m, load in zip((1, 5, 15), self.load_average, strict=True)
            ),
            BenchFigure(KEEPER_CPU, self.keeper_cpu, "% of a core"),
            BenchFigure(KEEPER_MEMORY, self.keeper_memory, "MB"),
            *(BenchFigure(f"keeper: {kind}", count) for kind, count in self.work.items()),
        ]

    def _writes(self) -> list[BenchFigure]:
        verdict = self.verdict
        if verdict is None:
            return [BenchFigure(LOST, None, goal=0, remark="the stored rows could not be read")]
        codes = ", ".join(f"{code} × {count}" for code, count in verdict.errors.items())
        return [
            BenchFigure("writes acknowledged", verdict.acknowledged),
            BenchFigure(LOST, len(verdict.lost), goal=0),
            BenchFigure(UNSOUND, len(verdict.duplicates) + len(verdict.phantoms), goal=0),
            BenchFigure("writes ambiguous", verdict.ambiguous, remark=f"{verdict.ambiguous_stored} of them are stored"),
            BenchFigure("writes refused", verdict.refused, remark=codes),
        ]


def _gap(name: str, gap: Gap) -> BenchFigure:
    return BenchFigure(name, gap.seconds, "s", remark="still open at the end" if gap.is_open else "")
