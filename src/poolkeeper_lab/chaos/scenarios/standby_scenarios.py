"""A standby dies, is frozen or cut off."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import (
    BOTH_WAYS,
    NODE,
    SHORT,
    WITHIN_LEASE,
    cut,
    killed,
    of_drill,
    paused,
    row,
    step,
)
from poolkeeper_lab.chaos.scenarios.targets import STANDBY
from poolkeeper_lab.faults import containers, processes

# Ruff would give each argument a line of its own.
# fmt: off
SCENARIOS = (
    row("kill_standby", of_drill("kill_standby"), SHORT, NODE,
        "The death of a standby must cost no write, and no session may read back in time"),
    row("kill_standby_postmaster", killed("a standby's postmaster", STANDBY, processes.postmaster), SHORT, NODE,
        "A standby whose server crashes must come back with the same rows"),
    row("stop_standby", step("docker stop of a standby's container", STANDBY, containers.StopContainer), SHORT, NODE,
        "A standby that is stopped cleanly must cost no write"),
    row("freeze_standby", paused(STANDBY), WITHIN_LEASE, NODE,
        "A frozen standby must not hold back a commit permanently, and must show nothing too old when it thaws"),
    row("drop_packets_of_standby", cut(STANDBY, BOTH_WAYS, "every packet to and from a standby's container is dropped"),
        WITHIN_LEASE, NODE,
        "A standby that is cut off must not hold back a commit permanently, and must catch up when it is back"),
)
# fmt: on
