"""What a time under full load showed: the lease, the clients' account, the keeper's work. Pure.

Invariant: what could not be looked at counts against the cluster: without the stored rows nothing is sound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from poolkeeper_lab.bench.measure.figure import Figure
from poolkeeper_lab.drill.ledger import Gap, LedgerVerdict

LEASE, LOST, UNSOUND = "lease taken anew (false failovers)", "writes lost", "writes doubled or out of nowhere"
KEEPER_CPU, KEEPER_MEMORY = "keeper's CPU", "keeper's memory"
_KINDS = ("what", "state", "process")  # the detail that tells one event of a name from another


@dataclass(frozen=True)
class Holding:
    """Who has the lease, by the revision of its key, since when (monotonic seconds). No owner: nobody."""

    at: float
    owner: str | None
    revision: int

    def is_same(self, other: Holding) -> bool:
        """Is it one and the same lease?"""
        return (self.owner, self.revision) == (other.owner, other.revision)

    def __str__(self) -> str:
        return f"{self.owner or 'nobody'} (revision {self.revision})"


def changes(seen: Iterable[Holding]) -> list[tuple[Holding, Holding]]:
    """Every time that the lease became another one: what was before, and after. Patroni renews it without a change.

    A time without an owner is part of the change, unless it lasted to the end.
    """
    seen = list(seen)
    holders = [h for h in seen if h.owner is not None or h is seen[-1]]
    return [(before, after) for before, after in pairwise(holders) if not before.is_same(after)]


def work_by_kind(events: Iterable[Mapping[str, Any]], since: datetime) -> dict[str, int]:
    """The keeper's events from `since` on: name and kind → how many, the most frequent first."""
    of_now = (e for e in events if datetime.fromisoformat(str(e["at"])) >= since)
    return dict(Counter(_kind(event) for event in of_now).most_common())


def _kind(event: Mapping[str, Any]) -> str:
    details = [str(event[key]) for key in _KINDS if key in event]
    return " ".join([str(event["event"]), *details[:1]])


@dataclass(frozen=True)
class SoakResult:
    """All that was seen. `judgement` is None where the stored rows could not be read."""

    seconds: float
    cores: int
    holdings: tuple[Holding, ...]
    blind: int  # how often the watch of the lease broke; it begins with a reading, so a change meanwhile is seen
    write: Gap
    read: Gap
    judgement: LedgerVerdict | None
    load_average: tuple[float, float, float]
    keeper_cpu: float | None  # per cent of one core
    keeper_memory: float | None  # MB
    work: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """No false failover, and every acknowledged write is there, once."""
        return bool(self.holdings) and not changes(self.holdings) and bool(self.judgement and self.judgement.is_sound)

    def figures(self) -> list[Figure]:
        """The figures in the order in which they matter."""
        turned = changes(self.holdings)
        remark = "; ".join(f"{before} → {after}" for before, after in turned)
        return [
            Figure("minutes", self.seconds / 60, "min", remark=f"{self.cores} busy processes on {self.cores} cores"),
            Figure(LEASE, len(turned) if self.holdings else None, goal=0, remark=remark),
            Figure("the watch of the lease broke", self.blind),
            *self._account(),
            _gap("longest write gap", self.write),
            _gap("longest read gap", self.read),
            *(Figure(f"load average, {m} min", load) for m, load in zip((1, 5, 15), self.load_average, strict=True)),
            Figure(KEEPER_CPU, self.keeper_cpu, "% of a core"),
            Figure(KEEPER_MEMORY, self.keeper_memory, "MB"),
            *(Figure(f"keeper: {kind}", count) for kind, count in self.work.items()),
        ]

    def _account(self) -> list[Figure]:
        judged = self.judgement
        if judged is None:
            return [Figure(LOST, None, goal=0, remark="the stored rows could not be read")]
        codes = ", ".join(f"{code} × {count}" for code, count in judged.errors.items())
        return [
            Figure("writes acknowledged", judged.acknowledged),
            Figure(LOST, len(judged.lost), goal=0),
            Figure(UNSOUND, len(judged.duplicates) + len(judged.phantoms), goal=0),
            Figure("writes ambiguous", judged.ambiguous, remark=f"{judged.ambiguous_stored} of them are stored"),
            Figure("writes refused", judged.refused, remark=codes),
        ]


def _gap(name: str, gap: Gap) -> Figure:
    return Figure(name, gap.seconds, "s", remark="still open at the end" if gap.is_open else "")
