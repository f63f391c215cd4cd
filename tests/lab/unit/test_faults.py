"""The faults and their healing: every fault describes itself, and is healed however its block ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from poolkeeper.core import errors
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system.process import Finished
from poolkeeper_lab.drill import drill_faults, drill_schedule
from poolkeeper_lab.faults import healing, host, packets, peers
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host, Process


class FakeHost:
    """A host that records all requests; the container is in `status`."""

    def __init__(self, status: str = "running", rules: Sequence[str] = ()) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.cluster = SimpleNamespace(spec=ClusterSpec())
        self.status = status
        self.rules = list(rules)

    @property
    def cluster(self) -> Any:
        """The declared cluster; each one that is set names its containers in the same way."""
        return self._cluster

    @cluster.setter
    def cluster(self, declared: Any) -> None:
        declared.container = lambda service: f"c_{service}"
        self._cluster = declared

    def docker(self, *words: str, seconds: float = 60) -> str:
        del seconds
        self.asked.append(words)
        return ""

    def state(self, service: str) -> dict[str, object]:
        del service
        return {"Status": self.status, "Paused": self.status == "paused", "Pid": 7}

    def first_process(self, service: str) -> int:
        del service
        return 7

    def processes(self, service: str) -> tuple[Process, ...]:
        del service
        return NODE

    def send(self, number: signal.Signals, pids: Sequence[int], service: str) -> None:
        self.asked.append((number.name, *map(str, pids), service))

    def in_network(self, service: str, *argv: str) -> Finished:
        self.asked.append((service, *argv))
        return Finished(argv, 0, "\n".join(self.rules), "")


NODE = (
    Process(7, 1, ("/usr/bin/python3", "/usr/local/bin/supervise", "--node", "pg_node1")),
    Process(8, 7, ("/usr/bin/python3", "/usr/bin/patroni", "/etc/poolkeeper/patroni.yml")),
    Process(9, 7, ("/usr/lib/postgresql/17/bin/postgres", "-D", "/var/lib/postgresql/data/pgdata")),
    Process(10, 9, ("postgres: checkpointer ",)),
    Process(12, 9, ("postgres: poolkeeper: walreceiver streaming 0/A000000",)),
    Process(11, 9, ("/usr/lib/postgresql/17/bin/postgres", "--forkboot")),
)


def made(name: str, fake: FakeHost) -> Fault:
    """Return a fault of the catalogue on a fake host."""
    (entry,) = drill_faults.choose((name,))
    return entry.make(cast(Host, fake), "victim", lambda: fake.asked.append(("switchover",)))


@pytest.mark.parametrize("entry", drill_faults.ENTRIES, ids=lambda entry: entry.name)
def test_every_fault_describes_itself_and_is_injected_and_healed(entry: drill_faults.DrillFault) -> None:
    fake = FakeHost()
    fault = made(entry.name, fake)
    assert len(entry.sentence) > 15
    assert "victim" in str(fault)
    fault.aim()
    fault.heal()
    assert not any(words[0] in ("start", "unpause") for words in fake.asked)
    before = len(fake.asked)
    fault.inject()
    assert len(fake.asked) > before
    fault.heal()


def test_the_catalogue_has_the_faults_of_the_drill() -> None:
    assert len(set(drill_faults.NAMES)) == len(drill_faults.NAMES) == 12
    assert drill_faults.choose(()) == drill_faults.ENTRIES
    with pytest.raises(errors.UsageError, match="kill_all"):
        drill_faults.choose(("kill_node", "kill_all"))


@pytest.mark.parametrize(("name", "pid"), [("kill_postmaster", "9"), ("kill_patroni", "8"), ("kill_pgpool", "7")])
def test_the_signal_hits_the_right_process(name: str, pid: str) -> None:
    fake = FakeHost()
    fault = made(name, fake)
    fault.aim()
    fault.inject()
    assert fake.asked == [("SIGKILL", pid, "victim")]


@pytest.mark.parametrize(
    "name", ["kill_node", "stop_node", "freeze_node", "kill_standby", "kill_pgpool", "drop_packets_to"]
)
def test_a_container_that_is_down_is_started(name: str) -> None:
    fake = FakeHost("exited")
    made(name, fake).heal()
    assert ("start", "c_victim") in fake.asked


def test_a_frozen_container_is_unpaused() -> None:
    fake = FakeHost("paused")
    made("freeze_node", fake).heal()
    assert fake.asked == [("unpause", "c_victim")]


def test_only_our_rules_are_deleted() -> None:
    ours = f"-A INPUT ! -i lo -m comment --comment {packets.MARK} -j DROP"
    fake = FakeHost(rules=["-P INPUT ACCEPT", "-A INPUT -s 10.0.0.9/32 -j DROP", ours])
    made("drop_packets_to", fake).heal()
    assert fake.asked[1:] == [("victim", "iptables", "-w", "-D", *ours.split()[1:])]


def test_a_cut_may_be_in_one_direction_and_from_some_peers() -> None:
    fake = FakeHost()
    packets.DropPackets(cast(Host, fake), "pg_node1", peers.nodes, ways=("OUTPUT",)).inject()
    assert [words[4:10] for words in fake.asked] == [("OUTPUT", "!", "-o", "lo", "-d", "10.8.0.12,10.8.0.13")]


class InjectedFault(Fault):
    """A fault that records its injection and healing; the injection raises `trouble`."""

    sentence = "injected in {}"

    def __init__(self, trouble: BaseException | None = None, incurable: bool = False) -> None:
        super().__init__(cast(Any, None), "victim")
        self.trouble, self.incurable, self.healed = trouble, incurable, 0

    def inject(self) -> None:
        if self.trouble:
            raise self.trouble

    def heal(self) -> None:
        self.healed += 1
        if self.incurable:
            raise errors.EngineFailed("no engine")


async def break_it(registry: healing.Healing, *broken: InjectedFault) -> None:
    """Inject them one inside the other; then raise an error of the drill itself."""
    async with registry.broken(broken[0]):
        broken[0].inject()
        if broken[1:]:
            await break_it(registry, *broken[1:])
        raise RuntimeError("in the midst")


@pytest.mark.parametrize("trouble", [None, errors.EngineFailed("half-way"), KeyboardInterrupt()])
def test_healed_after_an_exception(trouble: BaseException | None) -> None:
    registry, fault = healing.Healing(), InjectedFault(trouble)
    with pytest.raises(type(trouble) if trouble else RuntimeError):
        asyncio.run(break_it(registry, fault))
    assert fault.healed == 1
    assert registry.open == ()


def test_a_failed_healing_is_reported_and_the_others_are_healed() -> None:
    registry, outer, inner = healing.Healing(), InjectedFault(), InjectedFault(incurable=True)
    with pytest.raises(RuntimeError):
        asyncio.run(break_it(registry, outer, inner))
    assert (outer.healed, inner.healed) == (1, 1)
    assert registry.failures == ["NOT healed: injected in victim: no engine"]


def test_a_second_ctrl_c_does_not_stop_the_healing() -> None:
    registry, interrupted = healing.Healing(), []

    class Slow(InjectedFault):
        def heal(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().heal()

    fault = Slow()

    async def work() -> None:
        async with registry.broken(fault):
            os.kill(os.getpid(), signal.SIGINT)
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                interrupted.append(True)
                raise

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())
    assert interrupted == [True]
    assert fault.healed == 1


def test_processes_below_a_real_one() -> None:
    mine = host.descendants(os.getpid())
    assert mine[0].pid == os.getpid()
    assert mine[0].parent == os.getppid()


def test_processes_with_any_name_are_read(tmp_path: Path) -> None:
    for pid, parent, name in ((5, 1, "a"), (6, 5, "b) R 1 (c"), (9, 1, "other"), (7, 6, "d")):
        entry = tmp_path / str(pid)
        entry.mkdir()
        (entry / "stat").write_text(f"{pid} ({name}) S {parent} 0 0")
        (entry / "cmdline").write_bytes(b"/bin/x\0-y\0")
    (tmp_path / "8").mkdir()  # it ended meanwhile
    assert [p.pid for p in host.descendants(5, tmp_path)] == [5, 6, 7]
    assert host.descendants(5, tmp_path)[0].program == "x"


def test_schedule_is_fair_and_reproducible() -> None:
    turns = drill_schedule.plan(drill_faults.ENTRIES, 4, True, 11)
    assert turns == drill_schedule.plan(drill_faults.ENTRIES, 4, True, 11)
    assert turns != drill_schedule.plan(drill_faults.ENTRIES, 4, True, 12)
    for number in range(1, 5):
        of_round = [t for t in turns if t.number == number]
        assert sorted(t.entry.name for t in of_round if t.keeper) == sorted(drill_faults.NAMES)
        without = {t.entry.name for t in of_round if not t.keeper}
        assert without == set(drill_faults.NAMES) - {"kill_keeper"}
    pairs = [t.entry.name for t in turns if t.entry.name != "kill_keeper"]
    assert pairs[::2] == pairs[1::2]
    assert all(t.keeper for t in drill_schedule.plan(drill_faults.ENTRIES, 1, False, 1))
