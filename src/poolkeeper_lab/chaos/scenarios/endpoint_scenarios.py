"""The endpoints die or stand still: Pgpool-II and HAProxy."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import PROCESS_RECOVERS, WITHIN_LEASE, Scenario, killed, of_drill, paused
from poolkeeper_lab.faults import processes
from poolkeeper_lab.faults.fault_target import FaultTarget

SCENARIOS = (
    Scenario(
        "kill_pgpool",
        "The death of the read-write endpoint's Pgpool-II must not double a statement",
        (of_drill("kill_pgpool"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_pgpool_ro",
        "The death of the read-only endpoint's Pgpool-II must not let a write or an old read through",
        (killed("the first process of the read-only endpoint's Pgpool-II", FaultTarget.RO_ENDPOINT, processes.first),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_pgpool_balanced",
        "The death of the balanced endpoint's Pgpool-II must lose no write that it had passed on",
        (killed("the first process of the balanced endpoint's Pgpool-II", FaultTarget.POOL_ENDPOINT, processes.first),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_pgpool",
        "A statement that waits in a frozen Pgpool-II must take effect once or not at all",
        (paused(FaultTarget.RW_ENDPOINT),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_haproxy",
        "The death of HAProxy must cost no more than sessions",
        (of_drill("kill_haproxy"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_haproxy",
        "A statement that waits in a frozen HAProxy must take effect once or not at all",
        (paused(FaultTarget.HAPROXY),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
)
