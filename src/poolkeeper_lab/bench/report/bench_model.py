"""The results of a run of the bench: figures over rounds, goals, the machine. Values only, the same in JSON.

Invariant: a figure that was not measured has no estimate and gives the reason; a goal without a figure is neither met
nor missed.
JSON schema 1: the fields of these classes; fields are only ever added within a schema, and readers ignore unknown ones.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SCHEMA = 1
Better = Literal["more", "less", ""]  # which way a figure is better; "" for one that only describes


class Value(BaseModel):
    """Frozen; a field that it does not know is ignored, as a later release may have written it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(Value):
    """The median of `rounds` rounds and its bootstrap interval (95 %)."""

    median: float
    low: float
    high: float
    rounds: int


class Metric(Value):
    """A figure of one thing under one condition. `about` has the conditions in a table's order."""

    about: dict[str, str]  # as {"workload": "read-only", "clients": "16", "endpoint": "5100"}
    name: str  # as "throughput"
    unit: str = ""
    better: Better = ""
    group: str = ""  # the title of the table that it is shown in
    rounds: tuple[float, ...] = ()  # one value a kept round, in their order
    estimate: Estimate | None = None
    reason: str = ""  # why there is no estimate

    @property
    def subject(self) -> str:
        """Return what the figure describes, such as "read-only, 16, 5100"."""
        return ", ".join(self.about.values())

    @property
    def key(self) -> str:
        """Return the key of the figure, which is the same in every run."""
        return "; ".join([*(f"{name}={value}" for name, value in self.about.items()), self.name])


class BenchGoal(Value):
    """A limit, and the measurement to compare with it."""

    sentence: str  # as "5100 ÷ direct, read-only, 16 clients, simple"
    limit: float
    is_least: bool = True  # must the figure reach the limit, rather than stay within it?
    unit: str = ""
    estimate: Estimate | None = None
    reason: str = ""  # why there is no estimate, or a caveat for the reader

    @property
    def is_met(self) -> bool | None:
        """Return whether the median reaches the goal; None without a measurement."""
        if self.estimate is None:
            return None
        return self._within(self.estimate.median)

    @property
    def is_clear(self) -> bool:
        """True if both ends of the interval are on the same side of the limit."""
        return self.estimate is not None and self._within(self.estimate.low) == self._within(self.estimate.high)

    def _within(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    @property
    def word(self) -> str:
        """For people."""
        return {True: "met", False: "missed", None: "not measured"}[self.is_met]


class RoundTally(Value):
    """The rounds of a section: each is one case with all of its contenders."""

    asked: int = 0
    kept: int = 0
    discarded: int = 0  # under foreign load
    failed: int = 0  # in which a contender failed

    def plus(self, other: RoundTally) -> RoundTally:
        """Both together."""
        return RoundTally(
            asked=self.asked + other.asked,
            kept=self.kept + other.kept,
            discarded=self.discarded + other.discarded,
            failed=self.failed + other.failed,
        )


class BenchTable(Value):
    """Facts that are no figures over rounds, as they are shown."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ()


class BenchSection(Value):
    """One part of the bench."""

    name: str  # path, storm, scale, …
    title: str
    method: str  # how it was measured, for the reader of the figures
    seconds: float = 0.0
    tally: RoundTally = RoundTally()
    metrics: tuple[Metric, ...] = ()
    goals: tuple[BenchGoal, ...] = ()
    notes: tuple[str, ...] = ()  # omissions, failures and caveats for the reader
    charts: tuple[str, ...] = ()  # the names of the metrics that are drawn
    tables: tuple[BenchTable, ...] = ()  # shown after the figures


class BenchMachine(Value):
    """The machine of the run. `foreign`: the share that other processes used before the first round; None: unknown."""

    cpu: str
    cores: int
    memory_mb: int
    kernel: str
    foreign: float | None = None

    def is_like(self, other: BenchMachine) -> bool:
        """Return whether absolute figures of both machines can be compared."""
        return (self.cpu, self.cores) == (other.cpu, other.cores)


class BenchRun(Value):
    """A complete run of the bench."""

    schema_version: int = SCHEMA
    cluster: str
    command: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    seed: int
    machine: BenchMachine
    versions: dict[str, str]  # component → version
    settings: dict[str, str] = {}  # the declared settings, and a digest of each file that a container read
    sections: tuple[BenchSection, ...] = ()
    is_interrupted: bool = False

    @property
    def goals(self) -> tuple[BenchGoal, ...]:
        """Return the goals of all sections."""
        return tuple(goal for section in self.sections for goal in section.goals)

    @property
    def missed(self) -> tuple[BenchGoal, ...]:
        """Return the goals that were measured and are not reached."""
        return tuple(goal for goal in self.goals if goal.is_met is False)
