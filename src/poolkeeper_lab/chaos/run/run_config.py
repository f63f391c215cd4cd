"""The replaceable parts of a run: the self-test injects its broken parts here.

Invariant: a run with the default is the run that docs/guarantees.md describes. Values only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.workloads import all_jobs
from poolkeeper_lab.chaos.workloads.job import WorkloadJob

LAST_SECONDS = 120.0  # more than a scenario's limit: the final reads are worth the wait


@dataclass(frozen=True)
class RunConfig:
    """The workloads, the recorder of the history, and how many seconds the end waits for a healthy cluster."""

    jobs: Callable[[ClusterSpec, bool], tuple[WorkloadJob, ...]] = all_jobs.made
    recorder: type[Recorder] = Recorder
    last_seconds: float = LAST_SECONDS
