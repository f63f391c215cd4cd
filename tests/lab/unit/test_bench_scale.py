"""`bench scale`: the cluster of its own, the caps and what limited, the standbys that serve, room on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core.progress import Silent
from poolkeeper.system import haproxy_runtime, postgres, state
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import load_runner, pgbench
from poolkeeper_lab.bench.measure import busy, caps, disk_space, meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.parts import scale_clone, scale_figures, scale_nodes, scale_reads
from poolkeeper_lab.bench.parts.scale_figures import TPS, name
from poolkeeper_lab.bench.parts.scale_reads import Standbys
from poolkeeper_lab.bench.report.bench_model import BenchGoal
from poolkeeper_lab.drill import drill_run

SPEC = snapshots.SPEC


# ── Which standbys serve ──

STANDBYS = Standbys(SPEC, "pg_node2")


def test_the_first_standbys_serve_and_every_session_ends() -> None:
    assert STANDBYS.names == ("pg_node1", "pg_node3")
    assert STANDBYS.commands(1) == [
        "set server standbys/pg_node1 state ready",
        "set server standbys/pg_node3 state drain",
        "shutdown sessions server standbys/pg_node1",
        "shutdown sessions server standbys/pg_node3",
    ]


def seen(**states: tuple[str, str]) -> list[Any]:
    """HAProxy's servers at the standbys' port."""
    return [haproxy_runtime.ServerState("standbys", n, up, admin, 0) for n, (up, admin) in states.items()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "lacks"),
    [
        ({"pg_node1": ("up", "ready"), "pg_node3": ("up", "drain")}, False),
        ({"pg_node1": ("up", "ready"), "pg_node3": ("up", "ready")}, True),
        ({"pg_node1": ("down", "ready"), "pg_node3": ("up", "drain")}, True),
        ({"pg_node1": ("up", "ready"), "pg_node2": ("up", "ready")}, True),  # the primary serves readers
        ({"pg_node1": ("up", "ready"), "pg_node2.fallback": ("up", "ready")}, False),  # while no standby is up
    ],
)
def test_exactly_the_chosen_standbys_must_be_usable(states: dict[str, tuple[str, str]], lacks: bool) -> None:
    others = [haproxy_runtime.ServerState("primary", "pg_node3", "up", "ready", 0)]
    assert (STANDBYS.lacks(1, [*others, *seen(**states)]) is not None) is lacks


def test_serve_waits_until_the_chosen_standbys_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []
    answers = iter([seen(pg_node1=("down", "ready")), seen(pg_node1=("up", "ready"), pg_node3=("up", "drain"))])

    async def send(_address: str, _port: int, commands: Sequence[str], _limit: float) -> tuple[str, ...]:
        found.extend(commands)
        return ()

    async def servers(*_: object) -> list[Any]:
        return next(answers)

    monkeypatch.setattr(haproxy_runtime, "send", send)
    monkeypatch.setattr(haproxy_runtime, "servers", servers)
    asyncio.run(STANDBYS.serve(1))
    assert found == STANDBYS.commands(1)
    with pytest.raises(StopIteration):
        next(answers)


# ── The figures ──


def book(tps: dict[int, list[float]]) -> RoundsRecord:
    """Return the book of one case, with a contender for each size."""
    numbers = {size: iter(values) for size, values in tps.items()}

    def contender(size: int) -> Contender:
        return Contender(name(size), lambda: Sample({TPS: next(numbers[size])}))

    ratios = tuple(Ratio(name(size), name(1), TPS) for size in tps if size > 1)
    made = RoundsRecord(
        [Case({"read": "one row", "endpoint": "5101"}, tuple(map(contender, tps)), ratios, "standbys")], 3, 7
    )
    rounds.play(made, Silent())
    return made


def goal(made: RoundsRecord, limits: Sequence[str] = (), sizes: Sequence[int] = (1, 3), void: str = "") -> BenchGoal:
    """The goal of that case."""
    return scale_figures.goal(made, "one row, 5101", 7, limits, sizes, void)


def test_goal_is_three_over_one_and_says_what_limited() -> None:
    made = book({1: [100, 110, 90], 3: [280, 308, 270]})
    found = goal(made, [caps.NODES, caps.NODES, caps.CORES])
    assert found.estimate is not None
    assert found.estimate.median == pytest.approx(2.8)
    assert found.is_met is True
    assert found.reason == "what limited with 3 standbys: the capped nodes (2 of 3 measurements)"


@pytest.mark.parametrize(
    ("made", "sizes", "void", "reason"),
    [
        (book({1: [100] * 3, 2: [200] * 3}), (1, 2), "", "3 standbys were not measured"),
        (book({1: [100] * 3, 3: [280] * 3}), (1, 3), "the role moved", "the role moved"),
        (RoundsRecord([], 3, 7), (1, 3), "", "it was not run"),
    ],
)
def test_goal_that_was_not_measured_is_not_met(
    made: RoundsRecord, sizes: tuple[int, ...], void: str, reason: str
) -> None:
    found = goal(made, [caps.NODES], sizes, void)
    assert (found.estimate, found.is_met, found.reason) == (None, None, reason)


def test_a_ratio_below_the_goal_is_missed() -> None:
    assert goal(book({1: [100] * 3, 3: [269] * 3})).is_met is False


def test_lines_name_the_limit_of_each_size() -> None:
    (played,) = book({1: [100] * 3, 3: [280] * 3}).played
    (line,) = scale_figures.lines(played, {3: [caps.CORES], 1: [caps.NODES], 2: []})
    assert line.endswith("1 standby: the capped nodes; 3 standbys: the machine's cores")


# ── A measurement of reads, with fakes ──


class Loader:
    """Stand in for `loads.Loader`; every service uses this number of processors."""

    def __init__(self, used: dict[str, float]) -> None:
        self.cluster = SimpleNamespace(spec=SPEC)
        self.used, self.ran = used, list[tuple[str, int, str]]()

    def where(self, port: int, at: str = "") -> pgbench.Where:
        """Stand in for the real method."""
        return pgbench.Where(at, port, "app", "x")

    def measure(self, work: load_runner.Work, where: pgbench.Where, seconds: int) -> load_runner.LoadResult:
        """Note what was asked for."""
        self.ran.append((work.script, where.port, where.host))
        parts = {service: share * seconds for service, share in self.used.items()}
        return load_runner.LoadResult(
            pgbench.PgbenchResult(1000.0, 1000, 2.0, 9.0, None), meter.Usage(seconds, parts, 0.05), 1.9
        )


def test_a_read_is_warmed_up_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[int] = []

    async def serve(_: Standbys, size: int) -> None:
        served.append(size)

    begun: list[Any] = []
    monkeypatch.setattr(Standbys, "serve", serve)
    monkeypatch.setattr(scale_reads, "restart_pgpool", begun.append)
    monkeypatch.setattr(busy, "cores", lambda: 2)
    loader: Any = Loader({"pg_node1": 0.25, "pg_node3": 0.01, "haproxy_pgpool": 0.3, "pgpool_ro": 0.4, "pgbench": 0.2})
    endpoint = scale_reads.ReadEndpoint("ro", SPEC.endpoints.ro.port)
    limits: list[str] = []
    work = load_runner.Work(pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.SIMPLE, 24), script=scale_reads.MANY_ROWS)
    taken = scale_reads.Taker(loader, STANDBYS, work, endpoint, 6).contender(1, limits).take()
    assert (served, begun) == ([1], [loader])
    assert loader.ran == [(scale_reads.MANY_ROWS, 5101, str(SPEC.haproxy.address))] * 2
    values = {measure.name: value for measure, value in taken.values.items()}
    assert values["throughput"] == 1000
    assert values["the other nodes"] == pytest.approx(0.01)
    assert values[scale_figures.CAP.name] == pytest.approx(1.0)
    assert values[scale_figures.MACHINE.name] == 1.9
    assert limits == [caps.NODES]
    assert taken.foreign == 0.05


def test_readers_endpoints() -> None:
    """The direct endpoint takes part only if it has enough sessions for the clients."""
    assert [endpoint.port for endpoint in scale_reads.endpoints(SPEC)] == [5101, 5201]
    endpoints = SPEC.endpoints.model_copy(
        update={"direct_ro": SPEC.endpoints.direct_ro.model_copy(update={"max_sessions": 23})}
    )
    assert [endpoint.key for endpoint in scale_reads.endpoints(SPEC.model_copy(update={"endpoints": endpoints}))] == [
        "ro"
    ]


def test_clients_are_shared_out_evenly() -> None:
    assert not [size for size in scale_reads.SIZES if scale_reads.CLIENTS % size]
    assert SPEC.endpoints.ro.num_init_children - 2 >= scale_reads.CLIENTS


# ── More nodes, and a new standby ──


class Own:
    """Stand in for `scratch_cluster.ScratchCluster`; each command takes the seconds of its line."""

    def __init__(self, folder: Path, seconds: dict[str, Iterator[float]], sizes: list[int]) -> None:
        self.folder, self._seconds, self._sizes = folder, seconds, sizes
        self.did: list[str] = []

    @property
    def cluster(self) -> Any:
        """Return a cluster that has only a spec and passwords."""
        return SimpleNamespace(spec=SPEC, with_passwords=lambda: SimpleNamespace(node=lambda *_: None))

    def declare(self, made: dict[str, Any]) -> None:
        """Note how many nodes."""
        self.did.append(f"declare {len(made['nodes'])}")

    def command(self, *words: str) -> float:
        """Note the command."""
        self.did.append(words[0])
        return next(self._seconds[words[0]])

    def remove(self) -> None:
        """Note it."""
        self.did.append("remove")


def test_a_cluster_of_nodes_begins_with_nothing_and_is_removed(tmp_path: Path) -> None:
    own: Any = Own(tmp_path, {"up": iter([20.0, 1.0]), "status": iter([0.5]), "test": iter([9.0])}, [])
    taken = scale_nodes.take(own, scratch_cluster.document(SPEC, 5))
    assert own.did == ["remove", "declare 5", "up", "up", "status", "test", "remove"]
    assert [taken.values[m] for m in (scale_nodes.UP, scale_nodes.AGAIN, scale_nodes.STATUS, scale_nodes.SUITE)] == [
        20.0,
        1.0,
        0.5,
        9.0,
    ]


def test_a_new_standby_is_added_and_removed_in_each_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([30.0, *[10.0, 2.0] * 2, *[14.0, 2.0] * 2])
    own: Any = Own(tmp_path, {"up": seconds}, [])
    sizes = iter([[(20_000_000,)], [(1_020_000_000,)]])

    @contextmanager
    def scratch(*_: object) -> Iterator[Any]:
        yield own

    @contextmanager
    def ready(*_: object) -> Iterator[None]:
        own.did.append("fill")
        yield

    async def query(*_: object) -> Any:
        return next(sizes)

    async def healthy(_: float) -> str:
        return "pg_node1"

    monkeypatch.setattr(scratch_cluster, "scratch", scratch)
    monkeypatch.setattr(load_runner, "ready", ready)
    monkeypatch.setattr(postgres, "query", query)
    monkeypatch.setattr(disk_space, "check", lambda *_: None)
    monkeypatch.setattr(disk_space, "engine_folder", lambda: tmp_path)
    monkeypatch.setattr(drill_run, "drilled", lambda _: SimpleNamespace(wait_healthy=healthy))
    part = scale_clone.Clone(Cluster(SPEC, state.State(tmp_path), tmp_path), BenchOptions(rounds=2, seed=7))
    part.run(Silent())
    turn = ["declare 4", "up", "declare 3", "up"]
    assert own.did == ["declare 3", "up", *turn, *turn, "fill", *turn, *turn]
    figures = {(m.about["data"], m.name): m.estimate for m in part.section().metrics}
    found = {key: value.median for key, value in figures.items() if value}
    full = "pgbench's tables, scale 64"
    assert found[scale_clone.EMPTY, scale_clone.SECONDS] == 10
    assert found[full, scale_clone.SECONDS] == 14
    assert found[full, scale_clone.RATE] == pytest.approx(250)
    assert part.section().tally.kept == 4


def test_no_rate_is_computed_for_a_round_without_more_data() -> None:
    empty, full = scale_clone.CloneTimes("", 0, [10, 10]), scale_clone.CloneTimes("", 10**9, [10, 20])
    assert scale_clone.rate(empty, full) == [pytest.approx(100)]


def test_sections_without_a_run_are_complete(tmp_path: Path) -> None:
    """An interruption before the first figure is no error."""
    cluster = Cluster(SPEC, state.State(tmp_path), tmp_path)
    for module in (scale_reads, scale_nodes, scale_clone):
        found = module.make(cluster, BenchOptions(seed=7)).section()
        assert found.tally.kept == 0
        assert not [goal for goal in found.goals if goal.is_met]
