"""Links that are slow or lossy, of one component or between two.

Invariant: no component is cut off; a packet that takes longer, or has to be sent again, arrives in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.scenarios.scenario import NOTHING, SHORT, ScenarioStep, row
from poolkeeper_lab.chaos.scenarios.targets import ETCD_LEADER, HAPROXY, PRIMARY, RW_ENDPOINT
from poolkeeper_lab.faults import links, packets, peers
from poolkeeper_lab.faults.fault_target import FaultTarget

MODEM, LINE = 64, 256  # kbit/s: too little for the WAL of a run, and too little for its answers
LOST = 0.2


def _slow(target: FaultTarget, kbit: int, of: peers.Peers | None = None, to: str = "all others") -> ScenarioStep:
    sentence = f"traffic from {target} to {to} is limited to {kbit} kbit/s"
    return ScenarioStep(sentence, target, lambda host, victim, _: links.SlowLink(host, victim, kbit, of))


def _lossy(
    target: FaultTarget, share: float, of: peers.Peers | Sequence[str] = (), to: str = "all others"
) -> ScenarioStep:
    sentence = f"loss of {share:.0%} of the packets between {target} and {to}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.LosePackets(host, victim, share, of))


def _late(target: FaultTarget, milliseconds: int, jitter: int) -> ScenarioStep:
    sentence = f"packets from {target} are delayed by {milliseconds} ms ± {jitter} ms"
    return ScenarioStep(
        sentence, target, lambda host, victim, _: links.DelayPackets(host, victim, milliseconds, jitter)
    )


SCENARIOS = (
    row("slow_primary", _slow(PRIMARY, LINE), SHORT, NOTHING)
    >> "A primary whose link is slow must acknowledge late and lose nothing",
    row("slow_replication", _slow(PRIMARY, MODEM, peers.nodes, "the other nodes"), SHORT, NOTHING)
    >> "A primary whose WAL arrives late at every standby must acknowledge no sooner",
    row("slow_replication_to_one", _slow(PRIMARY, MODEM, peers.next_node, "one standby"), SHORT, NOTHING)
    >> "A standby that falls behind must hold back no commit, and no session may read back in time",
    row("slow_etcd_leader", _slow(ETCD_LEADER, MODEM), SHORT, NOTHING)
    >> "A leader of etcd whose link is slow must not move the primary's role",
    row("slow_primary_to_etcd", _slow(PRIMARY, MODEM, peers.etcd, "etcd"), SHORT, NOTHING)
    >> "A primary whose requests reach etcd late must keep its role",
    row("slow_haproxy", _slow(HAPROXY, LINE), SHORT, NOTHING)
    >> "An HAProxy whose link is slow must execute no statement twice and lose no answer that it gave",
    row("slow_pgpool", _slow(RW_ENDPOINT, LINE), SHORT, NOTHING)
    >> "A read-write endpoint's Pgpool-II whose link is slow must execute no statement twice",
    row("lossy_primary", _lossy(PRIMARY, LOST), SHORT, NOTHING)
    >> "A primary that loses packets must keep its role, or hand over all that it had acknowledged",
    row("lossy_replication", _lossy(PRIMARY, LOST, peers.nodes, "the other nodes"), SHORT, NOTHING)
    >> "A primary whose WAL is lost on the way and sent again must acknowledge nothing that did not arrive",
    row("lossy_etcd_leader", _lossy(ETCD_LEADER, LOST), SHORT, NOTHING)
    >> "A leader of etcd that loses packets must not move the primary's role",
    row("lossy_haproxy", _lossy(HAPROXY, LOST), SHORT, NOTHING)
    >> "An HAProxy that loses packets must execute no statement twice",
    row("late_primary", _late(PRIMARY, 100, 50), SHORT, NOTHING)
    >> "A primary whose packets are late must keep its role, and acknowledge late",
)
