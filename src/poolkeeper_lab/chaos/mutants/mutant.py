"""A mutant: the change, the scenarios that should expose it, and the anomalies that must catch it. Values only.

Invariant: a mutant is caught only by an anomaly that is named beforehand; another failure of the run is not enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from poolkeeper.model.endpoint_keys import RO
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.chaos.checkers.run_verdict import RunEvaluation
from poolkeeper_lab.chaos.history.history import History
from poolkeeper_lab.chaos.mutants.change import ClusterChange
from poolkeeper_lab.chaos.run.run_config import RunConfig
from poolkeeper_lab.chaos.scenarios.scenario import Scenario
from poolkeeper_lab.chaos.workloads import all_jobs
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob

LAST_SECONDS = 20.0  # the end of a run with a bug waits less: a cluster that does not recover may be the finding
PACE = 0.5  # of the usual pauses between two operations


@dataclass(frozen=True)
class Catch:
    """An anomaly of a checker that exposes the bug."""

    checker: str
    anomaly: str

    def __str__(self) -> str:
        return f"{self.checker}: {self.anomaly}"


@dataclass(frozen=True)
class Sighting:
    """The anomaly that exposed the bug, in the checker's words."""

    catch: Catch
    text: str


Detect = Callable[[History, RunEvaluation], Sighting | None]


def brisk(spec: ClusterSpec, is_bounded: bool) -> tuple[WorkloadJob, ...]:
    """Return the workloads of a run at twice the pace, with twice the readers at the read-only endpoint."""
    return tuple(replace(made, roles=_brisk(made.roles)) for made in all_jobs.made(spec, is_bounded))


def _brisk(roles: Sequence[ClientRole]) -> tuple[ClientRole, ...]:
    more = tuple(role for role in roles if role.endpoint == RO and not role.refuses_writes)
    return tuple(replace(role, pace=role.pace * PACE) for role in (*roles, *more))


BRISK = RunConfig(brisk, last_seconds=LAST_SECONDS)


@dataclass(frozen=True)
class Mutant:
    """An injected bug. `scenarios` run in turn; any of `catches` exposes it. `detect`, if given, replaces `catches`."""

    name: str
    sentence: str
    change: ClusterChange
    scenarios: tuple[Scenario, ...]
    catches: tuple[Catch, ...]
    config: RunConfig = BRISK
    detect: Detect | None = None

    def sighted(self, history: History, evaluated: RunEvaluation) -> Sighting | None:
        """Return the anomaly that exposes the bug in this run; None if there is none."""
        return self.detect(history, evaluated) if self.detect else sighted(self.catches, evaluated)


def sighted(catches: Sequence[Catch], evaluated: RunEvaluation) -> Sighting | None:
    """Return the first anomaly of a run that was named beforehand; None if there is none."""
    for catch in catches:
        for finding in evaluated.of(catch.checker):
            for anomaly in finding.anomalies:
                if anomaly.name == catch.anomaly:
                    return Sighting(catch, anomaly.text)
    return None
