"""The primary dies, is silent, or hands its role over."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import BEYOND_LEASE, WITHIN_LEASE, Scenario, cut, frozen, of_drill
from poolkeeper_lab.faults import processes
from poolkeeper_lab.faults.fault_target import FaultTarget

SCENARIOS = (
    Scenario(
        "kill_postmaster",
        "A primary whose server crashes must be replaced without losing, doubling or inventing a write",
        (of_drill("kill_postmaster"),),
    ),
    Scenario(
        "kill_node",
        "A primary that dies as a whole must be replaced without losing what it had acknowledged",
        (of_drill("kill_node"),),
    ),
    Scenario(
        "stop_node",
        "A primary that is stopped in order must hand over all that it had acknowledged",
        (of_drill("stop_node"),),
    ),
    Scenario(
        "kill_patroni",
        "The death of the primary's Patroni must not change what any client sees",
        (of_drill("kill_patroni"),),
    ),
    Scenario(
        "switchover",
        "A switchover must move the role without a moment in which two nodes acknowledge writes",
        (of_drill("switchover"),),
    ),
    Scenario(
        "freeze_node",
        "A frozen primary that thaws after its successor took over must not acknowledge a write",
        (of_drill("freeze_node"),),
        BEYOND_LEASE,
    ),
    Scenario(
        "freeze_node_briefly",
        "A primary that thaws before its lease ends must go on as if nothing had been",
        (of_drill("freeze_node"),),
        WITHIN_LEASE,
    ),
    Scenario(
        "drop_packets_to",
        "A primary that is cut off must not acknowledge a write that its successor lacks",
        (of_drill("drop_packets_to"),),
        BEYOND_LEASE,
    ),
    Scenario(
        "drop_packets_into",
        "A primary that is heard but hears nothing must not acknowledge a write that its successor lacks",
        (
            cut(
                FaultTarget.PRIMARY,
                ("INPUT",),
                "every packet to the primary's container is dropped; what it sends arrives",
            ),
        ),
        BEYOND_LEASE,
    ),
    Scenario(
        "drop_packets_out_of",
        "A primary that hears but is not heard must not acknowledge a write that its successor lacks",
        (cut(FaultTarget.PRIMARY, ("OUTPUT",), "every packet from the primary's container is dropped; it hears all"),),
        BEYOND_LEASE,
    ),
    Scenario(
        "freeze_postmaster",
        "A primary that takes no new sessions for a while must lose nothing of the open ones",
        (frozen("the primary's postmaster", FaultTarget.PRIMARY, processes.postmaster),),
        WITHIN_LEASE,
    ),
    Scenario(
        "freeze_patroni",
        "A primary whose Patroni stands still beyond its lease must not acknowledge writes beside its successor",
        (frozen("the primary's Patroni", FaultTarget.PRIMARY, processes.patroni),),
        BEYOND_LEASE,
    ),
)
