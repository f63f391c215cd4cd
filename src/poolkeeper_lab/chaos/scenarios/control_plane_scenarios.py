"""Those who decide die or stand still: etcd and keeper."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import PROCESS_RECOVERS, WITHIN_LEASE, Scenario, of_drill, paused
from poolkeeper_lab.faults.fault_target import FaultTarget

SCENARIOS = (
    Scenario(
        "kill_etcd_leader",
        "The death of the leader of etcd must not move the primary's role",
        (of_drill("kill_etcd_leader"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_etcd_leader",
        "A leader of etcd that stands still must not stop anyone from writing for good",
        (paused(FaultTarget.ETCD_LEADER),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
    Scenario(
        "kill_keeper",
        "The death of keeper must not change what any client sees",
        (of_drill("kill_keeper"),),
        recovers=PROCESS_RECOVERS,
    ),
    Scenario(
        "freeze_keeper",
        "A keeper that thaws must not act on what it knew before",
        (paused(FaultTarget.KEEPER),),
        WITHIN_LEASE,
        PROCESS_RECOVERS,
    ),
)
