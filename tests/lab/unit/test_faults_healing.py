"""Every fault of these scenarios can be healed: after a complete and after half an injection, twice, and by a sweep.

The containers are a model: they have rules, queues, a network, a state and stopped processes, and keep each change.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit.test_faults_processes import NODE, POOL

from poolkeeper.core import errors
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system.process import Finished
from poolkeeper_lab.chaos.scenarios import cut_scenarios, link_scenarios, network_scenarios, process_scenarios
from poolkeeper_lab.chaos.scenarios.scenario import Scenario, ScenarioStep
from poolkeeper_lab.faults import clocks, damage, disk_images, links, packets, resource_limits, sweep, syscalls
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.host import Host, Process

SPEC = ClusterSpec()
SCENARIOS = (
    *process_scenarios.SCENARIOS,
    *network_scenarios.SCENARIOS,
    *cut_scenarios.SCENARIOS,
    *link_scenarios.SCENARIOS,
)
VICTIMS = {
    FaultTarget.STANDBYS: ("pg_node2", "pg_node3"),
    FaultTarget.PRIMARY_SIDE: ("pg_node1", "etcd1"),
    FaultTarget.STANDBY_SIDE: ("pg_node2", "etcd2"),
    FaultTarget.ETCD_LEADER: ("etcd1",),
    FaultTarget.ETCD_FOLLOWER: ("etcd2",),
    FaultTarget.ETCD_FOLLOWERS: ("etcd2", "etcd3"),
    FaultTarget.ETCD_MEMBERS: ("etcd1", "etcd2", "etcd3"),
    FaultTarget.RW_ENDPOINT: ("pgpool_rw",),
    FaultTarget.RO_ENDPOINT: ("pgpool_ro",),
    FaultTarget.BALANCED_ENDPOINT: ("pgpool",),
    FaultTarget.HAPROXY: ("haproxy_pgpool",),
    FaultTarget.KEEPER: ("keeper",),
}
LEFT = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class World:
    """All containers; after `budget` changes the engine fails, unless it is None."""

    def __init__(self, budget: int | None = None) -> None:
        self.cluster = SimpleNamespace(spec=SPEC, container=lambda service: service)
        self.budget = budget
        self.changes = 0
        self.rules: dict[str, list[str]] = {name: ["-A INPUT -s 10.0.0.9/32 -j DROP"] for name in SPEC.addresses()}
        self.queues: dict[str, list[str]] = {name: [] for name in SPEC.addresses()}
        self.out: set[str] = set()
        self.stopped: set[tuple[str, int]] = set()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, World) and self.broken() == other.broken()

    __hash__ = None  # type: ignore[assignment]

    def broken(self) -> tuple[object, ...]:
        return self.rules, self.queues, self.out, self.stopped

    def _change(self) -> None:
        if self.budget is not None and self.changes >= self.budget:
            raise errors.EngineFailed("no budget left")
        self.changes += 1

    def state(self, service: str) -> dict[str, object]:
        del service
        return {"Status": "running", "Paused": False, "Pid": 7}

    def first_process(self, service: str) -> int:
        del service
        return 7

    def processes(self, service: str) -> tuple[Process, ...]:
        found = POOL if service.startswith("pgpool") else NODE
        return tuple(Process(p.pid, p.parent, p.argv, (service, p.pid) in self.stopped) for p in found)

    def send(self, number: signal.Signals, pids: Sequence[int], service: str) -> None:
        self._change()
        for pid in pids:
            if number is signal.SIGSTOP:
                self.stopped.add((service, pid))
            elif number is signal.SIGCONT:
                self.stopped.discard((service, pid))
            else:
                assert number in LEFT

    def docker(self, *words: str, seconds: float = 60) -> str:
        del seconds
        service = words[-1]
        if words[0] == "inspect":
            return json.dumps({} if service in self.out else {SPEC.project: {}})
        self._change()
        if words[:2] == ("network", "disconnect"):
            self.out.add(service)
        elif words[:2] == ("network", "connect"):
            assert words[3] == str(SPEC.addresses()[service])
            self.out.remove(service)
        else:
            raise AssertionError(words)
        return ""

    def in_network(self, service: str, *argv: str) -> Finished:
        if argv[0] == "iptables":
            return self._iptables(service, argv[2], " ".join(argv[3:]))
        if argv[0] == "ip":
            return Finished(argv, 0, f"9: eth0    inet {SPEC.addresses()[service]}/24", "")
        return self._tc(service, argv)

    def _iptables(self, service: str, order: str, rule: str) -> Finished:
        if order == "-S":
            return Finished((), 0, "\n".join(self.rules[service]), "")
        self._change()
        for one in expanded(rule):
            if order == "-I":
                self.rules[service].insert(0, f"-A {one}")
            elif f"-A {one}" in self.rules[service]:
                self.rules[service].remove(f"-A {one}")
            else:
                return Finished((), 1, "", "no such rule")
        return Finished((), 0, "", "")

    def _tc(self, service: str, argv: tuple[str, ...]) -> Finished:
        if argv[1:] == ("qdisc", "show"):
            return Finished(argv, 0, "\n".join(self.queues[service]), "")
        self._change()
        words = " ".join(argv)
        if argv[1:3] == ("qdisc", "del"):
            self.queues[service].clear()  # a root is deleted with everything below it
        elif "root" in argv:
            assert not self.queues[service]
            self.queues[service].append(f"qdisc {argv[8]} {argv[7]} dev eth0 root refcnt 2")
        elif argv[1] == "qdisc":
            self.queues[service].append(f"qdisc tbf 8001: dev eth0 parent 504b:2 {words}")
        return Finished(argv, 0, "", "")


def expanded(rule: str) -> list[str]:
    """Return a rule for each address of a list, as iptables does."""
    listed = next((word for word in rule.split() if "," in word and "." in word), "")
    return [rule.replace(listed, address) for address in listed.split(",")] if listed else [rule]


def fault_of(step: ScenarioStep, world: World) -> Any:
    victims = VICTIMS.get(step.target, ("pg_node1",))
    return step.fault(cast(Host, world), victims, lambda: None)


def without_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit a sweep to faults that are not of storage; these have tests of their own."""
    monkeypatch.setattr(disk_images, "left", lambda _: ())
    monkeypatch.setattr(syscalls, "detach", lambda *_: None)
    monkeypatch.setattr(damage, "clone_noted", lambda *_: None)


@pytest.fixture(autouse=True)
def can_do_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (packets.DropPackets, links.SlowLink):
        monkeypatch.setattr(kind, "available", lambda _: "")
    without_storage(monkeypatch)


def steps(of: Callable[[Scenario], bool] = lambda _: True) -> list[Any]:
    return [pytest.param(a, id=f"{s.name}-{n}") for s in SCENARIOS if of(s) for n, a in enumerate(s.steps)]


@pytest.mark.parametrize("step", steps())
def test_a_complete_injection_has_an_effect_and_is_healed_twice(step: ScenarioStep) -> None:
    world = World()
    fault = fault_of(step, world)
    fault.aim()
    assert world.changes == 0
    fault.inject()
    assert world.changes > 0
    fault.heal()
    assert world == World()
    fault.heal()
    assert world == World()


@pytest.mark.parametrize("step", steps())
def test_half_an_injection_is_healed(step: ScenarioStep) -> None:
    for budget in range(12):
        world = World(budget)
        fault = fault_of(step, world)
        fault.aim()
        try:
            fault.inject()
        except errors.EngineFailed:
            world.budget = None
        else:
            break
        fault.heal()
        assert world == World(), budget


@pytest.mark.parametrize("step", steps())
def test_a_sweep_removes_everything_that_a_killed_run_left(step: ScenarioStep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_limits, "restore", lambda *_: None)
    monkeypatch.setattr(clocks, "remove", lambda *_: None)
    world = World()
    fault = fault_of(step, world)
    fault.aim()
    fault.inject()
    sweep.sweep(cast(Host, world))
    assert world == World()


def test_a_fault_that_is_not_healed_is_visible() -> None:
    world = World()
    fault = packets.DropPackets(cast(Host, world), "pg_node1")
    fault.inject()
    assert world != World()
