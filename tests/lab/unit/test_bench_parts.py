"""The parts of the bench from begin to end, with a fake fake: everything is measured, reported, and removed."""

from __future__ import annotations

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
from poolkeeper.system import state
from poolkeeper_lab.bench import bench_parts
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_endpoints, bench_machine, database
from poolkeeper_lab.bench.load.storm_job import StormAttempt, StormJob, StormReport
from poolkeeper_lab.bench.measure import cpu, meter
from poolkeeper_lab.bench.parts import path, storm
from poolkeeper_lab.drill import drill_run

SPEC = snapshots.SPEC
ACCESS = Cluster(SPEC, secrets=dict.fromkeys(state.SECRET_NAMES, "x"))
SPEEDS = {"10.8.0.11": 1000.0, "10.8.0.100": 620.0, "10.8.0.20": 500.0}


class FakeCluster:
    """A healthy fake whose primary is as listed, one check after the other; pgbench inside says an endpoint's speed."""

    def __init__(self, primaries: Sequence[str]) -> None:
        self.primaries = list(primaries)
        self.cluster = ACCESS
        self.pid = 1
        self.ran: list[list[str]] = []
        self.tidied = 0
        self.state = ""

    async def wait_healthy(self, seconds: float) -> str:
        """Return the next primary of the list."""
        del seconds
        return self.primaries.pop(0) if len(self.primaries) > 1 else self.primaries[0]

    def run(self, argv: list[str], seconds: float) -> str:
        """Return pgbench's output; one endpoint is full."""
        del seconds
        assert self.state == "loaded"
        self.ran.append(argv)
        words = dict(word.partition("=")[::2] for word in argv)
        if words["--port"] == "5201":
            raise errors.EngineFailed("pgbench: no standby")
        speed = SPEEDS[words["--host"]]
        return f"number of transactions actually processed: {int(4 * speed)}\ntps = {speed} (without)\n"

    def take_log(self) -> str:
        """Return the log of one transaction."""
        return "0 1 1500 0 1700000000 1\n"

    async def tidy(self, *_: object) -> None:
        """Count the calls."""
        self.tidied += 1

    @contextmanager
    def loaded(self, *_: object) -> Iterator[FakeCluster]:
        """Provide the fake for the length of the block."""
        self.state = "loaded"
        try:
            yield self
        finally:
            self.state = "gone"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """Return a fake whose primary stays."""
    made = FakeCluster(["pg_node1"])
    monkeypatch.setattr(bench_endpoints, "PROVIDERS", {})  # a peer would run in a real engine
    monkeypatch.setattr(drill_run, "drilled", lambda _: made)
    monkeypatch.setattr(database, "loaded", made.loaded)
    monkeypatch.setattr(database, "tidy", made.tidy)
    monkeypatch.setattr(bench_machine, "container_pids", lambda _: {"pg_node1": 1})
    monkeypatch.setattr(meter, "source", lambda *_: lambda: 1.0)
    monkeypatch.setattr(cpu, "of_tree", lambda *_: 1.0)
    return made


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return the cluster of the fake."""
    monkeypatch.setattr(Cluster, "with_passwords", lambda _: ACCESS)
    return Cluster(SPEC, state.State(tmp_path), tmp_path)


def test_the_path_from_begin_to_end(fake: FakeCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "FOREIGN_LIMIT", 1e9)
    part = path.make(cluster, BenchOptions(rounds=2, seconds=1, seed=7))
    part.run(Silent())
    section = part.section()
    assert fake.state == "gone"
    words = {goal.sentence.partition(":")[0]: goal.word for goal in section.goals}
    assert words == {"5100 ÷ direct": "missed", "9999 ÷ PgBouncer": "not measured", "5200 ÷ direct": "missed"}
    assert [goal.is_met for goal in section.goals] == [True, None, False, True, False, False]
    named = {(m.about["endpoint"], m.name) for m in section.metrics if m.estimate}
    assert {("direct", "throughput"), ("5100", "throughput ÷ direct"), ("9999", "p99"), ("direct", "pgbench")} <= named
    without = [m for m in section.metrics if m.about["endpoint"] == "5201"]
    assert {m.reason for m in without} == {"pgbench: no standby"}
    assert (section.tally.asked, section.tally.kept, section.tally.discarded) == (14, 14, 0)
    writes = [argv for argv in fake.ran if "--builtin=select-only" not in argv]
    assert 0 < fake.tidied < len(writes)


def test_a_role_that_moved_makes_the_run_void(fake: FakeCluster, cluster: Cluster) -> None:
    fake.primaries = ["pg_node1", "pg_node2"]
    part = path.make(cluster, BenchOptions(rounds=1, seconds=1, seed=7, only="TPC-B"))
    part.run(Silent())
    assert {goal.is_met for goal in part.section().goals} == {None}
    assert "the role moved from pg_node1 to pg_node2" in part.section().notes[0]


def test_an_interrupted_path_reports_the_rounds_that_were_done(
    fake: FakeCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, done = fake.run, [0]

    def interrupted(argv: list[str], seconds: float) -> str:
        done[0] += 1
        if done[0] > 12:
            raise KeyboardInterrupt
        return usual(argv, seconds)

    monkeypatch.setattr(meter, "FOREIGN_LIMIT", 1e9)
    monkeypatch.setattr(fake, "run", interrupted)
    part = path.make(cluster, BenchOptions(rounds=9, seconds=1, seed=7, only="TPC-B"))
    with pytest.raises(KeyboardInterrupt):
        part.run(Silent())
    assert fake.state == "gone"
    assert part.section().tally.kept == 2


def test_the_storm_from_begin_to_end(fake: FakeCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[StormJob] = []

    def perform(job: StormJob) -> StormReport:
        jobs.append(job)
        last = 1.0 if job.sessions else 2.9 if job.port == 5100 else 9.0
        return StormReport((StormAttempt(0.5, last / 2), StormAttempt(1.5, last)))

    monkeypatch.setattr(meter, "FOREIGN_LIMIT", 1e9)
    monkeypatch.setattr(storm, "perform", perform)
    part = storm.make(cluster, BenchOptions(rounds=2, seed=7))
    part.run(Silent())
    section = part.section()
    assert fake.state == "gone"
    assert [goal.is_met for goal in section.goals] == [True, True, True, True]
    assert {job.port for job in jobs} == {5100, 9999, 5200}
    assert {job.clients for job in jobs if job.sessions} == {storm.CLIENTS}
    assert max(job.clients for job in jobs) == storm.CLIENTS
    assert len({job.seed for job in jobs}) == len(jobs)
    busy = {(m.about["endpoint"], m.about["sessions"]) for m in section.metrics if "sessions" in m.about}
    assert {("5100", "30"), ("5100", "32"), ("5100", "64"), ("9999", "64")} <= busy
    assert (section.tally.asked, section.tally.kept) == (8 + 3, 8 + 3)


def test_a_complete_run_is_recorded_with_the_machine(
    fake: FakeCluster, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_machine, "foreign_now", lambda _: 0.25)
    monkeypatch.setattr(bench_machine, "versions_of", lambda _: {"PostgreSQL": "17"})
    made: dict[str, Any] = {"good": path.make(cluster, BenchOptions(rounds=1, seconds=1, seed=7, only="TPC-B"))}
    made["bad"] = SimpleNamespace(run=lambda _: fake.run(["--port=5201"], 1), section=made["good"].section)
    fake.state = "loaded"
    run, failures = bench_parts.perform(
        cluster, ("bad", "good"), BenchOptions(seed=7), "poolkeeper bench all", Silent(), lambda name, *_: made[name]
    )
    assert [section.name for section in run.sections] == ["path", "path"]
    assert run.sections[0].notes[0] == "it ended early: pgbench: no standby"
    assert (list(failures), run.is_interrupted, run.machine.foreign) == (["bad"], False, 0.25)
    assert run.settings["endpoints.rw.num_init_children"] == "32"
