"""What a run is made with, where it is not made as usual: the self-test passes its broken parts in here.

Invariant: without it a run is what docs/guarantees.md speaks of. Values only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.workloads import all_jobs
from poolkeeper_lab.chaos.workloads.job import WorkloadJob

LAST_SECONDS = 120.0  # beyond what a turn is allowed: the final reads are worth the wait


@dataclass(frozen=True)
class RunConfig:
    """The workloads, who writes the history, and how long the end waits for a whole cluster, in seconds."""

    jobs: Callable[[ClusterSpec, bool], tuple[WorkloadJob, ...]] = all_jobs.made
    recorder: type[Recorder] = Recorder
    last_seconds: float = LAST_SECONDS
