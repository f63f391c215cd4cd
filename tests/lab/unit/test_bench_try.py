"""`bench try`: how variants are read and refused, and that the cluster is changed exactly when it has to be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model import source
from poolkeeper.system import state
from poolkeeper_lab.bench import scratch_cluster
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import load_runner, pgbench
from poolkeeper_lab.bench.measure import meter, rounds, startup_times
from poolkeeper_lab.bench.measure.rounds import Case, RoundsRecord
from poolkeeper_lab.bench.parts import try_part
from poolkeeper_lab.bench.parts.try_part import DECLARED, Tryout
from poolkeeper_lab.drill import drill_run

SPEC = snapshots.SPEC
OTHER = "haproxy.hold_ms=0"


@pytest.mark.parametrize(
    ("text", "edits"),
    [
        ("haproxy.hold_ms=0", [(("haproxy", "hold_ms"), 0)]),
        ("a=true, b.c=1.5", [(("a",), True), (("b", "c"), 1.5)]),
        ("pgpool.parameters.log_line_prefix=%m", [(("pgpool", "parameters", "log_line_prefix"), "%m")]),
        ('a="x=y"', [(("a",), "x=y")]),
        ("a=", [(("a",), "")]),
    ],
)
def test_read(text: str, edits: list[Any]) -> None:
    assert list(try_part.read(text)) == edits


@pytest.mark.parametrize("text", ["haproxy.hold_ms", "", "a=1,", ".a=1", "a..b=1", "=1"])
def test_an_invalid_variant_is_refused(text: str) -> None:
    with pytest.raises(errors.UsageError, match="KEY=VALUE"):
        try_part.read(text)


def test_changed_leaves_the_document_as_it_was() -> None:
    made = {"haproxy": {"hold_ms": 5}, "name": "x"}
    assert try_part.changed(made, try_part.read("haproxy.hold_ms=0,pgpool.parameters.a=1")) == {
        "haproxy": {"hold_ms": 0},
        "name": "x",
        "pgpool": {"parameters": {"a": 1}},
    }
    assert made == {"haproxy": {"hold_ms": 5}, "name": "x"}


@pytest.mark.parametrize("text", ["name.of=1", "nodes.name=1"])
def test_a_key_below_no_table_is_refused(text: str) -> None:
    with pytest.raises(errors.UsageError, match="not in a table"):
        try_part.changed({"name": "x", "nodes": []}, try_part.read(text))


def part(tmp_path: Path, *tried: str) -> try_part.Variants:
    """The part with these variants."""
    return try_part.make(Cluster(SPEC, state.State(tmp_path), tmp_path), BenchOptions(rounds=2, seed=7, variants=tried))


def test_documents_are_clusters(tmp_path: Path) -> None:
    found = part(tmp_path, OTHER, "endpoints.rw.max_pool=1,pgpool.parameters.serialize_accept=true").documents()
    specs = [source.load(startup_times.to_toml(made)) for made in found.values()]
    assert [spec.haproxy.hold_ms for spec in specs] == [10_000, 0, 10_000]
    assert specs[2].endpoints.rw.max_pool == 1
    assert specs[2].pgpool.parameters == {"serialize_accept": True}
    assert {spec.name for spec in specs} == {startup_times.NAME}


@pytest.mark.parametrize(
    ("tried", "error"),
    [
        ((), errors.UsageError),
        (("haproxy.hold=0",), errors.SpecError),
        (("haproxy.hold_ms=-1",), errors.SpecError),
        (("endpoints.rw.max_pool=100",), errors.SpecError),  # more than the connection budget
    ],
)
def test_what_cannot_be_declared_is_refused_before_anything_is_started(
    tmp_path: Path, tried: tuple[str, ...], error: type[errors.PoolkeeperError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch_cluster, "scratch", lambda *_: pytest.fail("something was started"))
    with pytest.raises(error):
        part(tmp_path, *tried).run(Silent())


def test_loads_are_of_the_declared_ports() -> None:
    made = source.load(startup_times.to_toml(scratch_cluster.document(SPEC, 3)))
    found = try_part.puts(made)
    assert [(put.label, put.port) for put in found] == [
        *[("5100", 25100)] * 4,
        ("9999", 9999),
        ("5200", 25200),
    ]
    assert len({put.measure for put in found}) == len(found)


class Own:
    """Stand in for `scratch_cluster.ScratchCluster`; `up` fails when the test says so."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.fails = False
        self.cluster = SimpleNamespace(spec=source.load(startup_times.to_toml(scratch_cluster.document(SPEC, 3))))

    def declare(self, made: dict[str, Any]) -> None:
        """Note which."""
        self.did.append(made["is"])

    def command(self, *words: str) -> float:
        """Note it."""
        self.did.append(words[0])
        if self.fails:
            raise errors.EngineFailed("no")
        return 1.0


class Loader:
    """Stand in for `loads.Loader`; each measurement is under a little more foreign load than the one before."""

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.primary, self.checks, self.tidied = cluster, "", 0, 0
        self.ran: list[tuple[str, int]] = []

    def find_containers(self) -> None:
        """Count."""
        self.checks += 1

    def tidy(self) -> None:
        """Count."""
        self.tidied += 1

    def where(self, port: int, at: str) -> pgbench.Where:
        """Stand in for the real method."""
        return pgbench.Where(at, port, "app", "x")

    def measure(self, work: load_runner.Work, where: pgbench.Where, seconds: int) -> load_runner.LoadResult:
        """Note it."""
        self.ran.append((work.load.title, where.port))
        return load_runner.LoadResult(
            pgbench.PgbenchResult(100.0 * seconds, 10, 1.0, 2.0, None), meter.Usage(1.0, {}, 0.001 * len(self.ran))
        )


@pytest.fixture
def tryout(monkeypatch: pytest.MonkeyPatch) -> Tryout:
    async def healthy(_: float) -> str:
        return "pg_node2"

    monkeypatch.setattr(drill_run, "drilled", lambda _: SimpleNamespace(wait_healthy=healthy))
    own: Any = Own()
    loader: Any = Loader(own.cluster)
    return Tryout(own, loader, {DECLARED: {"is": "a"}, OTHER: {"is": "b"}}, 3)


def test_the_cluster_is_changed_only_from_one_to_another(tryout: Tryout) -> None:
    contenders = tuple(tryout.contender(name) for name in (DECLARED, OTHER))
    book = RoundsRecord([Case({}, contenders, axis="variant")], 2, 7)
    own: Any = tryout.own
    rounds.play(book, Silent())
    assert own.did == ["b", "up", "a", "up"]  # a b b a
    assert tryout.loader.primary == "pg_node2"


def test_after_an_up_that_failed_the_next_one_starts_again(tryout: Tryout) -> None:
    own: Any = tryout.own
    own.fails = True
    with pytest.raises(errors.EngineFailed):
        tryout.contender(OTHER).take()
    own.fails = False
    tryout.contender(DECLARED).take()
    assert own.did == ["b", "up", "a", "up"]


def test_a_variant_is_measured_with_every_load_after_a_warm_up(tryout: Tryout) -> None:
    taken = tryout.contender(DECLARED).take()
    loader: Any = tryout.loader
    found = try_part.puts(tryout.own.cluster.spec)
    assert loader.ran == [(put.load.title, put.port) for put in found for _ in range(2)]
    assert set(taken.values.values()) == {300.0}
    assert len(taken.values) == len(found)
    assert taken.foreign == pytest.approx(0.001 * len(loader.ran))
    assert loader.tidied == sum(put.load.writes for put in found) == 1
    assert loader.checks == 1


def test_section_without_a_run_is_complete(tmp_path: Path) -> None:
    assert part(tmp_path, OTHER).section().tally.kept == 0
