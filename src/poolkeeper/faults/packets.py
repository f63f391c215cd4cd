"""Packets that never arrive: rules of the host's iptables in the network namespace of one container.

Invariant: every rule carries our mark and is in that namespace only, so that healing removes exactly ours, and the end
of the container removes them as well. Needs root on this machine; the container gets no right for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from poolkeeper import errors
from poolkeeper.faults.fault import Fault
from poolkeeper.faults.ground import Ground
from poolkeeper.system import process

MARK = "poolkeeper-fault"  # the comment of every rule of ours


class DropPackets(Fault):
    """Every packet to or from a container is dropped silently, in its own network namespace; its loopback works on.

    `peers` are addresses that it is cut off from (none: all); `ways` says which packets are dropped, so that a cut may
    be of one direction. No right of the container is needed or changed.
    """

    sentence = "drop of every packet to and from {}, by iptables in its network namespace"

    def __init__(
        self, ground: Ground, victim: str, peers: Sequence[str] = (), ways: Sequence[str] = ("INPUT", "OUTPUT")
    ) -> None:
        super().__init__(ground, victim)
        self._peers = tuple(peers)
        self._ways = tuple(ways)

    def available(self) -> str:
        if os.geteuid() != 0:
            return "it needs root on this machine"
        missing = [name for name in ("nsenter", "iptables") if not process.find(name)]
        return f"not installed on this machine: {', '.join(missing)}" if missing else ""

    def inject(self) -> None:
        for rule in self._rules():
            self._filter("-I", *rule)

    def heal(self) -> None:
        if not self.start_if_down():  # otherwise the rules went with the namespace
            sweep_rules(self.ground, self.victim)

    def _rules(self) -> Iterator[tuple[str, ...]]:
        for way in self._ways:
            side, peer = ("!", "-i", "lo"), "-s"
            if way == "OUTPUT":
                side, peer = ("!", "-o", "lo"), "-d"
            for address in self._peers or ("",):
                yield (
                    way,
                    *side,
                    *((peer, address) if address else ()),
                    "-m",
                    "comment",
                    "--comment",
                    MARK,
                    "-j",
                    "DROP",
                )

    def _filter(self, *words: str) -> None:
        done = self.ground.in_network(self.victim, "iptables", "-w", *words)
        if not done.ok:
            raise errors.EngineFailed(f"iptables in {self.victim}'s network ended with {done.code}", detail=done.said)


def sweep_rules(ground: Ground, service: str, address: str = "") -> None:
    """Delete every rule with our mark, whoever left it, in a container's network. Raises EngineFailed.

    With an address, only those about it.
    """
    about = [words for words in our_rules(ground, service) if not address or f"{address}/32" in words]
    for words in about:
        done = ground.in_network(service, "iptables", "-w", "-D", *words[1:])
        if not done.ok:
            raise errors.EngineFailed(
                f"a rule of ours in {service}'s network stays: {' '.join(words)}", detail=done.said
            )


def our_rules(ground: Ground, service: str) -> list[list[str]]:
    """The rules with our mark in a container's network, each in the words of `iptables -S`. Raises EngineFailed."""
    listed = ground.in_network(service, "iptables", "-w", "-S")
    if not listed.ok:
        raise errors.EngineFailed(f"iptables in {service}'s network ended with {listed.code}", detail=listed.said)
    found = [line.replace('"', "").split() for line in listed.stdout.splitlines()]
    return [words for words in found if MARK in words and words[0] == "-A"]
