"""Packets that never arrive: rules of the host's iptables in the network namespace of one container.

Invariant: every rule has our mark and is only in that namespace. Healing therefore removes exactly our rules, and the
end of the container removes them as well. Loopback is never affected. Needs root on this machine; the container gets no
additional right. A cut applies to addresses of the cluster's network: packets from the host through a published port
have none of these.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from typing_extensions import override

from poolkeeper.core import errors
from poolkeeper.system import process
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.peers import Peers, unmet

MARK = "poolkeeper-fault"  # the comment of each of our rules
BOTH_WAYS = ("INPUT", "OUTPUT")


class DropPackets(Fault):
    """Packets to or from a container are dropped silently, in its own network namespace.

    `peers` are addresses that it is cut off from (none: all), or a function that returns services. `ways` are the
    directions, so a cut may be of one direction only. `ports` limits it to TCP from or to these ports, on either side.
    """

    what = "drop of every packet"
    verdict: tuple[str, ...] = ("-j", "DROP")

    def __init__(
        self,
        host: Host,
        victim: str,
        peers: Peers | Sequence[str] = (),
        ways: Sequence[str] = BOTH_WAYS,
        ports: Sequence[int] = (),
    ) -> None:
        super().__init__(host, victim)
        self._peers = peers
        self._ways = tuple(ways)
        self._ports = tuple(ports)
        direction = "to and from" if len(self._ways) > 1 else "to" if "INPUT" in self._ways else "from"
        of_ports = f" of TCP port {' or '.join(map(str, ports))}" if ports else ""
        of_peers = ", between it and some others" if peers else ""
        self.sentence = f"{self.what} {direction} {{}}{of_peers}{of_ports}, by iptables in its network namespace"

    @override
    def available(self) -> str:
        return lacking()

    @override
    def unmet(self) -> str:
        spec = self.host.cluster.spec
        others = self._peers(spec, self.victim) if callable(self._peers) else self._peers
        return unmet(spec, self.victim, others, self._ports)

    @override
    def aim(self) -> None:
        super().aim()
        if not self._addresses():
            raise errors.ClusterNotUp(f"no service is left that {self.victim} could be cut off from")

    @override
    def inject(self) -> None:
        for rule in self._rules():
            self._filter("-I", *rule)

    @override
    def heal(self) -> None:
        if not self.start_if_down():  # otherwise the rules went with the namespace
            sweep_rules(self.host, self.victim)

    def _addresses(self) -> Sequence[str]:
        if not callable(self._peers):
            return self._peers or ("",)
        spec = self.host.cluster.spec
        return [str(spec.addresses()[peer]) for peer in self._peers(spec, self.victim)]

    def _rules(self) -> Iterator[tuple[str, ...]]:
        ports = ("-p", "tcp", "-m", "multiport", "--ports", ",".join(map(str, self._ports))) if self._ports else ()
        for way in self._ways:
            side, peer = (("!", "-i", "lo"), "-s") if way == "INPUT" else (("!", "-o", "lo"), "-d")
            addresses = ",".join(self._addresses())  # iptables makes a rule of each
            of_peers = (peer, addresses) if addresses else ()
            yield (way, *side, *of_peers, *ports, "-m", "comment", "--comment", MARK, *self.verdict)

    def _filter(self, *words: str) -> None:
        done = self.host.in_network(self.victim, "iptables", "-w", *words)
        if not done.ok:
            raise errors.EngineFailed(f"iptables in {self.victim}'s network ended with {done.code}", detail=done.output)


class RefusePackets(DropPackets):
    """Packets are refused with an answer: the sender receives at once that the port is unreachable (ICMP)."""

    what = "refusal, with an answer by ICMP, of every packet"
    verdict = ("-j", "REJECT", "--reject-with", "icmp-port-unreachable")


class ResetConnections(DropPackets):
    """TCP packets get a reset, so that a connection ends at its first packet. It always has ports."""

    what = "reset of every connection"
    verdict = ("-j", "REJECT", "--reject-with", "tcp-reset")


class LosePackets(DropPackets):
    """A share of the packets, between 0 and 1, is dropped at random, in each direction independently."""

    def __init__(self, host: Host, victim: str, share: float, peers: Peers | Sequence[str] = ()) -> None:
        self.what = f"loss of {share:.0%} of the packets"
        self.verdict = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        super().__init__(host, victim, peers)


def lacking() -> str:
    """Return why rules are impossible on this machine; "" if they are possible."""
    if os.geteuid() != 0:
        return "it needs root on this machine"
    missing = [name for name in ("nsenter", "iptables") if not process.find(name)]
    return f"not installed on this machine: {', '.join(missing)}" if missing else ""


def sweep_rules(host: Host, service: str, address: str = "") -> None:
    """Delete every rule with our mark in a container's network, from any run; with an address, only its rules.

    Raises:
        EngineFailed: if iptables fails.
    """
    about = [words for words in our_rules(host, service) if not address or f"{address}/32" in words]
    for words in _joined(about):
        done = host.in_network(service, "iptables", "-w", "-D", *words)
        if not done.ok:
            raise errors.EngineFailed(
                f"rules of ours in {service}'s network stay: {' '.join(words)}", detail=done.output
            )


def _joined(rules: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield rules without their -A; those that differ only in the peer's address are joined to one."""
    found: dict[tuple[str, ...], list[str]] = {}
    for _, *words in rules:
        at = next((number for number, word in enumerate(words, 1) if word in ("-s", "-d")), 0)
        shape = (*words[:at], "", *words[at + 1 :]) if at else tuple(words)
        found.setdefault(shape, []).append(words[at] if at else "")
    for shape, addresses in found.items():
        yield tuple(word or ",".join(addresses) for word in shape)


def our_rules(host: Host, service: str) -> list[list[str]]:
    """Return the rules with our mark in a container's network, each as the words of `iptables -S`.

    Raises:
        EngineFailed: if iptables fails.
    """
    listed = host.in_network(service, "iptables", "-w", "-S")
    if not listed.ok:
        raise errors.EngineFailed(f"iptables in {service}'s network ended with {listed.code}", detail=listed.output)
    found = [line.replace('"', "").split() for line in listed.stdout.splitlines()]
    return [words for words in found if MARK in words and words[0] == "-A"]
