"""The frame of the bench: medians and intervals, rounds in turns, foreign load, comparison with an earlier run."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from tests.lab.unit import bench_sample as sample
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.system import images, process, state
from poolkeeper_lab.bench import bench_parts
from poolkeeper_lab.bench.load import bench_machine, pgbench_client
from poolkeeper_lab.bench.measure import cpu, estimate, meter, rounds
from poolkeeper_lab.bench.measure.rounds import Case, Contender, Measure, Ratio, RoundsRecord, Sample
from poolkeeper_lab.bench.report.bench_model import BenchGoal, BenchRun, BenchSection, Estimate
from poolkeeper_lab.bench.report.compare import RATIO, Comparison, MetricChange, compare

TPS = Measure("throughput", "tps", "more")


def test_estimate_is_the_median_and_repeatable() -> None:
    found = estimate.estimate((5.0, 1.0, 3.0, 9.0, 4.0), 7)
    assert found is not None
    assert (found.median, found.rounds) == (4.0, 5)
    assert 1.0 <= found.low <= 4.0 <= found.high <= 9.0
    assert found.low < found.high
    assert estimate.estimate((5.0, 1.0, 3.0, 9.0, 4.0), 7) == found


def test_estimate_of_one_round_and_of_none() -> None:
    assert estimate.estimate((3.0,), 7) == Estimate(median=3, low=3, high=3, rounds=1)
    assert estimate.estimate((), 7) is None
    assert estimate.metric({}, "x", (), 7).reason == "no round was kept"


def test_interval_narrows_with_agreement() -> None:
    wide, narrow = estimate.estimate((1, 5, 9, 2, 8), 1), estimate.estimate((5, 5.1, 4.9, 5, 5), 1)
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 10 * (narrow.high - narrow.low)


class Script:
    """A contender whose samples are written down; it notes the order in which it is taken."""

    def __init__(self, name: str, order: list[str], found: list[float | str | tuple[float, float]]) -> None:
        self._name, self._order, self._told = name, order, iter(found)

    def contender(self) -> Contender:
        """Return the script as a contender."""
        return Contender(self._name, self._take)

    def _take(self) -> Sample:
        self._order.append(self._name)
        found = next(self._told)
        if isinstance(found, str):
            raise errors.EngineFailed(found)
        value, foreign = found if isinstance(found, tuple) else (found, 0.0)
        return Sample({TPS: value}, foreign)


def play(asked: int, *scripts: tuple[str, list[float | str | tuple[float, float]]]) -> tuple[RoundsRecord, list[str]]:
    """Contenders against the first one; the book and the order in which they were taken."""
    order: list[str] = []
    contenders = tuple(Script(name, order, found).contender() for name, found in scripts)
    ratios = tuple(Ratio(name, scripts[0][0], TPS) for name, _ in scripts[1:])
    book = RoundsRecord([Case({"workload": "w"}, contenders, ratios)], asked, 7)
    rounds.play(book, Silent())
    return book, order


def metric_of(book: RoundsRecord, endpoint: str, name: str) -> Estimate | None:
    """Return the figure of an endpoint."""
    return next(m.estimate for m in book.metrics() if m.about["endpoint"] == endpoint and m.name == name)


def test_rounds_are_taken_in_turns_and_ratios_are_of_one_round() -> None:
    book, order = play(3, ("direct", [100.0, 200.0, 50.0]), ("5100", [50.0, 120.0, 20.0]))
    assert "".join(name[0] for name in order) == "d55dd5"
    found = metric_of(book, "5100", "throughput ÷ direct")
    assert found is not None
    assert found.median == 0.5
    assert book.tally().model_dump() == {"asked": 3, "kept": 3, "discarded": 0, "failed": 0}


def test_a_loud_round_is_discarded_counted_and_repeated() -> None:
    book, _ = play(2, ("direct", [100.0, (999.0, 0.5), 100.0]), ("5100", [50.0, 60.0, 60.0]))
    found = metric_of(book, "direct", "throughput")
    assert found is not None
    assert found.high == 100.0
    assert book.tally().model_dump() == {"asked": 2, "kept": 2, "discarded": 1, "failed": 0}


def test_loud_rounds_are_not_repeated_for_ever() -> None:
    book, order = play(2, ("direct", [(1.0, 0.9)] * 9))
    assert len(order) == 4
    (found,) = book.metrics()
    assert (found.estimate, found.reason) == (None, "every round was under foreign load")


def test_a_contender_that_fails_is_reported_and_left_out_after_the_second_time() -> None:
    book, order = play(4, ("direct", [1.0] * 4), ("5100", ["full <up>"] * 9))
    assert order.count("5100") == rounds.GIVE_UP
    found = {m.about["endpoint"]: m for m in book.metrics() if m.name == "throughput ÷ direct"}["5100"]
    assert (found.estimate, found.reason) == (None, "full <up>")
    assert metric_of(book, "direct", "throughput") is not None
    assert book.tally().failed == 2


def test_a_ratio_to_zero_is_not_reported() -> None:
    book, _ = play(1, ("direct", [0.0]), ("5100", [5.0]))
    assert metric_of(book, "5100", "throughput ÷ direct") is None


def reading(at: float, machine: float, own: float, **parts_: float) -> meter.MeterReading:
    """Return a measurement in the form of a meter."""
    return meter.MeterReading(at, machine, own, parts_)


def test_foreign_is_what_neither_we_nor_the_parts_used() -> None:
    before = reading(10, 100, 5, postgres=50, gone=9)
    used = meter.between(before, reading(14, 107, 5.5, postgres=55, new=1), cores=2)
    assert used.parts == {"postgres": 5}
    assert used.foreign == pytest.approx(1.5 / 8)
    assert used.is_loud
    assert not meter.between(before, reading(14, 105.5, 5.5, postgres=55), cores=2).is_loud


def test_the_engine_s_work_is_not_foreign() -> None:
    before, after = meter.MeterReading(0, 0, 0, {}, engine=3), meter.MeterReading(1, 0.5, 0, {}, engine=3.4)
    assert meter.between(before, after, cores=1).foreign == pytest.approx(0.1)


def test_the_engine_is_its_daemons_and_the_kernel_s_threads(tmp_path: Path) -> None:
    for pid, name, parent in ((7, "dockerd", 1), (8, "kworker/0:1", 2), (9, "postgres", 7), (10, "docker-proxy", 7)):
        (tmp_path / str(pid)).mkdir()
        numbers = " ".join(["0"] * 9 + [str(pid), "100", "5", "5"] + ["0"] * 20)
        (tmp_path / f"{pid}/stat").write_text(f"{pid} ({name}) S {parent} {numbers}")
    (tmp_path / "11").mkdir()  # it has ended
    assert meter.of_engine(tmp_path) == pytest.approx((107 + 108 + 110) / cpu.TICKS)


def test_a_container_that_was_restarted_counts_nothing() -> None:
    used = meter.between(reading(0, 0, 0, pgpool=9), reading(1, 1, 0, pgpool=1), cores=1)
    assert used.parts == {"pgpool": 0}


def test_machine_counts_steal_and_neither_idleness_nor_interrupts(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  100 20 30 9000 800 7 9 50 100 20\n")
    assert meter.worked(tmp_path) == pytest.approx(200 / cpu.TICKS)


@pytest.mark.parametrize(
    ("line", "file", "text"),
    [
        ("2:cpuacct:/docker/abc", "cpuacct/docker/abc/cpuacct.usage", "2500000000\n"),
        ("2:cpu,cpuacct:/docker/abc", "cpu,cpuacct/docker/abc/cpuacct.usage", "2500000000\n"),
        ("0::/system.slice/abc", "system.slice/abc/cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
    ],
)
def test_cpu_of_a_control_group(tmp_path: Path, line: str, file: str, text: str) -> None:
    (tmp_path / "proc/5").mkdir(parents=True)
    (tmp_path / "proc/5/cgroup").write_text(f"9:name=systemd:/docker/abc\n{line}\n0::/\n")
    target = tmp_path / "cgroup" / file
    target.parent.mkdir(parents=True)
    target.write_text(text)
    read = meter.source(5, tmp_path / "proc", tmp_path / "cgroup")
    assert read() == 2.5
    target.unlink()
    assert read() == 0


def test_without_a_control_group_the_processes_are_counted(tmp_path: Path) -> None:
    (tmp_path / "5").mkdir()
    numbers = " ".join(["0"] * 9 + ["10", "20", "30", "40"] + ["0"] * 20)
    (tmp_path / "5/stat").write_text(f"5 (a) S 1 {numbers}")
    (tmp_path / "5/cmdline").write_bytes(b"x\0")
    assert meter.source(5, tmp_path, tmp_path)() == pytest.approx(100 / cpu.TICKS)


def run_with(values: tuple[float, ...], **update: object) -> BenchRun:
    """Return the sample with another throughput of 5100."""
    metrics = (*sample.SECTION.metrics[:1], sample.throughput("5100", values))
    section = sample.SECTION.model_copy(update={"metrics": metrics})
    return sample.SAMPLE.model_copy(update={"sections": (section,), **update})


def change(comparison: Comparison, endpoint: str = "5100") -> MetricChange:
    """Return the change of an endpoint's figure."""
    return next(row.change for row in comparison.rows if row.metric.about["endpoint"] == endpoint)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ((9_000.0, 9_100.0, 9_200.0), MetricChange.BETTER),
        ((3_000.0, 3_100.0, 3_200.0), MetricChange.WORSE),
        ((6_000.0, 6_400.0, 6_200.0), MetricChange.NOISE),
        ((9_000.0, 9_100.0), MetricChange.UNKNOWN),
        ((), MetricChange.UNKNOWN),
    ],
)
def test_a_change_is_reported_only_beyond_both_intervals(values: tuple[float, ...], wanted: MetricChange) -> None:
    assert change(compare(run_with(sample.POOLED), run_with(values))) is wanted


def test_of_another_machine_only_ratios_are_compared() -> None:
    other = sample.MACHINE.model_copy(update={"cores": 64})
    found = compare(sample.SAMPLE.model_copy(update={"machine": other}), sample.SAMPLE)
    changes = {row.metric.unit: row.change for row in found.rows}
    assert changes == {"tps": MetricChange.UNKNOWN, RATIO: MetricChange.NOISE}


def test_the_direction_of_a_figure_decides_what_is_better() -> None:
    def of(values: tuple[float, ...]) -> BenchRun:
        metric = estimate.metric({"endpoint": "5100"}, "p99", values, 7, unit="ms", better="less")
        section = sample.SECTION.model_copy(update={"metrics": (metric,)})
        return sample.SAMPLE.model_copy(update={"sections": (section,)})

    assert change(compare(of((5.0, 6.0, 5.5)), of((2.0, 2.5, 2.1)))) is MetricChange.BETTER


def test_a_goal_is_checked_by_the_median_and_says_when_the_interval_holds_the_limit() -> None:
    met, missed, unmeasured, most = sample.GOALS
    assert [g.is_met for g in sample.GOALS] == [True, False, None, True]
    assert (met.is_clear, missed.is_clear, unmeasured.is_clear, most.is_clear) == (True, False, False, True)
    assert BenchGoal(sentence="x", limit=1, is_least=False, estimate=met.estimate).is_met


class Fake:
    """A part that ends as the test says."""

    def __init__(self, name: str, end: BaseException | None = None) -> None:
        self._name, self._end = name, end

    def run(self, progress: object) -> None:
        """End so."""
        del progress
        if self._end:
            raise self._end

    def section(self) -> BenchSection:
        """Return the measurements until then."""
        return BenchSection(name=self._name, title=self._name, method="", notes=("of its own",))


def new_run() -> bench_parts.RunInProgress:
    """Return a new run."""
    return bench_parts.RunInProgress("poolkeeper", "poolkeeper bench all", 7)


def test_a_part_that_fails_keeps_what_it_had_and_the_next_one_runs() -> None:
    found = new_run()
    bench_parts.run_parts(found, [("a", Fake("a", errors.EngineFailed("no room"))), ("b", Fake("b"))], Silent())
    assert [section.name for section in found.sections] == ["a", "b"]
    assert found.sections[0].notes == ("it ended early: no room", "of its own")
    assert list(found.failures) == ["a"]


def test_an_interruption_ends_the_run_and_keeps_what_there_is() -> None:
    found = new_run()
    with pytest.raises(KeyboardInterrupt):
        bench_parts.run_parts(found, [("a", Fake("a", KeyboardInterrupt())), ("b", Fake("b"))], Silent())
    assert [section.name for section in found.sections] == ["a"]


def test_a_part_that_does_not_exist_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="no part 'speed'"):
        bench_parts.make_part("speed", None, bench_parts.BenchOptions())  # type: ignore[arg-type]


def test_machine_is_reported_and_a_missing_value_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Fast\n")
    (tmp_path / "meminfo").write_text("MemTotal:  1000000 kB\n")
    assert (bench_machine.describe(tmp_path).cpu, bench_machine.describe(tmp_path).memory_mb) == ("Fast", 1024)
    (tmp_path / "cpuinfo").write_text("")
    (tmp_path / "meminfo").write_text("")
    assert (bench_machine.describe(tmp_path).cpu, bench_machine.describe(tmp_path).memory_mb) == ("unknown", 0)


def test_declared_and_changed_settings_are_reported(tmp_path: Path) -> None:
    folder = state.State(tmp_path)
    state.record_applied(folder, {"haproxy/haproxy.cfg": "a"})
    state.record_former(folder, snapshots.SPEC)
    found = bench_machine.settings_of(Cluster(snapshots.SPEC, folder, tmp_path))
    assert found["endpoints.rw.max_pool"] == "4"
    assert [key for key in found if key.startswith("file ")] == ["file haproxy/haproxy.cfg"]
    before = sample.SAMPLE.model_copy(update={"settings": {"a": "1", "b": "2"}})
    after = sample.SAMPLE.model_copy(update={"settings": {"a": "1", "b": "3", "c": "4"}})
    assert compare(before, after).settings == ("b: 2 → 3", "c: unset → 4")
    assert compare(before, before).settings == ()


def test_versions_without_a_cluster_are_of_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of an image that was never built is unknown."""

    def run(argv: list[str], **_: object) -> process.Finished:
        asked = argv[-1]
        return process.Finished(tuple(argv), 0 if asked != "pgpool2" else 125, f"1-{asked}", "no such image")

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(images, "references", lambda *_: {role: role for role, _ in bench_machine.PACKAGES.values()})
    found = bench_machine.versions_of(Cluster(snapshots.SPEC, state.State(tmp_path), tmp_path))
    assert (found["PostgreSQL"], found["Pgpool-II"]) == ("1-postgresql-17", "unknown")


def test_the_client_takes_no_address_that_a_node_could_want() -> None:
    assert pgbench_client.last_free_address(snapshots.SPEC) == "10.8.0.254"
    keeper = snapshots.SPEC.keeper.model_copy(update={"address": IPv4Address("10.8.0.254")})
    assert pgbench_client.last_free_address(snapshots.SPEC.model_copy(update={"keeper": keeper})) == "10.8.0.253"
