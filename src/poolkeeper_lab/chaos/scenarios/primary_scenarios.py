"""The primary dies, is frozen or cut off, or hands its role over."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.process_groups import PATRONI, POSTMASTER
from poolkeeper_lab.chaos.scenarios.scenario import (
    BEYOND_LEASE,
    INCOMING,
    OUTGOING,
    WITHIN_LEASE,
    drill,
    frozen,
    isolated,
    of_drill,
    row,
)
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY

SCENARIOS = (
    of_drill("kill_postmaster")
    >> "A primary whose server crashes must be replaced without losing, duplicating or inventing a write",
    of_drill("kill_node") >> "A primary whose node dies must be replaced without losing what it had acknowledged",
    of_drill("stop_node") >> "A primary that is stopped cleanly must hand over all that it had acknowledged",
    of_drill("kill_patroni") >> "The death of the primary's Patroni must not change what any client sees",
    of_drill("switchover") >> "A switchover must move the role without a moment in which two nodes acknowledge writes",
    of_drill("freeze_node", BEYOND_LEASE)
    >> "A frozen primary that thaws after its successor took over must not acknowledge a write",
    row("freeze_node_briefly", drill("freeze_node"), WITHIN_LEASE)
    >> "A primary that thaws before its lease ends must continue as if nothing had happened",
    of_drill("drop_packets_to", BEYOND_LEASE)
    >> "A primary that is cut off must not acknowledge a write that its successor lacks",
    row("drop_packets_into", isolated(PRIMARY, INCOMING), BEYOND_LEASE)
    >> "A primary that can send but not receive must not acknowledge a write that its successor lacks",
    row("drop_packets_out_of", isolated(PRIMARY, OUTGOING), BEYOND_LEASE)
    >> "A primary that can receive but not send must not acknowledge a write that its successor lacks",
    row("freeze_postmaster", frozen(PRIMARY, POSTMASTER), WITHIN_LEASE)
    >> "A primary that takes no new sessions for a while must lose nothing of the open ones",
    row("freeze_patroni", frozen(PRIMARY, PATRONI), BEYOND_LEASE)
    >> "A primary whose Patroni is frozen beyond its lease must not acknowledge writes beside its successor",
)
