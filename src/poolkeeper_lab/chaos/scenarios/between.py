"""Steps between two components: a cut in both directions or in one, a refusal, a reset.

Invariant: the fault is in the network of the target; the sentence names the other component and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.scenarios.scenario import BOTH_WAYS, ScenarioStep
from poolkeeper_lab.faults import packets, peers
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.host import Host

SERVER = (5432,)
INCOMING, OUTGOING = ("INPUT",), ("OUTPUT",)


def cut(
    words: str, target: FaultTarget, of: peers.Peers, ways: Sequence[str] = BOTH_WAYS, ports: Sequence[int] = ()
) -> ScenarioStep:
    """Return a step that drops packets; `words` are "A and B", or "from A to B" for one direction."""
    sentence = f"drop of every packet {'between ' if ways == BOTH_WAYS else ''}{words}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.DropPackets(host, victim, of, ways, ports))


def refused(words: str, target: FaultTarget, of: peers.Peers) -> ScenarioStep:
    """Return a step that refuses every packet."""
    sentence = f"refusal of every packet between {words}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.RefusePackets(host, victim, of))


def reset(words: str, target: FaultTarget, of: peers.Peers, ports: Sequence[int]) -> ScenarioStep:
    """Return a step that resets every connection to or from a port."""
    sentence = f"reset of every connection between {words}"

    def make(host: Host, victim: str, _: object) -> packets.ResetConnections:
        return packets.ResetConnections(host, victim, of, ports=ports)

    return ScenarioStep(sentence, target, make)
