"""A run of chaos as it is reported: values only, in words and figures that every format shares.

Invariant: times are seconds after the run's first line; None is an event that did not happen. `outcome` is never better
than that of any part. A passage passes if nothing bad is known of its time: the findings over the complete run are the
verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poolkeeper.model.verdict import Outcome


@dataclass(frozen=True)
class Shown:
    """An anomaly with the operations that show it, a line each."""

    name: str
    text: str
    operations: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunVerdict:
    """The finding of one checker. `anomalies` are the first ones; `count` is how many there are."""

    checker: str
    workload: str
    outcome: Outcome
    summary: str
    count: int = 0
    anomalies: tuple[Shown, ...] = ()
    unknowns: tuple[str, ...] = ()
    permitted: str = ""  # an anomaly that the declared level allows


@dataclass(frozen=True)
class Passage:
    """An iteration of a scenario. `began`, `healed`, `recovered`: the fault, its end, and all checks passed again."""

    number: int
    scenario: str
    promise: str
    faults: tuple[str, ...]
    victims: tuple[str, ...]
    outcome: Outcome
    problem: str = ""
    began: float | None = None
    healed: float | None = None
    recovered: float | None = None
    completions: Mapping[str, int] | None = None  # of the operations that were invoked in its time
    pauses: Mapping[str, float] | None = None  # endpoint → the longest time without an acknowledgement, in its time

    @property
    def heal_seconds(self) -> float | None:
        """Seconds from the end of the fault to a recovered cluster."""
        return None if self.healed is None or self.recovered is None else self.recovered - self.healed


@dataclass(frozen=True)
class ScenarioShare:
    """A workload's operations by the answer that its clients received; `codes` of those that were not acknowledged."""

    workload: str
    ok: int
    fail: int
    info: int
    codes: Mapping[str, int]
    writes: int = 0  # of those that were acknowledged


@dataclass(frozen=True)
class Pause:
    """The longest time without an acknowledgement at an endpoint."""

    endpoint: str
    seconds: float
    is_open: bool


@dataclass(frozen=True)
class ChaosRun:
    """A run."""

    cluster: str
    started_at: str  # ISO 8601, UTC
    seconds: float
    seed: int
    outcome: Outcome
    replay: str  # the command that plans the same run
    history: str  # the recorded file
    passages: tuple[Passage, ...] = ()
    left_out: tuple[str, ...] = ()  # scenarios that were wanted, and for which there was no time
    verdicts: tuple[RunVerdict, ...] = ()
    shares: tuple[ScenarioShare, ...] = ()
    pauses: tuple[Pause, ...] = ()
    rate: tuple[tuple[float, int], ...] = ()  # (second, operations acknowledged in it)
    latency: tuple[tuple[float, float, float], ...] = ()  # (second, median, longest) of those, in milliseconds
    injected: int = 0  # faults
    lost: int = 0  # acknowledged writes that the end did not show
    problems: tuple[str, ...] = ()
    is_interrupted: bool = False
