"""A standby dies or is silent."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import (
    BOTH_WAYS,
    WITHIN_LEASE,
    Scenario,
    act,
    cut,
    killed,
    of_drill,
    paused,
)
from poolkeeper_lab.faults import containers, processes
from poolkeeper_lab.faults.fault_target import FaultTarget

SCENARIOS = (
    Scenario(
        "kill_standby",
        "The death of a standby must cost no write, and no session may read back in time",
        (of_drill("kill_standby"),),
    ),
    Scenario(
        "kill_standby_postmaster",
        "A standby whose server crashes must come back with the same rows",
        (killed("a standby's postmaster", FaultTarget.STANDBY, processes.postmaster),),
    ),
    Scenario(
        "stop_standby",
        "A standby that is stopped in order must cost no write",
        (act("docker stop of a standby's container", FaultTarget.STANDBY, containers.StopContainer),),
    ),
    Scenario(
        "freeze_standby",
        "A frozen standby must not hold back a commit for good, and must show nothing too old when it thaws",
        (paused(FaultTarget.STANDBY),),
        WITHIN_LEASE,
    ),
    Scenario(
        "drop_packets_of_standby",
        "A standby that is cut off must not hold back a commit for good, and must catch up when it is back",
        (cut(FaultTarget.STANDBY, BOTH_WAYS, "every packet to and from a standby's container is dropped"),),
        WITHIN_LEASE,
    ),
)
