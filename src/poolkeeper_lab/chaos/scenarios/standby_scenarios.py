"""A standby dies, is frozen or cut off."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.process_groups import POSTMASTER
from poolkeeper_lab.chaos.scenarios.scenario import (
    WITHIN_LEASE,
    isolated,
    killed,
    of_drill,
    paused,
    row,
    step,
)
from poolkeeper_lab.chaos.scenarios.targets import STANDBY
from poolkeeper_lab.faults import containers

SCENARIOS = (
    of_drill("kill_standby") >> "The death of a standby must cost no write, and no session may read back in time",
    row("kill_standby_postmaster", killed(STANDBY, POSTMASTER))
    >> "A standby whose server crashes must come back with the same rows",
    row("stop_standby", step("docker stop of a standby's container", STANDBY, containers.StopContainer))
    >> "A standby that is stopped cleanly must cost no write",
    row("freeze_standby", paused(STANDBY), WITHIN_LEASE)
    >> "A frozen standby must not hold back a commit permanently, and must show nothing too old when it thaws",
    row("drop_packets_of_standby", isolated(STANDBY), WITHIN_LEASE)
    >> "A standby that is cut off must not hold back a commit permanently, and must catch up when it is back",
)
