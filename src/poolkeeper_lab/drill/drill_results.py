"""The results of a drill: a round, the rounds of a fault, and their figures beside the goals. Pure.

Invariant: a round that failed or did not run is among the results with its problem, and a goal that was not reached is
"missed"; a goal without a figure is neither met nor missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from poolkeeper_lab.drill.goals import BEYOND, RATIO, DrillGoal, GoalResult, Spread, spread
from poolkeeper_lab.drill.ledger import LedgerVerdict
from poolkeeper_lab.drill.split import Split


@dataclass(frozen=True)
class EndpointGap:
    """An endpoint's longest gap around the fault, in seconds: over both clients, and by client."""

    seconds: float
    begin: float  # seconds after the fault; negative before it
    by_client: Mapping[str, float] = field(default_factory=dict)
    is_open: bool = False

    @property
    def end(self) -> float:
        """The end of the gap, in seconds after the fault."""
        return self.begin + self.seconds


@dataclass(frozen=True)
class DrillRound:
    """One injection of a fault. All times in seconds; `problem` is why the round is incomplete, else ""."""

    fault: str
    number: int
    keeper: bool
    victim: str = ""
    problem: str = ""
    write: EndpointGap | None = None
    read: EndpointGap | None = None
    verdict: LedgerVerdict | None = None
    read_errors: Mapping[str, int] = field(default_factory=dict)
    beyond_reconnect: int = 0
    split: Split | None = None
    healed: float | None = None  # after the fault
    back: float | None = None  # until the victim was back: since the healing if that had to be first, else since 0
    rate: tuple[tuple[float, int], ...] = ()  # (seconds after the fault, writes acknowledged in that tenth of a second)

    @property
    def is_sound(self) -> bool:
        """Whether the round ran to its end, healed, and lost nothing."""
        return not self.problem and self.verdict is not None and self.verdict.is_sound


@dataclass(frozen=True)
class Series:
    """All rounds of a fault, those of the baseline (keeper off) among them."""

    fault: str
    sentence: str
    rounds: tuple[DrillRound, ...]
    goals: tuple[DrillGoal, ...] = ()

    def of(self, keeper: bool) -> tuple[DrillRound, ...]:
        """Return the rounds with the keeper, or without."""
        return tuple(r for r in self.rounds if r.keeper is keeper)

    def writes(self, keeper: bool = True) -> Spread:
        """Return the write gaps at the read-write endpoint."""
        return spread(r.write.seconds for r in self.of(keeper) if r.write)

    def reads(self, keeper: bool = True) -> Spread:
        """Return the read gaps at the read-only endpoint."""
        return spread(r.read.seconds for r in self.of(keeper) if r.read)

    def backs(self, keeper: bool = True) -> Spread:
        """Return the times until the victim was back."""
        return spread(r.back for r in self.of(keeper))

    def total(self, what: str, keeper: bool | None = None) -> int:
        """Return the number of writes of one kind (a field of the verdict, as "lost") in all rounds."""
        rounds = self.rounds if keeper is None else self.of(keeper)
        values = [getattr(r.verdict, what) for r in rounds if r.verdict]
        return sum(value if isinstance(value, int) else len(value) for value in values)

    def errors(self, keeper: bool = True) -> dict[str, int]:
        """Return the count by error code, of writes and reads together."""
        counts: dict[str, int] = {}
        for r in self.of(keeper):
            for code, count in [*(r.verdict.errors.items() if r.verdict else ()), *r.read_errors.items()]:
                counts[code] = counts.get(code, 0) + count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def ratio(self) -> float | None:
        """Return the median write gap without the keeper, divided by the median with it."""
        kept, baseline = self.writes().p50, self.writes(keeper=False).p50
        return baseline / kept if kept and baseline is not None else None

    def median_round(self, keeper: bool = True) -> DrillRound | None:
        """Return the round whose write gap is the median."""
        middle = self.writes(keeper).p50
        return next((r for r in self.of(keeper) if r.write and r.write.seconds == middle), None)

    def figure(self, name: str) -> float | None:
        """Return a figure by its name: "write|read|back p50|p95|max", "× baseline", "errors beyond a reconnect"."""
        if name == RATIO:
            return self.ratio()
        if name == BEYOND:
            ran = [r.beyond_reconnect for r in self.of(True) if r.verdict]
            return sum(ran) if ran else None
        endpoint, _, statistic = name.partition(" ")
        by_endpoint = {"write": self.writes, "read": self.reads, "back": self.backs}
        value: float | None = getattr(by_endpoint[endpoint](), statistic)
        return value

    def reached(self) -> tuple[GoalResult, ...]:
        """Return every goal with its figure; a ratio only with a baseline."""
        has_baseline = bool(self.of(False))
        return tuple(GoalResult(g, self.figure(g.figure)) for g in self.goals if g.figure != RATIO or has_baseline)


@dataclass(frozen=True)
class Drill:
    """The results of a complete drill."""

    cluster: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    seed: int
    asked: int  # rounds of each fault
    series: tuple[Series, ...]

    @property
    def is_sound(self) -> bool:
        """Whether every round ran and healed, and no write was lost."""
        rounds = [r for series in self.series for r in series.rounds]
        return bool(rounds) and all(r.is_sound for r in rounds)

    @property
    def missed(self) -> tuple[tuple[str, GoalResult], ...]:
        """Fault and goal for each goal that was not met; a goal that was not measured is not met."""
        return tuple((s.fault, r) for s in self.series for r in s.reached() if r.is_met is not True)

    def problems(self) -> Sequence[DrillRound]:
        """Return the incomplete rounds."""
        return [r for series in self.series for r in series.rounds if r.problem]
