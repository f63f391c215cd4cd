"""The control plane, etcd and keeper, dies or is frozen."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import PROCESS, SHORT, WITHIN_LEASE, of_drill, paused, row
from poolkeeper_lab.chaos.scenarios.targets import ETCD_LEADER, KEEPER

SCENARIOS = (
    of_drill("kill_etcd_leader", SHORT, PROCESS) >> "The death of the leader of etcd must not move the primary's role",
    row("freeze_etcd_leader", paused(ETCD_LEADER), WITHIN_LEASE, PROCESS)
    >> "A frozen leader of etcd must not stop any client from writing permanently",
    of_drill("kill_keeper", SHORT, PROCESS) >> "The death of keeper must not change what any client sees",
    row("freeze_keeper", paused(KEEPER), WITHIN_LEASE, PROCESS) >> "A keeper that thaws must not use outdated state",
)
