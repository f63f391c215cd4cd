"""Acts between two parties: a cut both ways or one way, a refusal, a reset.

Invariant: it is made in the network of the target; the sentence names the other party and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence

from poolkeeper_lab.chaos.scenarios.scenario import BOTH_WAYS, ScenarioStep
from poolkeeper_lab.faults import packets, peers
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.host import Host

SERVER_PORT = 5432
HEARS_NOT, IS_NOT_HEARD = ("INPUT",), ("OUTPUT",)


def cut(
    words: str, target: FaultTarget, of: peers.Peers, ways: Sequence[str] = BOTH_WAYS, ports: Sequence[int] = ()
) -> ScenarioStep:
    sentence = f"drop of every packet between {words}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.DropPackets(host, victim, of, ways, ports))


def refused(words: str, target: FaultTarget, of: peers.Peers) -> ScenarioStep:
    sentence = f"refusal of every packet between {words}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.RefusePackets(host, victim, of))


def reset(words: str, target: FaultTarget, of: peers.Peers, port: int) -> ScenarioStep:
    sentence = f"reset of every connection between {words}"

    def make(host: Host, victim: str, _: object) -> packets.ResetConnections:
        return packets.ResetConnections(host, victim, of, ports=(port,))

    return ScenarioStep(sentence, target, make)
