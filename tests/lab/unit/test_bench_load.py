"""The result of a period under full load: false failovers, soundness, and the printed figures."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model.observed import Snapshot
from poolkeeper.system import keeper_client, process
from poolkeeper.system.etcd_wire import KeyChange, KeyValue
from poolkeeper_lab.bench.measure import busy, figure
from poolkeeper_lab.bench.measure.figure import BenchFigure
from poolkeeper_lab.bench.parts import keeper_part, load_figures, load_part
from poolkeeper_lab.bench.parts.load_figures import FullLoadResult, Holding
from poolkeeper_lab.drill import watch
from poolkeeper_lab.drill.ledger import Gap, LedgerVerdict

KEY = "/service/main/leader"
GOOD = LedgerVerdict(100, 0, 0, (), (), (), 0, 0)


def held(*leases: tuple[str | None, int]) -> tuple[Holding, ...]:
    """Return these leases, one after the other."""
    return tuple(Holding(float(at), owner, revision) for at, (owner, revision) in enumerate(leases))


def seen(holdings: tuple[Holding, ...] = held(("n1", 7)), verdict: LedgerVerdict | None = GOOD) -> FullLoadResult:
    """Half an hour on two cores."""
    return FullLoadResult(
        seconds=1800,
        cores=2,
        holdings=holdings,
        blind=0,
        write=Gap(1, 1.5),
        read=Gap(2, 2.25),
        verdict=verdict,
        load_average=(4, 3.5, 2),
        keeper_cpu=1.25,
        keeper_memory=38.2,
        work={"decided attach to Pgpool-II": 1},
    )


def found(result: FullLoadResult, name: str) -> BenchFigure:
    """The one of that name."""
    return next(f for f in result.figures() if f.name == name)


@pytest.mark.parametrize(
    ("leases", "count"),
    [
        ([("n1", 7)], 0),
        ([("n1", 7), ("n2", 9)], 1),
        ([("n1", 7), ("n1", 9)], 1),
        ([("n1", 7), (None, 0), ("n2", 9)], 1),
        ([("n1", 7), (None, 0), ("n1", 9), ("n2", 12)], 2),
        ([("n1", 7), (None, 0)], 1),
        ([(None, 0)], 0),
        ([], 0),
    ],
)
def test_every_new_lease_is_a_false_failover(leases: list[tuple[str | None, int]], count: int) -> None:
    assert len(load_figures.changes(held(*leases))) == count


@pytest.mark.parametrize(
    ("result", "is_sound"),
    [
        (seen(), True),
        (seen(held(("n1", 7), ("n1", 9))), False),
        (seen(held()), False),
        (seen(verdict=None), False),
        (seen(verdict=LedgerVerdict(100, 0, 0, (5,), (), (), 0, 0)), False),
        (seen(verdict=LedgerVerdict(100, 0, 0, (), (5,), (), 0, 0)), False),
        (seen(verdict=LedgerVerdict(100, 3, 2, (), (), (), 1, 0, {"lost": 2})), True),
    ],
)
def test_a_sound_soak_kept_its_lease_lost_no_write_and_was_observed(result: FullLoadResult, is_sound: bool) -> None:
    assert result.is_sound is is_sound


def test_figures_report_the_observations() -> None:
    turned = seen(held(("n1", 7), (None, 0), ("n2", 9)))
    assert found(turned, load_figures.LEASE) == BenchFigure(
        load_figures.LEASE, 1, goal=0, remark="n1 (revision 7) → n2 (revision 9)"
    )
    assert found(turned, load_figures.LEASE).is_met is False
    assert found(seen(), "longest write gap").text == "0.50 s"
    assert found(seen(), "keeper: decided attach to Pgpool-II").value == 1
    assert found(seen(verdict=None), load_figures.LOST).is_met is None
    assert found(seen(held()), load_figures.LEASE).text == "unknown"


def test_document_is_plain_data() -> None:
    document = figure.as_document(seen().figures())
    assert document["minutes"]["value"] == 30
    assert document[load_figures.LOST] == {"value": 0, "unit": "", "goal": 0, "met": True}


def test_keeper_work_is_counted_from_the_begin_on() -> None:
    events = [
        {"at": "2026-01-01T09:59:59.999+00:00", "event": "decided", "what": "attach"},
        {"at": "2026-01-01T10:00:00.000+00:00", "event": "decided", "what": "attach", "node": "n1"},
        {"at": "2026-01-01T10:00:01.000+00:00", "event": "decided", "what": "attach", "node": "n2"},
        {"at": "2026-01-01T10:00:02.000+00:00", "event": "store", "state": "unknown"},
        {"at": "2026-01-01T10:00:03.000+00:00", "event": "started"},
    ]
    counted = load_figures.work_by_kind(events, datetime(2026, 1, 1, 10, tzinfo=UTC))
    assert counted == {"decided attach": 2, "store unknown": 1, "started": 1}


def test_watch_keeps_changes_and_reports_each() -> None:
    reported: list[str] = []
    lease = load_part.LeaseWatch(reported.append)
    lease.note_owner("n1", 7)
    lease.note_owner("n1", 7)
    watch._note(KeyChange(8, (KeyValue("/service/main/leader_other", "n3", 8, "0"),), ()), KEY, lease)
    watch._note(KeyChange(9, (), (KEY,)), KEY, lease)
    watch._note(KeyChange(10, (KeyValue(KEY, "n2", 10, "5"),), ()), KEY, lease)
    assert [(h.owner, h.revision) for h in lease.seen] == [("n1", 7), (None, 0), ("n2", 10)]
    assert [line.split("changed: ")[1] for line in reported] == [
        "n1 (revision 7) → no owner (revision 0)",
        "no owner (revision 0) → n2 (revision 10)",
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [("36.41MiB", 38.178652), ("80MB", 80), ("1.5GiB", 1610.612736), ("0B", 0), ("--", None), ("", None), (None, None)],
)
def test_read_size(text: str | None, size: float | None) -> None:
    assert figure.read_size(text) == (None if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("before", "after", "share"), [(10, 11.2, 2.0), (10, 10, 0.0), (10, 3, None), (None, 3, None), (3, None, None)]
)
def test_cpu_share(before: float | None, after: float | None, share: float | None) -> None:
    assert figure.cpu_share(before, after, 60) == (None if share is None else pytest.approx(share))


def test_load_is_not_begun_on_a_cluster_that_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    ill = snapshots.edit_members(snapshots.healthy(), {snapshots.STANDBY: None})

    async def snapshot_of(cluster: Cluster) -> Snapshot:
        del cluster
        return ill

    monkeypatch.setattr(snapshot, "take_snapshot", snapshot_of)
    with pytest.raises(errors.OperationRefused) as refused:
        asyncio.run(load_part._healthy(Cluster(snapshots.SPEC, secrets={})))
    assert snapshots.STANDBY in refused.value.detail


METRICS = """poolkeeper_keeper_healthy 1
poolkeeper_keeper_knows{source="store"} 1
poolkeeper_keeper_events_total{event="decided"} 22
poolkeeper_keeper_events_total{event="done"} 19
process_cpu_seconds_total 4.567
poolkeeper_keeper_memory_peak_bytes 52961280
"""


def test_read_metrics() -> None:
    assert keeper_client.read_metrics(METRICS) == keeper_client.Metrics(4.567, 52961280, {"decided": 22, "done": 19})


@pytest.mark.parametrize("text", ["", "# nothing", METRICS.replace("4.567", "x"), METRICS.replace("process_cpu", "p")])
def test_metrics_of_another_program_are_refused(text: str) -> None:
    with pytest.raises(errors.ServerRefused):
        keeper_client.read_metrics(text)


def test_idle_keeper_is_checked_against_its_goals() -> None:
    before, after = (
        keeper_client.Metrics(10, 52_000_000, {"done": 2}),
        keeper_client.Metrics(11.8, 81_000_000, {"done": 3}),
    )
    figures = {f.name: f for f in keeper_part.IdleKeeper(60, before, after, 38.6, 12).figures()}
    assert figures["CPU"].value == pytest.approx(3.0)
    assert figures["CPU"].is_met is False
    assert figures["memory, by the engine"].is_met is True
    assert figures["memory, the process's largest"].is_met is False
    assert figures["its own events"].value == 1
    assert figures["changes in etcd"].remark == "0.2 a second"


def test_busy_process_computes_and_is_ended() -> None:
    with busy.every_core() as cores:
        assert cores == busy.cores()
        deadline = time.monotonic() + 20  # a process has its parent's command line until it has begun its program
        while len(mine := [p for p in Path("/proc").glob("[0-9]*") if _is_ours(p)]) < cores:
            assert time.monotonic() < deadline
        assert len(mine) == cores
    assert not [p for p in mine if _is_ours(p)]


def _is_ours(folder: Path) -> bool:
    try:
        return f"poolkeeper_lab.bench.measure.busy\0{os.getpid()}\0" in (folder / "cmdline").read_text()
    except OSError:
        return False


def test_busy_process_ends_without_its_parent() -> None:
    orphan = [
        sys.executable,
        "-m",
        "poolkeeper_lab.bench.measure.busy",
        "1073741824",
    ]  # no such process: its parent is another
    begin = time.monotonic()
    assert process.run(orphan, timeout=30).ok
    assert time.monotonic() - begin < 30
