"""Cuts, refusals, losses, slow links and disconnections: each does exactly its own change, and heals exactly that."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from tests.lab.unit.test_faults import FakeHost
from tests.poolkeeper.unit import deployments

from poolkeeper.core import errors
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import process
from poolkeeper.system.process import Finished
from poolkeeper_lab.faults import (
    clocks,
    damage,
    disk_images,
    links,
    networks,
    packets,
    peers,
    resource_limits,
    sweep,
    syscalls,
)
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host

SPEC = ClusterSpec()
CLEAN = "qdisc noqueue 0: dev lo root refcnt 2\nqdisc noqueue 0: dev eth1 root refcnt 2"


class Wire(FakeHost):
    """A container's network as iptables, tc, ip and docker show it."""

    def __init__(self, status: str = "running", rules: Sequence[str] = (), queues: str = CLEAN, is_in: bool = True):
        super().__init__(status, rules)
        self.queues, self.is_in = queues, is_in

    def docker(self, *words: str, seconds: float = 60) -> str:
        super().docker(*words, seconds=seconds)
        return json.dumps({"poolkeeper": {}} if self.is_in else {}) if words[0] == "inspect" else ""

    def in_network(self, service: str, *argv: str) -> Finished:
        self.asked.append((service, *argv))
        if argv[0] == "ip":
            return Finished(argv, 0, "3069: eth1    inet 10.8.0.11/24 brd 10.8.0.255 scope global eth1\\", "")
        return Finished(argv, 0, self.queues if argv[0] == "tc" else "\n".join(self.rules), "")

    def ran(self, program: str) -> list[str]:
        """Return the command lines of a program in a network, and of docker."""
        own = [" ".join(words[1:]) for words in self.asked if words[1:2] == (program,)]
        return own or [" ".join(words) for words in self.asked if words[0] == program]


def host(wire: Wire) -> Host:
    return cast(Host, wire)


def test_a_cut_of_ports_applies_to_either_side_of_tcp_only() -> None:
    wire = Wire()
    packets.DropPackets(host(wire), "pg_node1", peers.haproxy, ports=(8008, 5432)).inject()
    tail = f"-p tcp -m multiport --ports 8008,5432 -m comment --comment {packets.MARK} -j DROP"
    assert wire.ran("iptables") == [
        f"iptables -w -I INPUT ! -i lo -s 10.8.0.100 {tail}",
        f"iptables -w -I OUTPUT ! -o lo -d 10.8.0.100 {tail}",
    ]


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (lambda g: packets.RefusePackets(g, "pg_node1"), "-j REJECT --reject-with icmp-port-unreachable"),
        (lambda g: packets.ResetConnections(g, "pg_node1", ports=(5432,)), "-j REJECT --reject-with tcp-reset"),
        (lambda g: packets.LosePackets(g, "pg_node1", 0.2), "-m statistic --mode random --probability 0.2 -j DROP"),
    ],
)
def test_packets_are_refused_reset_or_lost(fault: object, verdict: str) -> None:
    wire = Wire()
    made: Fault = fault(host(wire))  # type: ignore[operator]
    made.inject()
    assert len(wire.ran("iptables")) == 2
    assert all(line.endswith(f"--comment {packets.MARK} {verdict}") for line in wire.ran("iptables"))
    wire.rules = [f"-A INPUT ! -i lo -m comment --comment {packets.MARK} {verdict}"]
    made.heal()
    assert wire.ran("iptables")[-1] == f"iptables -w -D INPUT ! -i lo -m comment --comment {packets.MARK} {verdict}"


def test_no_peer_does_not_mean_all_peers() -> None:
    fault = packets.DropPackets(host(Wire()), "haproxy_pgpool", peers.haproxy)
    with pytest.raises(errors.ClusterNotUp, match="no service"):
        fault.aim()


def test_no_service_is_a_peer_of_itself() -> None:
    for of in (peers.etcd, peers.nodes, peers.haproxy, peers.keeper, peers.balanced_endpoint, peers.other_side):
        for service in SPEC.addresses():
            assert service not in of(SPEC, service)
    assert [peers.next_node(SPEC, f"pg_node{n}") for n in (1, 2, 3)] == [["pg_node2"], ["pg_node3"], ["pg_node1"]]
    assert [peers.next_etcd(SPEC, f"etcd{n}") for n in (1, 2, 3)] == [["etcd2"], ["etcd3"], ["etcd1"]]


def test_a_split_separates_two_sides_and_nothing_within_a_side() -> None:
    for node in SPEC.nodes:
        side = {node.name, peers.beside(SPEC, node.name)}
        assert len(side) == 2
        for inside in side:
            assert set(peers.other_side(SPEC, inside)) == set(SPEC.addresses()) - side


def test_a_container_leaves_the_network_and_returns_with_its_address() -> None:
    wire = Wire(is_in=False)
    fault = networks.LeaveNetwork(host(wire), "pg_node2")
    fault.inject()
    fault.heal()
    assert wire.ran("network") == [
        "network disconnect poolkeeper c_pg_node2",
        "network connect --ip 10.8.0.12 --alias pg_node2 poolkeeper c_pg_node2",
    ]


def test_a_connected_container_stays_connected_and_one_that_is_down_is_started() -> None:
    wire = Wire("exited", is_in=True)
    networks.LeaveNetwork(host(wire), "pg_node2").heal()
    assert not wire.ran("network")
    assert ("start", "c_pg_node2") in wire.asked


def test_a_slow_link_is_the_root_of_the_interface_with_the_address() -> None:
    wire = Wire()
    links.SlowLink(host(wire), "pg_node1", 512).inject()
    assert wire.ran("tc") == ["tc qdisc add dev eth1 root handle 504b: tbf rate 512kbit burst 2kb latency 400ms"]


def test_a_link_that_is_slow_to_some_peers_is_a_class_for_these_only() -> None:
    wire = Wire()
    links.SlowLink(host(wire), "pg_node1", 64, peers.nodes).inject()
    root, made, bucket, *filters = wire.ran("tc")
    assert root == "tc qdisc add dev eth1 root handle 504b: htb"
    assert made.startswith("tc class add dev eth1 parent 504b: classid 504b:2 htb")
    assert bucket == "tc qdisc add dev eth1 parent 504b:2 tbf rate 64kbit burst 2kb latency 400ms"
    assert [line.partition("match ip ")[2] for line in filters] == [
        "dst 10.8.0.12/32 flowid 504b:2",
        "dst 10.8.0.13/32 flowid 504b:2",
    ]


def test_delayed_packets_need_netem() -> None:
    wire = Wire()
    links.DelayPackets(host(wire), "pg_node1", 100, 50).inject()
    assert wire.ran("tc") == ["tc qdisc add dev eth1 root handle 504b: netem delay 100ms 50ms"]


def test_only_our_queue_is_deleted_and_only_once() -> None:
    ours = "qdisc htb 504b: dev eth1 root refcnt 2 r2q 10\nqdisc tbf 8001: dev eth1 parent 504b:2 rate 64Kbit"
    wire = Wire(queues=f"qdisc tbf 8002: dev eth0 root refcnt 2 rate 1Mbit\n{ours}")
    fault = links.SlowLink(host(wire), "pg_node1", 64, peers.nodes)
    fault.heal()
    assert wire.ran("tc") == ["tc qdisc show", "tc qdisc del dev eth1 root handle 504b:"]
    wire.queues = CLEAN
    fault.heal()
    assert wire.ran("tc")[2:] == ["tc qdisc show"]


def test_a_queue_ends_with_the_container() -> None:
    wire = Wire("exited")
    links.SlowLink(host(wire), "pg_node1", 64).heal()
    assert not wire.ran("tc")
    assert ("start", "c_pg_node1") in wire.asked


def test_a_container_between_two_starts_has_no_faults() -> None:
    wire = Wire("restarting")
    for fault in (links.SlowLink(host(wire), "pg_node1", 64), packets.DropPackets(host(wire), "pg_node1")):
        fault.heal()
    assert not wire.asked


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the queues of a fake kernel, on a machine with every tool."""
    has = {"tbf", "htb"}

    def run(argv: Sequence[str], timeout: float) -> Finished:
        del timeout
        return Finished(tuple(argv), 0 if argv[8] in has else 2, "", "")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process, "find", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    links.kernel_lacks.cache_clear()
    return has


def test_a_queue_that_the_kernel_lacks_is_reported_and_not_tried(
    kernel: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = host(Wire())
    assert links.SlowLink(wire, "", 1, peers.nodes).available() == ""
    assert links.DelayPackets(wire, "", 1).available() == "this machine's kernel has no queue netem"
    links.kernel_lacks.cache_clear()
    kernel.add("netem")
    assert links.DelayPackets(wire, "", 1).available() == ""
    links.kernel_lacks.cache_clear()
    kernel.clear()
    assert links.SlowLink(wire, "", 1).available() == "this machine's kernel has no queue tbf"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert links.SlowLink(wire, "", 1).available() == "it needs root on this machine"
    links.kernel_lacks.cache_clear()


def test_a_sweep_removes_each_kind(kernel: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    del kernel
    monkeypatch.setattr(disk_images, "left", lambda _: ())
    monkeypatch.setattr(syscalls, "detach", lambda *_: None)
    monkeypatch.setattr(damage, "clone_noted", lambda *_: None)
    monkeypatch.setattr(resource_limits, "restore", lambda *_: None)
    monkeypatch.setattr(clocks, "remove", lambda *_: None)
    rule = f"-A INPUT ! -i lo -m comment --comment {packets.MARK} -j DROP"
    wire = Wire("paused", [rule], "qdisc tbf 504b: dev eth0 root refcnt 2 rate 64Kbit", is_in=False)
    sweep.sweep(host(wire))
    services = SPEC.addresses()
    for words in ("network connect", "unpause"):
        assert sum(" ".join(asked).startswith(words) for asked in wire.asked) == len(services)
    for words in (f"iptables -w -D {rule[3:]}", "tc qdisc del dev eth0 root handle 504b:"):
        assert [asked[0] for asked in wire.asked if " ".join(asked[1:]) == words] == list(services)
    links.kernel_lacks.cache_clear()


ENDPOINT, RW, POOL = SPEC.haproxy.service, SPEC.endpoints.rw.service, SPEC.endpoints.balanced.service


@pytest.mark.parametrize(
    ("fault", "meets"),
    [
        (lambda g: packets.DropPackets(g, RW, peers.haproxy), False),
        (lambda g: packets.LosePackets(g, RW, 0.2), False),
        (lambda g: links.SlowLink(g, RW, 256), False),
        (lambda g: networks.LeaveNetwork(g, RW), False),
        (lambda g: packets.DropPackets(g, RW, peers.keeper), True),
        (lambda g: packets.DropPackets(g, "pg_node1", peers.haproxy), True),
        (lambda g: packets.DropPackets(g, ENDPOINT), True),
        (lambda g: networks.LeaveNetwork(g, POOL), True),
    ],
)
@pytest.mark.parametrize("is_shared", [True, False])
def test_a_fault_between_services_on_unix_sockets_is_unmet(
    fault: Callable[[Host], Fault], meets: bool, is_shared: bool
) -> None:
    """The fault would have no effect, so a scenario with it could not fail."""
    wire = Wire()
    wire.cluster = SimpleNamespace(spec=deployments.edit(SPEC, "haproxy.unix_sockets", is_shared))
    assert ("haproxy.unix_sockets" in fault(host(wire)).unmet()) == (is_shared and not meets)


@pytest.mark.parametrize(
    ("ports", "others", "meets"),
    [
        ((5432,), peers.haproxy, False),
        ((8008,), peers.haproxy, True),
        ((), peers.haproxy, True),
        ((5432,), peers.nodes, True),
    ],
)
@pytest.mark.parametrize("is_shared", [True, False])
def test_a_cut_of_a_server_on_a_unix_socket_is_unmet(
    ports: Sequence[int], others: peers.Peers, meets: bool, is_shared: bool
) -> None:
    """HAProxy's check of the server, and the traffic between the nodes, still pass the network."""
    wire = Wire()
    wire.cluster = SimpleNamespace(spec=deployments.edit(SPEC, "haproxy.node_sockets", is_shared))
    cut = packets.DropPackets(host(wire), "pg_node1", others, ports=ports)
    assert ("haproxy.node_sockets" in cut.unmet()) == (is_shared and not meets)
