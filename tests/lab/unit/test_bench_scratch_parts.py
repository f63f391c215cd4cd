"""The parts that use a scratch cluster, from begin to end, with a fake one: the order, and the report."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model import source
from poolkeeper.system import haproxy_runtime, state
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_machine, load_runner, pgbench
from poolkeeper_lab.bench.load.pgbench import PgbenchResult
from poolkeeper_lab.bench.measure import caps, cpu, disk_space, meter, startup_times, tracing
from poolkeeper_lab.bench.measure.meter import Usage
from poolkeeper_lab.bench.measure.rounds import Sample
from poolkeeper_lab.bench.parts import haproxy_checks, overhead, profile, scale_reads, try_part
from poolkeeper_lab.bench.parts.overhead_figures import CPU, MEMORY
from poolkeeper_lab.drill import drill_run

SPEC = snapshots.SPEC
SECRETS = dict.fromkeys(state.SECRET_NAMES, "x")


class World:
    """A cluster of the bench's own that records its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.did: list[str] = []
        self.spec = SPEC
        self.serving = 0
        self.up_states = ("pg_node1",)

    # as ScratchCluster

    @property
    def cluster(self) -> Any:
        """Return the latest declaration."""
        return SimpleNamespace(
            spec=self.spec, with_passwords=lambda: Cluster(self.spec, secrets=SECRETS), container=lambda s: s
        )

    @cluster.setter
    def cluster(self, given: Any) -> None:
        """The loader notes a change."""
        assert given.spec == self.spec

    def declare(self, made: dict[str, Any]) -> None:
        """Note how many nodes."""
        self.spec = source.load(startup_times.to_toml(made))
        self.did.append(f"declare {len(self.spec.nodes)}")

    def command(self, *words: str) -> float:
        """Note it."""
        self.did.append(words[0])
        return 1.0

    @contextmanager
    def scratch(self, *_: object) -> Iterator[World]:
        """Stand in for `scratch_cluster.scratch`."""
        self.did.append("begin")
        try:
            yield self
        finally:
            self.did.append("removed")

    # as loads.Loader

    primary = "pg_node1"

    @contextmanager
    def ready(self, *_: object) -> Iterator[World]:
        """Stand in for `loads.ready`."""
        self.did.append("fill")
        yield self

    def write(self, name: str, text: str) -> None:
        """Note a script."""
        self.did.append(f"write {name}")
        assert ":scale" in text

    def where(self, port: int, at: str = "") -> SimpleNamespace:
        """Stand in for the real method."""
        return SimpleNamespace(port=port, host=at)

    def find_containers(self) -> None:
        """Report no change."""

    def tidy(self) -> None:
        """Do nothing."""

    def measure(self, work: load_runner.Work, _where: object, seconds: int) -> load_runner.LoadResult:
        """Return a rate that grows with the standbys; a commit without a wait is twice as fast."""
        speed = 100.0 * max(1, self.serving) * (2 if work.settings.get("synchronous_commit") == "local" else 1)
        used = {name: 0.25 * seconds for name in ("pg_node2", "pg_node3", "more_node4", "more_node5")}
        return load_runner.LoadResult(PgbenchResult(speed, 100, 1.0, 2.0, None), Usage(float(seconds), used, 0.0), 1.5)

    # as Site

    @property
    def host(self) -> None:
        """Unused."""

    async def wait_healthy(self, _: float) -> str:
        """Report that the condition holds."""
        return "pg_node1"

    # as HAProxy

    async def servers(self, *_: object) -> tuple[haproxy_runtime.ServerState, ...]:
        """Return the primary's port, at the end of a run."""
        return tuple(haproxy_runtime.ServerState("primary", name, "up", "ready", 0) for name in self.up_states)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)

    class Stop:
        """Stand in for `StopContainer`."""

        def __init__(self, _host: object, victim: str, _seconds: int) -> None:
            self._victim = victim

        def inject(self) -> None:
            """Note it."""
            made.did.append(f"stop {self._victim}")

    async def serve(_: object, size: int) -> None:
        made.serving = size

    monkeypatch.setattr(scratch_cluster, "scratch", made.scratch)
    monkeypatch.setattr(load_runner, "ready", made.ready)
    monkeypatch.setattr(drill_run, "drilled", lambda _: made)
    monkeypatch.setattr(disk_space, "engine_folder", lambda: tmp_path)
    monkeypatch.setattr(disk_space, "check", lambda nodes, *_: made.did.append(f"room for {nodes}"))
    monkeypatch.setattr(caps, "limit", lambda names, cpus: made.did.append(f"limit {len(names)} to {cpus}"))
    monkeypatch.setattr(scale_reads, "StopContainer", Stop)
    monkeypatch.setattr(overhead, "StopContainer", Stop)
    monkeypatch.setattr(scale_reads.Standbys, "serve", serve)
    monkeypatch.setattr(scale_reads, "restart_pgpool", lambda _: None)
    monkeypatch.setattr(haproxy_runtime, "servers", made.servers)
    return made


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """The declared cluster."""
    return Cluster(SPEC, state.State(tmp_path), tmp_path)


def test_reads_from_begin_to_end(world: World, cluster: Cluster) -> None:
    part = scale_reads.make(cluster, BenchOptions(rounds=2, seconds=1, seed=7))
    part.run(Silent())
    assert world.did == [
        "begin",
        "room for 5",
        "declare 5",
        "up",
        "fill",
        f"write {scale_reads.MANY_ROWS}",
        "stop keeper",  # before anything that it would put right
        "limit 5 to 0.25",
        "removed",
    ]
    section = part.section()
    assert [goal.sentence.partition(":")[0] for goal in section.goals] == [
        "one row, 5101",
        "one row, 5201",
        "1,000 rows, 5101",
        "1,000 rows, 5201",
    ]
    assert {goal.estimate.median if goal.estimate else None for goal in section.goals} == {3.0}
    assert {goal.is_met for goal in section.goals} == {True}
    assert section.tally.kept == 8
    limits = "1,000 rows, 5101, what limited: 1 standby: the capped nodes; 2 standbys: the capped nodes"
    assert limits in section.notes[2]


def test_reads_are_void_where_the_role_moved(world: World, cluster: Cluster) -> None:
    world.up_states = ("pg_node3",)
    part = scale_reads.make(cluster, BenchOptions(rounds=1, seconds=1, seed=7))
    part.run(Silent())
    section = part.section()
    assert section.notes[0] == "no figure holds: pg_node1 was the primary at first and at the end it is ['pg_node3']"
    assert {goal.is_met for goal in section.goals} == {None}


@pytest.mark.parametrize("module", [scale_reads, overhead, try_part])
def test_no_room_no_cluster(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    def full(*_: object) -> None:
        raise errors.DiskFull("full")

    monkeypatch.setattr(disk_space, "check", full)
    with pytest.raises(errors.DiskFull):
        module.make(cluster, BenchOptions(rounds=1, seed=7, variants=("haproxy.hold_ms=0",))).run(Silent())
    assert world.did == ["begin", "removed"]


def test_overhead_from_begin_to_end(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Sequence[str]] = []

    @contextmanager
    def without(_spec: object, kinds: Sequence[str]) -> Iterator[None]:
        left.append(tuple(kinds))
        yield

    class Meter:
        """All parts together use 10 ms a second, and 2 less without any kind of check."""

        def __init__(self, _: object) -> None:
            pass

        def read(self) -> meter.MeterReading:
            """Unused."""
            return meter.MeterReading(0.0, 0.0, 0.0, {})

        def since(self, _: object) -> Usage:
            """Return the usage of a second."""
            return Usage(1.0, {"haproxy_pgpool": 0.010 - 0.002 * len(left[-1])}, 0.0)

    def take(self: overhead.Watched, work: Any, *, counts_foreign: bool) -> Sample:
        assert self
        assert counts_foreign is (work.__name__ == "wait")
        world.did.append(work.__name__)
        return Sample({CPU: 1.0, MEMORY: 40.0})

    monkeypatch.setattr(haproxy_checks, "without", without)
    monkeypatch.setattr(meter, "Meter", Meter)
    monkeypatch.setattr(bench_machine, "container_pids", lambda _: {})
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(overhead.Watched, "take", take)
    part = overhead.make(cluster, BenchOptions(rounds=2, seconds=1, seed=7))
    part.run(Silent())
    turns = ["wait", "loaded", "fail_over", "fail_over", "loaded", "wait"]
    assert world.did == ["begin", "room for 3", "declare 3", "up", "fill", *turns, "stop keeper", "removed"]
    section = part.section()
    figures = {(*m.about.values(), m.name): m.estimate for m in section.metrics}
    medians = {key: found.median for key, found in figures.items() if found}
    assert medians["TPC-B-like", overhead.QUORUM, f"throughput ÷ {overhead.ALONE}"] == 0.5
    assert medians[haproxy_checks.PRIMARY, "HAProxy"] == pytest.approx(2.0)
    assert medians[haproxy_checks.ENDPOINTS, "one check"] == pytest.approx(1.0)
    assert {len(kinds) for kinds in left} == {0, 1, 3}
    assert [goal.is_met for goal in section.goals] == [True, True]
    assert section.tally.kept == 6


def test_profile_from_begin_to_end(world: World, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[bool] = []

    def costs(_: profile.EndpointProfile, is_traced: bool) -> dict[tuple[str, str], float]:
        traced.append(is_traced)
        return {(profile.HAPROXY, profile.CPU): 3.0}

    monkeypatch.setattr(tracing, "available", lambda: "not installed on this machine: strace")
    monkeypatch.setattr(profile.EndpointProfile, "costs", costs)
    part = profile.make(cluster, BenchOptions(rounds=1, seed=7))
    part.run(Silent())
    assert world.did == ["begin", "declare 3", "up", "fill", "removed"]
    assert traced == [False] * 12
    section = part.section()
    assert section.notes == ("system calls were not counted: not installed on this machine: strace",)
    assert (section.tally.asked, section.tally.kept) == (12, 12)


def test_variants_from_begin_to_end(world: World, cluster: Cluster) -> None:
    part = try_part.make(cluster, BenchOptions(rounds=2, seconds=1, seed=7, variants=("haproxy.hold_ms=0",)))
    part.run(Silent())
    assert world.did == [
        "begin",
        "room for 3",
        "declare 3",
        "up",
        "fill",
        "declare 3",
        "up",
        "declare 3",
        "up",
        "removed",
    ]
    ratios = [m for m in part.section().metrics if "÷" in m.name]
    assert len(ratios) == 6
    assert {m.about["variant"] for m in ratios} == {"haproxy.hold_ms=0"}
    assert part.section().tally.kept == 2


def test_loader_counts_the_machine_and_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader runs pgbench with its log, on the primary's own port if no other address is given."""
    ran: list[list[str]] = []
    worked = iter([10.0, 13.0])

    def run(argv: list[str], _seconds: float) -> str:
        ran.append(argv)
        return "number of transactions actually processed: 400\ntps = 100.0 (without)\n"

    using: Any = SimpleNamespace(pid=5, run=run, take_log=lambda: "0 1 1500 0 1700000000 1\n")
    clock = SimpleNamespace(
        read=lambda: None, since=lambda _: Usage(2.0, {"pg_node1": 1.0, load_runner.CLIENT: 0.5}, 0.0)
    )
    monkeypatch.setattr(bench_machine, "container_pids", lambda _: {"pg_node1": 1})
    monkeypatch.setattr(meter, "Meter", lambda parts: clock if parts == {"pg_node1": 1, "pgbench": 5} else None)
    monkeypatch.setattr(cpu, "of_machine", lambda: next(worked))
    its: Any = SimpleNamespace(spec=SPEC)
    loader = load_runner.Loader(its, "pg_node2", using, 10, 7)
    work = load_runner.Work(one_reader())
    taken = loader.measure(work, loader.where(5432), 2)
    assert (taken.result.tps, taken.result.p50, taken.machine) == (100.0, 1.5, 1.5)
    assert "--host=10.8.0.12" in ran[0]
    assert "--random-seed=7" in ran[0]


def one_reader() -> Any:
    """Return one client that reads."""
    return pgbench.PgbenchLoad(pgbench.READ_ONLY, pgbench.SIMPLE, 1)
