"""Slow links: a queue of the kernel (tc) at the interface of a container, in its own network namespace.

Invariant: the queue is the root of that interface and has our handle, so that healing deletes exactly our queue. The
end of the container or of the interface removes it as well. Only packets that the container sends wait in it, not those
that it receives. Needs root on this machine; the container gets no additional right.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

from typing_extensions import override

from poolkeeper.core import errors
from poolkeeper.system import process
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.peers import Peers, unmet

HANDLE = "504b:"  # of each of our queues; the engine and the kernel use others
BURST = "2kb"  # a packet of Ethernet's size and some
LATENCY_MS = 400  # a packet that would wait longer is dropped, as by a full router


_FAST = ("htb", "rate", "1gbit", "quantum", "1514")


class SlowLink(Fault):
    """All packets that a container sends pass a token bucket of `kbit` kbit/s; they wait there, or are dropped.

    `peers` limits this to packets to some services; all others then pass as before.
    """

    def __init__(self, host: Host, victim: str, kbit: int, peers: Peers | None = None) -> None:
        super().__init__(host, victim)
        self._kbit = kbit
        self._peers = peers
        to = "some others" if peers else "all others"
        self.sentence = f"traffic from {{}} to {to} is limited to {kbit} kbit/s, by tc in its network namespace"

    @override
    def available(self) -> str:
        return lacking(*self._kinds())

    @override
    def unmet(self) -> str:
        spec = self.host.cluster.spec
        return unmet(spec, self.victim, self._peers(spec, self.victim) if self._peers else ())

    def _kinds(self) -> tuple[str, ...]:
        return ("htb", "tbf") if self._peers else ("tbf",)

    @override
    def inject(self) -> None:
        device = interface(self.host, self.victim)
        for words in self._commands(device):
            done = self.host.in_network(self.victim, "tc", *words)
            if not done.ok:
                raise errors.EngineFailed(f"tc in {self.victim}'s network ended with {done.code}", detail=done.output)

    @override
    def heal(self) -> None:
        if not self.start_if_down():  # otherwise the queue went with the namespace
            sweep_queues(self.host, self.victim)

    def _commands(self, device: str) -> Iterator[tuple[str, ...]]:
        root = ("qdisc", "add", "dev", device, "root", "handle", HANDLE)
        bucket = ("tbf", "rate", f"{self._kbit}kbit", "burst", BURST, "latency", f"{LATENCY_MS}ms")
        if self._peers is None:
            yield (*root, *bucket)
            return
        # A packet that no filter sends to the class with the bucket is in no class of htb, and passes at once.
        spec, slow = self.host.cluster.spec, f"{HANDLE}2"
        yield (*root, "htb")
        yield ("class", "add", "dev", device, "parent", HANDLE, "classid", slow, *_FAST)
        yield ("qdisc", "add", "dev", device, "parent", slow, *bucket)
        for peer in self._peers(spec, self.victim):
            match = ("match", "ip", "dst", f"{spec.addresses()[peer]}/32", "flowid", slow)
            yield ("filter", "add", "dev", device, "parent", HANDLE, "protocol", "ip", "u32", *match)


class DelayPackets(SlowLink):
    """All packets that a container sends are delayed by some milliseconds ± jitter; needs the kernel's netem."""

    def __init__(self, host: Host, victim: str, milliseconds: int, jitter: int = 0) -> None:
        super().__init__(host, victim, 0)
        self._late = (f"{milliseconds}ms", f"{jitter}ms")
        self.sentence = (
            f"packets from {{}} are delayed by {milliseconds} ms ± {jitter} ms, by netem in its network namespace"
        )

    def _kinds(self) -> tuple[str, ...]:
        return ("netem",)

    def _commands(self, device: str) -> Iterator[tuple[str, ...]]:
        yield ("qdisc", "add", "dev", device, "root", "handle", HANDLE, "netem", "delay", *self._late)


_ARGUMENTS = {
    "tbf": ("rate", "1mbit", "burst", BURST, "latency", "1ms"),
    "htb": (),
    "netem": ("delay", "1ms"),
}


def lacking(*kinds: str) -> str:
    """Return why these queues are impossible on this machine; "" if they are possible."""
    if os.geteuid() != 0:
        return "it needs root on this machine"
    missing = [name for name in ("nsenter", "tc", "ip", "unshare") if not process.find(name)]
    return f"not installed on this machine: {', '.join(missing)}" if missing else kernel_lacks(kinds)


@functools.cache
def kernel_lacks(kinds: tuple[str, ...]) -> str:
    """Return which of these queues the kernel lacks, by a trial in a network namespace that ends at once."""
    for kind in kinds:
        add = ("tc", "qdisc", "add", "dev", "lo", "root", kind, *_ARGUMENTS[kind])
        if not process.run(["unshare", "--net", *add], timeout=10).ok:
            return f"this machine's kernel has no queue {kind}"
    return ""


def interface(host: Host, service: str) -> str:
    """Return the name of the interface with a service's address; it changes after a disconnection.

    Raises:
        EngineFailed: if no interface has the address.
    """
    address = str(host.cluster.spec.addresses()[service])
    shown = host.in_network(service, "ip", "-o", "-4", "addr", "show", "to", address)
    words = shown.stdout.split()
    if not shown.ok or len(words) < 2:
        raise errors.EngineFailed(f"no interface of {service} has the address {address}", detail=shown.output)
    return words[1].partition("@")[0]


def sweep_queues(host: Host, service: str) -> None:
    """Delete every queue with our handle at a container's interfaces, from any run.

    Raises:
        EngineFailed: if tc fails.
    """
    listed = host.in_network(service, "tc", "qdisc", "show")
    if not listed.ok:
        raise errors.EngineFailed(f"tc in {service}'s network ended with {listed.code}", detail=listed.output)
    for line in listed.stdout.splitlines():
        words = line.split()  # qdisc KIND HANDLE dev DEVICE root …
        if words[2:3] == [HANDLE] and "root" in words:
            device = words[words.index("dev") + 1]
            done = host.in_network(service, "tc", "qdisc", "del", "dev", device, "root", "handle", HANDLE)
            if not done.ok:
                raise errors.EngineFailed(f"a queue of ours in {service}'s network stays: {line}", detail=done.output)
