"""What a drill found: a round, the rounds of a fault, their figures beside the goals. Pure.

Invariant: a round that failed or was not run is among the results with its problem, and a goal that was not reached is
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
        """When it ended, in seconds after the fault."""
        return self.begin + self.seconds


@dataclass(frozen=True)
class DrillRound:
    """One fault, injected once. All times in seconds; `problem` is why the round is not whole, "" if it is."""

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
    back: float | None = (
        None  # until the victim was whole again: since `healed` where that had to be first, else since 0
    )
    rate: tuple[tuple[float, int], ...] = ()  # (seconds after the fault, writes acknowledged in that tenth of a second)

    @property
    def is_sound(self) -> bool:
        """Did it run to its end, heal, and lose nothing?"""
        return not self.problem and self.verdict is not None and self.verdict.is_sound


@dataclass(frozen=True)
class Series:
    """All rounds of a fault, those of the baseline (keeper off) among them."""

    fault: str
    sentence: str
    rounds: tuple[DrillRound, ...]
    goals: tuple[DrillGoal, ...] = ()

    def of(self, keeper: bool) -> tuple[DrillRound, ...]:
        """The rounds with the keeper, or without."""
        return tuple(r for r in self.rounds if r.keeper is keeper)

    def writes(self, keeper: bool = True) -> Spread:
        """Write gaps at the read-write endpoint."""
        return spread(r.write.seconds for r in self.of(keeper) if r.write)

    def reads(self, keeper: bool = True) -> Spread:
        """Read gaps at the read-only endpoint."""
        return spread(r.read.seconds for r in self.of(keeper) if r.read)

    def backs(self, keeper: bool = True) -> Spread:
        """Time until the victim was back."""
        return spread(r.back for r in self.of(keeper))

    def total(self, what: str, keeper: bool | None = None) -> int:
        """How many writes were lost, duplicates, phantoms, stale, acknowledged, refused or ambiguous in all rounds."""
        rounds = self.rounds if keeper is None else self.of(keeper)
        values = [getattr(r.verdict, what) for r in rounds if r.verdict]
        return sum(value if isinstance(value, int) else len(value) for value in values)

    def errors(self, keeper: bool = True) -> dict[str, int]:
        """Code → count, of writes and reads together."""
        counts: dict[str, int] = {}
        for r in self.of(keeper):
            for code, count in [*(r.verdict.errors.items() if r.verdict else ()), *r.read_errors.items()]:
                counts[code] = counts.get(code, 0) + count
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def ratio(self) -> float | None:
        """Median write gap without the keeper over the median with it."""
        mine, other = self.writes().p50, self.writes(keeper=False).p50
        return other / mine if mine and other is not None else None

    def median_round(self, keeper: bool = True) -> DrillRound | None:
        """The round whose write gap is the median."""
        middle = self.writes(keeper).p50
        return next((r for r in self.of(keeper) if r.write and r.write.seconds == middle), None)

    def figure(self, name: str) -> float | None:
        """A figure by its name: "write|read|back p50|p95|max", "× baseline", "errors beyond a reconnect"."""
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
        """Every goal with its figure; of a ratio only where there is a baseline."""
        has_baseline = bool(self.of(False))
        return tuple(GoalResult(g, self.figure(g.figure)) for g in self.goals if g.figure != RATIO or has_baseline)


@dataclass(frozen=True)
class Drill:
    """A whole run."""

    cluster: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    seed: int
    asked: int  # rounds of each fault
    series: tuple[Series, ...]

    @property
    def is_sound(self) -> bool:
        """Did every round run and heal, and was nothing lost?"""
        rounds = [r for series in self.series for r in series.rounds]
        return bool(rounds) and all(r.is_sound for r in rounds)

    @property
    def missed(self) -> tuple[tuple[str, GoalResult], ...]:
        """Fault and goal of each that was not met; one that was not measured is not met."""
        return tuple((s.fault, r) for s in self.series for r in s.reached() if r.is_met is not True)

    def problems(self) -> Sequence[DrillRound]:
        """The rounds that are not whole."""
        return [r for series in self.series for r in series.rounds if r.problem]
