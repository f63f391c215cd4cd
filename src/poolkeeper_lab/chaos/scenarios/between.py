"""Steps between two components: a cut in both directions or in one, a refusal, a reset.

Invariant: the fault is in the network of the target; the sentence names the other end and the direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolkeeper.render.etcd_config import PEER_PORT
from poolkeeper.render.patroni_config import REST_PORT
from poolkeeper_lab.chaos.scenarios.ends import End
from poolkeeper_lab.chaos.scenarios.scenario import BOTH_WAYS, INCOMING, ScenarioStep
from poolkeeper_lab.faults import packets
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.host import Host


@dataclass(frozen=True)
class PortTraffic:
    """The traffic of some ports, and its words for a sentence: none for the traffic of all ports."""

    words: str = ""
    ports: tuple[int, ...] = ()


EVERY_PORT = PortTraffic()
SERVER = PortTraffic(" of PostgreSQL", (5432,))
REST = PortTraffic(" of Patroni's REST API", (REST_PORT,))
PEER = PortTraffic(" of etcd's peer port", (PEER_PORT,))


def cut(target: FaultTarget, end: End, ways: Sequence[str] = BOTH_WAYS, of: PortTraffic = EVERY_PORT) -> ScenarioStep:
    """Return a step that drops every packet between the target and the other end, or those of one direction."""
    sentence = f"drop of every packet{of.words} {_route(target, end, ways)}"

    def make(host: Host, victim: str, _: object) -> packets.DropPackets:
        return packets.DropPackets(host, victim, end.services, ways, of.ports)

    return ScenarioStep(sentence, target, make)


def refused(target: FaultTarget, end: End) -> ScenarioStep:
    """Return a step that refuses every packet."""
    sentence = f"refusal of every packet {_route(target, end)}"
    return ScenarioStep(sentence, target, lambda host, victim, _: packets.RefusePackets(host, victim, end.services))


def reset(target: FaultTarget, end: End, of: PortTraffic) -> ScenarioStep:
    """Return a step that resets every connection to or from a port."""
    sentence = f"reset of every connection{of.words} {_route(target, end)}"

    def make(host: Host, victim: str, _: object) -> packets.ResetConnections:
        return packets.ResetConnections(host, victim, end.services, ports=of.ports)

    return ScenarioStep(sentence, target, make)


def _route(target: FaultTarget, end: End, ways: Sequence[str] = BOTH_WAYS) -> str:
    if ways == BOTH_WAYS:
        return f"between {target}{',' if ' and ' in target else ''} and {end.name}"
    return f"from {end.name} to {target}" if ways == INCOMING else f"from {target} to {end.name}"
