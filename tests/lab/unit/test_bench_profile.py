"""`bench profile`: which parts a read passes, what is added up, what a round costs and what is left out."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_machine, load_runner, pgbench
from poolkeeper_lab.bench.measure import meter, network_counters, tracing
from poolkeeper_lab.bench.parts import profile
from poolkeeper_lab.bench.parts.profile import ALL, CPU, HAPROXY, PACKETS, PGPOOL, POSTGRESQL

SPEC = snapshots.SPEC
ENDPOINTS = {endpoint.key: endpoint for endpoint in profile.endpoints(SPEC, "pg_node2")}


def test_endpoints_and_the_services_behind_them() -> None:
    assert {key: (d.host, d.port) for key, d in ENDPOINTS.items()} == {
        "direct": ("10.8.0.12", 5432),
        "direct_rw": ("10.8.0.100", 5200),
        "balanced": ("10.8.0.20", 9999),
        "rw": ("10.8.0.100", 5100),
    }
    assert ENDPOINTS["rw"].services == {"haproxy_pgpool": HAPROXY, "pgpool_rw": PGPOOL, "pg_node2": POSTGRESQL}
    assert set(ENDPOINTS["balanced"].services) == {"pgpool", "pg_node1", "pg_node2", "pg_node3"}


def test_no_direct_endpoint_no_such_endpoint() -> None:
    endpoints = SPEC.endpoints.model_copy(update={"direct_rw": SPEC.endpoints.direct_rw.model_copy(update={"port": 0})})
    spec = SPEC.model_copy(update={"endpoints": endpoints})
    assert [endpoint.key for endpoint in profile.endpoints(spec, "pg_node1")] == ["direct", "balanced", "rw"]


def test_services_are_added_up_to_parts() -> None:
    """A service that no read of this endpoint passes is in no part."""
    of_service = {"pg_node1": {"calls": 3.0}, "pg_node2": {"calls": 4.0}, "keeper": {"calls": 99.0}}
    assert profile.add_up(ENDPOINTS["balanced"].services, of_service) == {(POSTGRESQL, "calls"): 7.0}


def test_sum_of_all_parts_is_by_round_and_without_the_client() -> None:
    found = profile.ProfileValues()
    for haproxy, server, client in ((10.0, 20.0, 100.0), (14.0, 22.0, 100.0), (12.0, 30.0, 100.0)):
        found.note(
            "simple", "rw", {(HAPROXY, CPU): haproxy, (POSTGRESQL, CPU): server, (load_runner.CLIENT, CPU): client}
        )
    figures = {m.about["part"]: m for m in found.metrics(7)}
    assert figures[ALL].rounds == (30.0, 36.0, 42.0)
    estimate = figures[ALL].estimate
    assert estimate is not None
    assert estimate.median == 36.0
    assert (figures[HAPROXY].unit, figures[HAPROXY].group) == ("µs", profile.WORK)


def test_no_sum_where_a_part_lacks_a_round() -> None:
    """Such a share would mix different rounds."""
    found = profile.ProfileValues()
    found.note("simple", "rw", {(HAPROXY, PACKETS): 4.0, (PGPOOL, PACKETS): 4.0})
    found.note("simple", "rw", {(HAPROXY, PACKETS): 4.0})
    assert ALL not in {m.about["part"] for m in found.metrics(7)}


class World:
    """A cluster in which a read costs HAProxy 4 reads, 5 packets and 20 µs, and its checks run beside it."""

    def __init__(self) -> None:
        self.cluster = SimpleNamespace(spec=SPEC, folder=None)
        self.client = SimpleNamespace(pid=9)
        self.now, self.reads, self.served = 100.0, 0.0, 0
        self.short_of = 0

    def where(self, port: int, host: str) -> pgbench.Where:
        """Stand in for the real method."""
        return pgbench.Where(host, port, "app", "x")

    def measure(self, work: load_runner.Work, _where: pgbench.Where, _seconds: int) -> load_runner.LoadResult:
        """A session itself costs 500 reads, and a thousand transactions take a second."""
        ran = work.transactions - self.short_of
        self.served += ran
        self.reads += 500 + 4 * ran
        self.pass_time(ran / 1000)
        return load_runner.LoadResult(pgbench.PgbenchResult(1000.0, ran, 1.0, 2.0, None), meter.Usage(1.0, {}, 0.0))

    def pass_time(self, seconds: float) -> None:
        """Ten reads a second for the checks."""
        self.now += seconds
        self.reads += 10 * seconds


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    class Meter:
        """Stand in for the real method; only HAProxy uses its processor."""

        def __init__(self, parts: dict[str, int]) -> None:
            self.parts = parts

        def read(self) -> meter.MeterReading:
            """Now."""
            return meter.MeterReading(made.now, 0.0, 0.0, {"haproxy_pgpool": 20e-6 * made.served})

        def since(self, before: meter.MeterReading) -> meter.Usage:
            """Until now."""
            used = self.read().parts["haproxy_pgpool"] - before.parts["haproxy_pgpool"]
            return meter.Usage(made.now - before.at, {"haproxy_pgpool": used}, 0.0)

    @contextmanager
    def counting(_ground: object, services: dict[str, Any]) -> Iterator[tracing.Counted]:
        counted, before = tracing.Counted(), made.reads
        yield counted
        counted.of = {name: {"recvfrom": round(made.reads - before)} for name in services if name == "haproxy_pgpool"}

    def sent(pid: int) -> network_counters.Sent:
        return network_counters.Sent(500 * made.served, 5 * made.served) if pid == 1 else network_counters.Sent(0, 0)

    monkeypatch.setattr(meter, "Meter", Meter)
    monkeypatch.setattr(tracing, "counting", counting)
    monkeypatch.setattr(network_counters, "of_process", sent)
    monkeypatch.setattr(bench_machine, "container_pids", lambda _: {"haproxy_pgpool": 1, "pg_node2": 2, "keeper": 3})
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    monkeypatch.setattr(time, "sleep", made.pass_time)
    return made


def test_the_cost_of_a_read_is_the_difference_of_two_runs(world: World) -> None:
    """The cost excludes the beginning of a session and the background work."""
    loader: Any = world
    costs = profile.EndpointProfile(loader, ENDPOINTS["direct_rw"], "simple").costs(traced=True)
    assert costs[HAPROXY, "reads"] == pytest.approx(4.0)
    assert costs[HAPROXY, "calls"] == pytest.approx(4.0)
    assert costs[HAPROXY, "writes"] == 0.0
    assert costs[HAPROXY, PACKETS] == pytest.approx(5.0)
    assert costs[HAPROXY, profile.SENT_BYTES] == pytest.approx(500.0)
    assert costs[HAPROXY, CPU] == pytest.approx(20.0)
    assert costs[POSTGRESQL, PACKETS] == 0.0
    assert "keeper" not in {part for part, _ in costs}


def test_without_strace_the_rest_is_measured(world: World) -> None:
    loader: Any = world
    costs = profile.EndpointProfile(loader, ENDPOINTS["direct_rw"], "simple").costs(traced=False)
    assert costs[HAPROXY, CPU] == pytest.approx(20.0)
    assert (HAPROXY, "reads") not in costs


def test_transactions_that_were_not_run_are_no_figure(world: World) -> None:
    world.short_of = 1
    loader: Any = world
    with pytest.raises(errors.EngineFailed, match="499 of 500"):
        profile.EndpointProfile(loader, ENDPOINTS["direct_rw"], "simple").costs(traced=True)


def test_an_endpoint_that_fails_is_counted_and_the_others_continue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order: list[str] = []

    def costs(self: profile.EndpointProfile, traced: bool) -> dict[Any, float]:
        assert not traced
        order.append(f"{self.protocol} {self.endpoint.key}")
        if self.endpoint.key == "balanced":
            raise errors.EngineFailed("no")
        return {(HAPROXY, CPU): 1.0}

    monkeypatch.setattr(profile.EndpointProfile, "costs", costs)
    part = profile.make(Cluster(SPEC, state.State(tmp_path), tmp_path), BenchOptions(seed=7))
    loader: Any = SimpleNamespace(cluster=SimpleNamespace(spec=SPEC), primary="pg_node1")
    part._round(loader, traced=False, backwards=False, progress=Silent())
    part._round(loader, traced=False, backwards=True, progress=Silent())
    assert order[:4] == ["simple direct", "simple direct_rw", "simple balanced", "simple rw"]
    assert order[12:16] == ["simple rw", "simple balanced", "simple direct_rw", "simple direct"]
    tally = part.section().tally
    assert (tally.kept, tally.failed) == (18, 6)


def test_section_without_a_run_is_complete(tmp_path: Path) -> None:
    section = profile.make(Cluster(SPEC, state.State(tmp_path), tmp_path), BenchOptions(seed=7)).section()
    assert (section.metrics, section.tally.kept) == ((), 0)
