"""Links that are slow or lossy, of one party or between two.

Invariant: nobody is cut off; what takes longer, or has to be sent again, arrives in the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.scenarios.scenario import NOTHING_RECOVERS, SHORT, Scenario, ScenarioStep
from poolkeeper_lab.faults import links, packets, peers
from poolkeeper_lab.faults.fault_target import FaultTarget

MODEM, LINE = 64, 256  # kbit/s: too little for the WAL of a run, and too little for its answers
LOST = 0.2


def _slow(target: FaultTarget, kbit: int, of: peers.Peers | None = None, whom: str = "everybody") -> ScenarioStep:
    sentence = f"what {target} sends to {whom} passes {kbit} kbit/s"
    return ScenarioStep(sentence, target, lambda host, victim, _: links.SlowLink(host, victim, kbit, of))


def _lossy(
    target: FaultTarget, share: float, of: peers.Peers | Sequence[str] = (), whom: str = "everybody"
) -> ScenarioStep:
    sentence = f"loss of {share:.0%} of the packets between {target} and {whom}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.LosePackets(host, victim, share, of))


def _late(target: FaultTarget, milliseconds: int, jitter: int) -> ScenarioStep:
    sentence = f"what {target} sends is late by {milliseconds} ms ± {jitter} ms"
    return ScenarioStep(
        sentence, target, lambda host, victim, _: links.DelayPackets(host, victim, milliseconds, jitter)
    )


SCENARIOS = (
    Scenario(
        "slow_primary",
        "A primary whose link is slow must acknowledge late and lose nothing",
        (_slow(FaultTarget.PRIMARY, LINE),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "slow_replication",
        "A primary whose WAL arrives late at every standby must acknowledge no sooner",
        (_slow(FaultTarget.PRIMARY, MODEM, peers.nodes, "the other nodes"),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "slow_replication_to_one",
        "A standby that falls behind must hold back no commit, and no session may read back in time",
        (_slow(FaultTarget.PRIMARY, MODEM, peers.next_node, "one standby"),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "slow_etcd_leader",
        "A leader of etcd whose link is slow must not move the primary's role",
        (_slow(FaultTarget.ETCD_LEADER, MODEM),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "slow_primary_to_etcd",
        "A primary whose word reaches etcd late must keep its role",
        (_slow(FaultTarget.PRIMARY, MODEM, peers.etcd, "etcd"),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "slow_haproxy",
        "An endpoint whose link is slow must double no statement and lose no answer that it gave",
        (_slow(FaultTarget.HAPROXY, LINE),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "slow_pgpool",
        "A read-write endpoint's Pgpool-II whose link is slow must double no statement",
        (_slow(FaultTarget.RW_ENDPOINT, LINE),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "lossy_primary",
        "A primary that loses packets must keep its role, or hand over all that it had acknowledged",
        (_lossy(FaultTarget.PRIMARY, LOST),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "lossy_replication",
        "A primary whose WAL is lost on the way and sent again must acknowledge nothing that did not arrive",
        (_lossy(FaultTarget.PRIMARY, LOST, peers.nodes, "the other nodes"),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "lossy_etcd_leader",
        "A leader of etcd that loses packets must not move the primary's role",
        (_lossy(FaultTarget.ETCD_LEADER, LOST),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "lossy_haproxy",
        "An endpoint that loses packets must double no statement",
        (_lossy(FaultTarget.HAPROXY, LOST),),
        SHORT,
        NOTHING_RECOVERS,
    ),
    Scenario(
        "late_primary",
        "A primary whose words are late must keep its role, and acknowledge late",
        (_late(FaultTarget.PRIMARY, 100, 50),),
        SHORT,
        NOTHING_RECOVERS,
    ),
)
