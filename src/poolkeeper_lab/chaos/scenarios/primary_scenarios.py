"""The primary dies, is frozen or cut off, or hands its role over."""

from __future__ import annotations

from poolkeeper_lab.chaos.scenarios.scenario import BEYOND_LEASE, NODE, SHORT, WITHIN_LEASE, cut, frozen, of_drill, row
from poolkeeper_lab.chaos.scenarios.targets import PRIMARY
from poolkeeper_lab.faults import processes

# Ruff would give each argument a line of its own.
# fmt: off
SCENARIOS = (
    row("kill_postmaster", of_drill("kill_postmaster"), SHORT, NODE,
        "A primary whose server crashes must be replaced without losing, duplicating or inventing a write"),
    row("kill_node", of_drill("kill_node"), SHORT, NODE,
        "A primary whose node dies must be replaced without losing what it had acknowledged"),
    row("stop_node", of_drill("stop_node"), SHORT, NODE,
        "A primary that is stopped cleanly must hand over all that it had acknowledged"),
    row("kill_patroni", of_drill("kill_patroni"), SHORT, NODE,
        "The death of the primary's Patroni must not change what any client sees"),
    row("switchover", of_drill("switchover"), SHORT, NODE,
        "A switchover must move the role without a moment in which two nodes acknowledge writes"),
    row("freeze_node", of_drill("freeze_node"), BEYOND_LEASE, NODE,
        "A frozen primary that thaws after its successor took over must not acknowledge a write"),
    row("freeze_node_briefly", of_drill("freeze_node"), WITHIN_LEASE, NODE,
        "A primary that thaws before its lease ends must continue as if nothing had happened"),
    row("drop_packets_to", of_drill("drop_packets_to"), BEYOND_LEASE, NODE,
        "A primary that is cut off must not acknowledge a write that its successor lacks"),
    row("drop_packets_into",
        cut(PRIMARY, ("INPUT",),
            "every packet to the primary's container is dropped; the packets that it sends arrive"), BEYOND_LEASE, NODE,
        "A primary that can send but not receive must not acknowledge a write that its successor lacks"),
    row("drop_packets_out_of",
        cut(PRIMARY, ("OUTPUT",), "every packet from the primary's container is dropped; it receives all packets"),
        BEYOND_LEASE, NODE,
        "A primary that can receive but not send must not acknowledge a write that its successor lacks"),
    row("freeze_postmaster", frozen("the primary's postmaster", PRIMARY, processes.postmaster), WITHIN_LEASE, NODE,
        "A primary that takes no new sessions for a while must lose nothing of the open ones"),
    row("freeze_patroni", frozen("the primary's Patroni", PRIMARY, processes.patroni), BEYOND_LEASE, NODE,
        "A primary whose Patroni is frozen beyond its lease must not acknowledge writes beside its successor"),
)
# fmt: on
