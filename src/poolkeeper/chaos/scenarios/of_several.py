"""Two faults, the second while the first is being recovered from, and all at once."""

from __future__ import annotations

from poolkeeper.chaos.scenarios.scenario import ALL_RECOVER, Scenario, act, of_drill
from poolkeeper.faults import containers
from poolkeeper.faults.target import Target

SCENARIOS = (
    Scenario(
        "primary_and_then_its_successor",
        "A second failover while the first is being recovered from must lose no acknowledged write",
        (of_drill("kill_node"), of_drill("kill_postmaster")),
    ),
    Scenario(
        "standby_and_then_primary",
        "A primary that crashes while a standby comes back must be replaced by one that has everything",
        (of_drill("kill_standby"), of_drill("kill_postmaster")),
    ),
    Scenario(
        "keeper_and_then_primary",
        "A primary that crashes while keeper starts must be replaced all the same",
        (of_drill("kill_keeper"), of_drill("kill_postmaster")),
    ),
    Scenario(
        "etcd_leader_and_then_primary",
        "A primary that crashes while etcd is short of a member must be replaced all the same",
        (of_drill("kill_etcd_leader"), of_drill("kill_postmaster")),
    ),
    Scenario(
        "kill_everything",
        "A loss of power must lose nothing that was acknowledged, and the cluster must come back by itself",
        (act("docker kill of every container at once", Target.EVERYTHING, containers.KillEverything),),
        recovers=ALL_RECOVER,
    ),
)
