"""`bench overhead`: commits by what they wait for, keeper over a piece of work, HAProxy's checks by their kind."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model.observed import Seen
from poolkeeper.render import haproxy_config
from poolkeeper.system import haproxy_runtime, keeper_client, state
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.load import bench_machine, load_runner, pgbench
from poolkeeper_lab.bench.measure import meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Measure, RoundsRecord, Sample
from poolkeeper_lab.bench.parts import haproxy_checks, keeper_part, overhead, overhead_figures
from poolkeeper_lab.bench.parts.overhead_figures import CPU, EVENTS, LATENCY, MEMORY, TPS

SPEC = snapshots.SPEC
TOTAL = Measure(overhead_figures.TOTAL, overhead_figures.MILLISECONDS, "less", overhead_figures.CHECKS)


# ── Checks ──


def test_every_check_has_a_kind() -> None:
    """The count equals the servers with a check in haproxy.cfg."""
    found = [server for servers in haproxy_checks.servers(SPEC).values() for server in servers]
    checked = re.findall(r"^    server \S+ \S+ check ", haproxy_config.config(SPEC), re.MULTILINE)
    assert len(found) == len(set(found)) == len(checked)
    assert set(haproxy_checks.servers(SPEC)) == set(haproxy_checks.KINDS)
    assert haproxy_checks.a_second(SPEC) == {
        haproxy_checks.ENDPOINTS: 2.0,
        haproxy_checks.PRIMARY: 3.0,
        haproxy_checks.STANDBYS: 3.0,
    }


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the commands that HAProxy receives."""
    sent: list[str] = []

    async def send(_address: str, _port: int, commands: Sequence[str], _limit: float) -> tuple[str, ...]:
        sent.extend(commands)
        return ()

    monkeypatch.setattr(haproxy_runtime, "send", send)
    return sent


OFF = ["disable health endpoint_rw/pgpool_rw", "disable health endpoint_ro/pgpool_ro"]
ON = ["enable health endpoint_rw/pgpool_rw", "enable health endpoint_ro/pgpool_ro"]


def test_checks_are_enabled_again_after_an_error_and_an_interruption(said: list[str]) -> None:
    with haproxy_checks.without(SPEC, (haproxy_checks.ENDPOINTS,)):
        assert said == OFF
    assert said == [*OFF, *ON]
    with pytest.raises(KeyboardInterrupt), haproxy_checks.without(SPEC, (haproxy_checks.ENDPOINTS,)):
        raise KeyboardInterrupt
    assert said == [*OFF, *ON] * 2


def test_without_a_proxy_no_command_is_sent(said: list[str]) -> None:
    with haproxy_checks.without(SPEC, ()):
        pass
    assert said == []


def test_checks_are_enabled_again_after_half_of_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    async def send(_address: str, _port: int, commands: Sequence[str], _limit: float) -> tuple[str, ...]:
        sent.extend(commands)
        if commands[0].startswith("disable"):
            raise errors.ServerRefused("no such server", code="haproxy")
        return ()

    monkeypatch.setattr(haproxy_runtime, "send", send)
    with pytest.raises(errors.ServerRefused), haproxy_checks.without(SPEC, (haproxy_checks.ENDPOINTS,)):
        pass
    assert sent == [*OFF, *ON]


def book(values: dict[str, list[float]]) -> RoundsRecord:
    """Contender → a value a round, as the total of all parts."""
    numbers = {name: iter(found) for name, found in values.items()}
    contenders = tuple(Contender(name, lambda name=name: Sample({TOTAL: next(numbers[name])})) for name in values)  # type: ignore[misc]
    made = RoundsRecord([Case({"part": "checks"}, contenders, axis="with")], 3, 7)
    rounds.play(made, Silent())
    return made


def test_a_kind_costs_what_is_missing_without_it() -> None:
    made = book({overhead.EVERY: [50, 60, 55], overhead_figures.without(haproxy_checks.PRIMARY): [40, 45, 40]})
    found = {
        (m.about["kind"], m.name): m
        for m in overhead_figures.costs(made, overhead.EVERY, {haproxy_checks.PRIMARY: 3}, 7)
    }
    total = found[haproxy_checks.PRIMARY, overhead_figures.TOTAL].estimate
    single = found[haproxy_checks.PRIMARY, "one check"].estimate
    assert total
    assert single
    assert (total.median, single.median) == (15, 5)
    assert found[haproxy_checks.ENDPOINTS, overhead_figures.TOTAL].estimate is None
    assert found[haproxy_checks.ENDPOINTS, "one check"].reason


def test_noise_is_shown_as_a_negative_cost() -> None:
    made = book({overhead.EVERY: [50, 50, 50], overhead_figures.without(haproxy_checks.ENDPOINTS): [51, 52, 53]})
    found = next(
        m
        for m in overhead_figures.costs(made, overhead.EVERY, {}, 7)
        if m.about["kind"] == haproxy_checks.ENDPOINTS and m.rounds
    )
    assert found.rounds == (-1, -2, -3)


def test_values_of_checks_are_a_second() -> None:
    values = overhead_figures.check_values({"HAProxy": 0.01, "Pgpool-II": 0.002})
    assert {m.name: v for m, v in values.items()} == {
        "HAProxy": pytest.approx(10),
        "Pgpool-II": pytest.approx(2),
        overhead_figures.TOTAL: pytest.approx(12),
    }


# ── Commits ──


def test_commits_are_set_in_the_session_alone() -> None:
    """No setting has to be restored, whatever ends a measurement."""
    taken: list[load_runner.Work] = []

    class Loader:
        """Stand in for `loads.Loader`."""

        tidied = 0

        def tidy(self) -> None:
            """Count the calls."""
            self.tidied += 1

        def where(self, port: int, at: str = "") -> pgbench.Where:
            """Return the primary's own port."""
            assert at == ""
            return pgbench.Where("n1", port, "app", "x")

        def measure(self, work: load_runner.Work, _where: pgbench.Where, _seconds: int) -> load_runner.LoadResult:
            """Record the call."""
            taken.append(work)
            return load_runner.LoadResult(pgbench.PgbenchResult(900.0, 900, 8.0, 20.0, None), meter.Usage(1.0, {}, 0.2))

    loader: Any = Loader()
    part = overhead.make(Cluster(SPEC, state.State(Path("x")), Path("x")), BenchOptions(seed=7))
    contenders, ratios = part._of_commits(loader)
    samples = [contender.take() for contender in contenders]
    assert [work.settings["synchronous_commit"] for work in taken] == ["on", "local", "off"]
    assert loader.tidied == 3
    assert samples[0].values == {TPS: 900.0, LATENCY: 8.0}
    assert samples[0].foreign == 0.2
    names = {contender.name for contender in contenders}
    assert all({ratio.numerator, ratio.denominator} <= names for ratio in ratios)


# ── Keeper ──


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, readings: Sequence[keeper_client.Metrics]) -> Iterator[overhead.Watched]:
    """Provide the work of a keeper that gives these readings, one after the other."""
    sent = iter(readings)

    async def metrics(*_: object) -> keeper_client.Metrics:
        return next(sent)

    async def memory(_: object) -> float:
        return 39.5

    reading = meter.MeterReading(0.0, 0.0, 0.0, {})
    clock = SimpleNamespace(read=lambda: reading, since=lambda _: meter.Usage(10.0, {}, 0.3))
    monkeypatch.setattr(keeper_client, "metrics", metrics)
    monkeypatch.setattr(keeper_part, "memory", memory)
    monkeypatch.setattr(bench_machine, "container_pids", lambda _: {})
    monkeypatch.setattr(meter, "Meter", lambda _: clock)
    drilled: Any = SimpleNamespace(spec=SPEC, cluster=SimpleNamespace(spec=SPEC))
    yield overhead.Watched(drilled, 10)


def test_keeper_is_measured_over_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    before, after = keeper_client.Metrics(5.0, 0, {"done": 2}), keeper_client.Metrics(5.3, 0, {"done": 9, "decided": 1})
    with watched(monkeypatch, [before, after]) as mine:
        taken = mine.take(lambda: did.append("work"), counts_foreign=False)
    assert did == ["work"]
    assert taken.values == {CPU: pytest.approx(3.0), EVENTS: 8.0, MEMORY: 39.5}
    assert taken.foreign == 0.0


def test_keeper_that_restarted_has_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = keeper_client.Metrics(5.0, 0, {}), keeper_client.Metrics(0.2, 0, {})
    with watched(monkeypatch, [before, after]) as mine, pytest.raises(errors.EngineFailed, match="keeper restarted"):
        mine.take(lambda: None, counts_foreign=False)


def test_failover_starts_the_victim_again_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []

    class Kill:
        """Stand in for `KillContainer`."""

        def __init__(self, _host: object, victim: str) -> None:
            self._victim = victim

        def aim(self) -> None:
            """Do nothing."""

        def inject(self) -> None:
            """Record the call."""
            did.append(f"kill {self._victim}")

        def heal(self) -> None:
            """Record the call."""
            did.append(f"start {self._victim}")

    async def healthy(_: float) -> str:
        return "pg_node1"

    async def not_taken_over(_access: object, _former: str) -> None:
        raise errors.DeadlinePassed("another primary did not happen")

    monkeypatch.setattr(overhead, "KillContainer", Kill)
    monkeypatch.setattr(overhead, "taken_over", not_taken_over)
    drilled: Any = SimpleNamespace(wait_healthy=healthy, host=None, cluster=None)
    with pytest.raises(errors.DeadlinePassed):
        overhead.Watched(drilled, 10).fail_over()
    assert did == ["kill pg_node1", "start pg_node1"]


def test_taken_over_needs_another_primary(monkeypatch: pytest.MonkeyPatch) -> None:
    """The former primary's own report does not count, and silence is no role."""
    asked: list[str] = []
    answers = iter([None, SimpleNamespace(in_recovery=True), None, SimpleNamespace(in_recovery=False)])

    async def see(_access: object, node: str) -> Any:
        asked.append(node)
        return Seen(next(answers))

    monkeypatch.setattr(snapshot, "observe_postgres", see)
    cluster: Any = SimpleNamespace(spec=SPEC)
    asyncio.run(overhead.taken_over(cluster, "pg_node1"))
    assert asked == ["pg_node2", "pg_node3"] * 2


def test_goals_are_of_rest_only() -> None:
    values = {overhead.REST: [{CPU: 1.5, MEMORY: 85.0}] * 3, overhead.LOAD: [{CPU: 9.0, MEMORY: 90.0}] * 3}
    numbers = {name: iter(found) for name, found in values.items()}
    contenders = tuple(Contender(name, lambda name=name: Sample(next(numbers[name]))) for name in values)  # type: ignore[misc]
    made = RoundsRecord([Case({"part": "keeper"}, contenders, axis="while")], 3, 7)
    rounds.play(made, Silent())
    cpu, memory = overhead_figures.goals(made, overhead.REST, 7, 2.0, 80.0)
    assert (cpu.is_met, memory.is_met) == (True, False)
    cpu, _ = overhead_figures.goals(RoundsRecord([], 3, 7), overhead.REST, 7, 2.0, 80.0)
    assert (cpu.is_met, cpu.reason) == (None, "it was not run")


def test_section_without_a_run_is_complete(tmp_path: Path) -> None:
    sent = overhead.make(Cluster(SPEC, state.State(tmp_path), tmp_path), BenchOptions(seed=7)).section()
    assert sent.tally.kept == 0
    assert all(goal.is_met is None for goal in sent.goals)
