"""The course of a drill: rounds that cannot run are reported, the table is dropped, the command lists the faults."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit import drill_sample as sample
from typer.testing import CliRunner

from poolkeeper.cli import main
from poolkeeper.core import errors
from poolkeeper.model.observed import PatroniMember, PatroniView
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.cli import drill_command
from poolkeeper_lab.drill import drill_faults, drill_round, drill_run, drill_schedule, drill_writer, drilled_cluster
from poolkeeper_lab.drill.drill_results import DrillRound
from poolkeeper_lab.drill.drill_schedule import ScheduledFault
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.healing import Healing
from poolkeeper_lab.faults.host import Host

TURNS = drill_schedule.plan(drill_faults.choose(("kill_node", "kill_pgpool")), 2, False, 1)


class Notes:
    """Progress that keeps its messages."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self.said.append(title)
        yield

    def note(self, text: str) -> None:
        self.said.append(text)


class Waiting:
    """A healthy site; `patience` has the seconds of each wait."""

    def __init__(self) -> None:
        self.spec = SimpleNamespace(nodes=(), timeouts=SimpleNamespace(up=120))
        self.host = SimpleNamespace(cluster=SimpleNamespace(spec=SimpleNamespace(addresses=dict)))
        self.cluster = None
        self.patience: list[float] = []

    async def wait_healthy(self, seconds: float) -> str:
        self.patience.append(seconds)
        return "pg_node1"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations on the writer's table."""
    seen: list[str] = []

    async def prepare(*_: object) -> None:
        seen.append("made")

    async def clear(*_: object) -> None:
        seen.append("dropped")

    monkeypatch.setattr(drill_writer, "prepare", prepare)
    monkeypatch.setattr(drill_writer, "clear", clear)
    return seen


def played_until(
    monkeypatch: pytest.MonkeyPatch, turns_before: int, end: BaseException
) -> tuple[list[DrillRound], Waiting]:
    """Run a drill in which so many rounds succeed, and the next one raises `end`."""
    done: list[DrillRound] = []
    cluster = Waiting()

    async def one(_: object, turn: ScheduledFault, __: Healing, first: int) -> tuple[DrillRound, int]:
        assert first == 1 + 10 * len(done)
        if len(done) == turns_before:
            raise end
        return sample.made(turn.number, 1.0, fault=turn.entry.name), first + 10

    monkeypatch.setattr(drill_round, "play", one)
    monkeypatch.setattr(drill_run, "sweep", lambda _: None)
    asyncio.run(drill_run.run(cast(Any, cluster), TURNS, Notes(), done.append))
    return done, cluster


def test_rounds_after_an_unhealthy_cluster_are_reported_as_not_run(
    monkeypatch: pytest.MonkeyPatch, tables: list[str]
) -> None:
    done, _ = played_until(monkeypatch, 1, drill_round.NotHealthy("pg_node2 does not stream"))
    assert len(done) == len(TURNS)
    assert [r.problem for r in done] == ["", *["not run: pg_node2 does not stream"] * 3]
    assert tables == ["made", "dropped"]


@pytest.mark.parametrize("end", [KeyboardInterrupt(), errors.EngineFailed("gone")])
def test_an_early_end_drops_the_table_without_a_long_wait(
    monkeypatch: pytest.MonkeyPatch, tables: list[str], end: BaseException
) -> None:
    if isinstance(end, KeyboardInterrupt):
        end = asyncio.CancelledError()  # what a Ctrl-C becomes inside asyncio
    with pytest.raises(type(end)):
        played_until(monkeypatch, 2, end)
    assert tables == ["made", "dropped"]


def test_the_record_returns_the_drill_so_far() -> None:
    record = drill_run.DrillRecord("poolkeeper", drill_faults.ENTRIES, 2, 7)
    record.rounds.append(sample.made(1, 1.0))
    (series,) = record.drill().series
    assert (series.fault, len(series.rounds), record.drill().asked) == ("kill_node", 1, 2)


def member(name: str, state: str = "streaming", timeline: int | None = 2, role: str = "replica") -> PatroniMember:
    """Return a member as Patroni reports it."""
    return PatroniMember(name, role, state, timeline, 0)


@pytest.mark.parametrize(
    ("node", "is_back"),
    [
        (member("n"), True),
        (member("n", timeline=1), False),
        (member("n", "starting"), False),
        (member("n", "running"), False),
        (member("other"), False),
    ],
)
def test_back_is_streaming_on_the_timeline_of_the_leader(node: PatroniMember, is_back: bool) -> None:
    leader = member("leader", "running", role="leader")
    assert (drilled_cluster.lacks_in_patroni(PatroniView((leader, node)), "n") is None) is is_back
    assert drilled_cluster.lacks_in_patroni(PatroniView((node,)), "n") == "there is no leader"
    assert drilled_cluster.lacks_in_patroni(PatroniView((leader,)), "leader") is None


SIDES = (FaultTarget.PRIMARY_SIDE, FaultTarget.STANDBY_SIDE)
ASKED = tuple(role for role in FaultTarget if ("ETCD" in role.name or "QUORUM" in role.name))


def test_roles_of_several() -> None:
    spec = ClusterSpec()
    where = drilled_cluster.DrilledCluster(cast(Any, SimpleNamespace(spec=spec)), cast(Any, None))
    found = [asyncio.run(where.find_all(target, "pg_node2", 1)) for target in (FaultTarget.STANDBYS, *SIDES)]
    assert found == [("pg_node1", "pg_node3"), ("pg_node2", "etcd2"), ("pg_node3", "etcd3")]


def test_roles_in_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leader(_: drilled_cluster.DrilledCluster) -> str:
        return "etcd2"

    monkeypatch.setattr(drilled_cluster.DrilledCluster, "_etcd_leader", leader)
    where = drilled_cluster.DrilledCluster(cast(Any, SimpleNamespace(spec=ClusterSpec())), cast(Any, None))
    target = FaultTarget
    wanted = {
        target.ETCD_LEADER: ("etcd2",),
        target.ETCD_FOLLOWER: ("etcd3",),
        target.ETCD_FOLLOWERS: ("etcd1", "etcd3"),
        target.ETCD_MEMBERS: ("etcd1", "etcd2", "etcd3"),
    }
    assert {role: asyncio.run(where.find_all(role, "pg_node2", 1)) for role in wanted} == wanted


def test_every_role_has_a_service() -> None:
    spec = ClusterSpec()
    where = drilled_cluster.DrilledCluster(cast(Any, SimpleNamespace(spec=spec)), cast(Any, None))
    for target in FaultTarget:
        if target not in (*ASKED, FaultTarget.NODES, FaultTarget.EVERYTHING):
            assert asyncio.run(where.find(target, "pg_node2", 5)) in spec.addresses()
    standbys = {asyncio.run(where.find(FaultTarget.STANDBY, "pg_node2", pick)) for pick in range(4)}
    assert standbys == {"pg_node1", "pg_node3"}


def test_list_shows_every_fault_and_its_goals() -> None:
    shown = CliRunner().invoke(main.app, ["drill", "--list"])
    assert shown.exit_code == 0


def test_the_line_of_a_round_has_gaps_split_and_problem() -> None:
    text = drill_command.line(sample.made(1, 1.25))
    assert "write gap 1.25 s" in text
    assert "detection 0.62" in text
    assert "0 lost of 5000" in text
    assert "PROBLEM: not checked" in drill_command.line(sample.UNHEALED.rounds[0])


@pytest.mark.parametrize("primary", ["pg_node1", "pg_node2", "pg_node3"])
def test_the_primary_is_the_node_with_the_role(primary: str) -> None:
    """The other nodes are its standbys; a declared name never stands for a role that moves."""
    spec = ClusterSpec()
    here = drilled_cluster.DrilledCluster(SimpleNamespace(spec=spec), cast(Host, None))  # type: ignore[arg-type]
    assert asyncio.run(here.find(FaultTarget.PRIMARY, primary, 0)) == primary
    assert primary not in asyncio.run(here.find_all(FaultTarget.STANDBYS, primary, 0))
    assert asyncio.run(here.find(FaultTarget.HAPROXY, primary, 0)) == spec.haproxy.service
