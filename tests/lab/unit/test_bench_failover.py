"""`bench failover`: one fault on one cluster from nothing to nothing, and the report of all trials."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from tests.lab.unit import bench_sample as sample
from tests.poolkeeper.unit import snapshots

from poolkeeper.core import errors
from poolkeeper.core.progress import Silent
from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.bench.bench_parts import BenchOptions
from poolkeeper_lab.bench.measure import meter
from poolkeeper_lab.bench.parts import failover
from poolkeeper_lab.bench.parts.failover import Failover
from poolkeeper_lab.bench.peers import contenders, peer_catalogue, remarks, trial
from poolkeeper_lab.bench.peers.contenders import TrialCluster, TrialNode
from poolkeeper_lab.bench.peers.poolkeeper_peer import TITLE
from poolkeeper_lab.bench.peers.remarks import Record
from poolkeeper_lab.bench.peers.trial import FailoverTrial
from poolkeeper_lab.bench.report import bench_report, bench_wording
from poolkeeper_lab.drill import drill_client
from poolkeeper_lab.drill.ledger import AttemptOutcome, Ledger, LedgerVerdict

HEALTHY = {"node1": TrialNode("primary", 1), "node2": TrialNode("standby")}
ADDRESSES = {"node1": "10.0.0.1", "node2": "10.0.0.2"}


class Fake(TrialCluster):
    """A cluster in memory: its writers write what it takes, and a fault is what the test makes of it."""

    title, label, nodes = "Fake", "fake", ADDRESSES

    def __init__(self, *, recovers: bool = True, recovers_fully: bool = True, loses: int = 0, broken: str = "") -> None:
        self.events: list[str] = []
        self.stored: dict[int, int] = {}
        self.serving = ADDRESSES["node1"]
        self.is_up, self.is_healthy = True, True
        self._recovers, self._recovers_fully, self._loses, self._broken = recovers, recovers_fully, loses, broken
        self._end = threading.Event()

    def up(self) -> None:
        self.events.append("up")

    def down(self) -> None:
        self.events.append("down")

    def endpoint(self) -> drill_client.ClientEndpoint:
        return drill_client.ClientEndpoint("rw", Dsn("nowhere", 1, "app", "app"), contenders.statement)

    def container(self, service: str) -> str:
        return service

    def states(self) -> dict[str, TrialNode]:
        return HEALTHY if self.is_healthy else {"node1": TrialNode("silent"), "node2": TrialNode("primary")}

    def rows(self, node: str, query: str) -> list[str]:
        assert "GROUP BY id" in query
        self.events.append(f"asked {node}")
        kept = sorted(self.stored)[: len(self.stored) - self._loses]
        return [f"{number}|{self.stored[number]}" for number in kept]

    def switch_over(self, primary: str) -> None:
        raise NotImplementedError

    def break_it(self, fault: str, victim: str) -> None:
        self.events.append(f"{fault} {victim}")
        if self._broken:
            raise errors.EngineFailed(self._broken)
        self.is_up, self.is_healthy, self.serving = self._recovers, False, ADDRESSES["node2"]

    def heal(self, fault: str, victim: str) -> None:
        del fault
        self.events.append(f"heal {victim}")
        self.is_healthy = self._recovers_fully

    def pids(self) -> dict[str, int]:
        return {}

    def write(self, ledger: Ledger) -> None:
        """Write like the two writers until the end event: one attempt after the other."""
        moment = 0.0
        while not self._end.wait(0.001):
            for name in drill_client.CLIENTS:
                moment = time.monotonic()
                number = ledger.open(name, moment)
                if self.is_up:
                    self.stored[number] = 1
                    ledger.close(number, time.monotonic(), AttemptOutcome.ACKNOWLEDGED, server=self.serving)
                else:
                    ledger.close(number, time.monotonic(), AttemptOutcome.REFUSED, "connect: refused")

    @contextmanager
    def writers(self, _: drill_client.ClientEndpoint, ledger: Ledger) -> Iterator[None]:
        """Replaces `drill_client.running`."""
        thread = threading.Thread(target=self.write, args=(ledger,))
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()
            self.events.append("writers ended")


def perform(fake: Fake, monkeypatch: pytest.MonkeyPatch, fault: str = peer_catalogue.KILL_NODE) -> FailoverTrial:
    """Perform a trial without pauses."""
    monkeypatch.setattr(drill_client, "running", fake.writers)
    monkeypatch.setattr(trial, "_prepare", lambda _: None)
    for name in ("WARM_UP", "HOLD", "TAIL", "POLL_PAUSE"):
        monkeypatch.setattr(trial, name, 0.01)
    monkeypatch.setattr(trial, "SERVED_SECONDS", 0.2)
    monkeypatch.setattr(trial, "BACK_SECONDS", 0.1)
    return trial.perform(fake, fault, 0.0, Silent())


def test_a_trial_goes_from_nothing_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()
    seen = perform(fake, monkeypatch)
    assert fake.events == ["up", "kill_node node1", "heal node1", "writers ended", "asked node2", "down"]
    assert seen.verdict is not None
    assert seen.verdict.is_sound
    assert seen.acknowledged == len(fake.stored)
    assert (seen.is_open, seen.problems) == (False, ())
    assert seen.back is not None


def test_a_lost_acknowledged_write_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = perform(Fake(loses=2), monkeypatch)
    assert seen.verdict is not None
    assert len(seen.verdict.lost) == 2


def test_an_endpoint_that_does_not_serve_again_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_served", _served_once())
    fake = Fake(recovers=False)
    seen = perform(fake, monkeypatch)
    assert seen.is_open
    assert seen.problems == ("not served again within 0.2 s",)
    assert "asked node1" in fake.events  # the one that acknowledged last
    assert fake.events[-1] == "down"


def _served_once() -> Any:
    """Return a wait for service: its first call succeeds, and each later one fails."""
    calls = []

    def served(writes: Ledger, since: float, seconds: float) -> None:
        calls.append(since)
        if len(calls) > 1:
            raise errors.DeadlinePassed(f"service did not happen within {seconds} s; last seen: nothing")
        while not writes.served_since(since, drill_client.CLIENTS):
            pass

    return served


def test_a_cluster_that_stays_broken_is_reported_with_the_missing_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = perform(Fake(recovers_fully=False), monkeypatch)
    assert seen.back is None
    assert seen.problems == ("not recovered automatically within 0.1 s: node1 do not answer",)


def test_a_fault_that_cannot_be_injected_takes_the_cluster_down_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(broken="no such container")
    with pytest.raises(errors.EngineFailed, match="no such container"):
        perform(fake, monkeypatch)
    assert fake.events[-2:] == ["writers ended", "down"]


def test_without_an_answer_no_trial_counts_as_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake()

    def silent(*_: str) -> list[str]:
        raise errors.Unreachable("no answer")

    monkeypatch.setattr(fake, "rows", silent)
    seen = perform(fake, monkeypatch)
    assert seen.verdict is None
    assert seen.problems == ("not checked: no answer",)


SOUND = LedgerVerdict(100, 0, 0, (), (), (), 0, 0)
LOSS = LedgerVerdict(100, 0, 0, (7, 9), (), (), 0, 0)


def made(
    gap: float,
    *,
    verdict: LedgerVerdict | None = SOUND,
    back: float | None = 5.0,
    is_open: bool = False,
    foreign: float = 0,
) -> FailoverTrial:
    """Return a trial with this result."""
    return FailoverTrial(gap, is_open, 100, verdict, back, foreign, 9.0, ("not served again within 120 s",) * is_open)


class Row(Fake):
    """A contender of a name."""

    def __init__(self, title: str, cannot: str = "") -> None:
        super().__init__()
        self.title, self._cannot = title, cannot

    def cannot(self, fault: str) -> str:
        return "needs ssh" if fault == self._cannot else ""


def part_of(
    gaps: dict[str, list[FailoverTrial]], options: BenchOptions, beside: bool = False
) -> tuple[Failover, list[str]]:
    """The part after its rounds: title → its trials, one a round; and the order in which they were taken."""
    order: list[str] = []

    def play(cluster: TrialCluster, fault: str, phase: float, _: object) -> FailoverTrial:
        assert 0 <= phase <= failover.PHASE_SECONDS
        order.append(f"{cluster.title} {fault}")
        return gaps[cluster.title].pop(0)

    cluster: Any = SimpleNamespace(spec=snapshots.SPEC)
    part = Failover(cluster, options, play)
    part._beside = beside
    part.measure(
        [Row(title, peer_catalogue.SWITCHOVER if title == peer_catalogue.REPMGR.title else "") for title in gaps],
        Silent(),
    )
    return part, order


FASTEST, POOL = peer_catalogue.PATRONI_FASTEST.title, peer_catalogue.PGPOOL.title
KILL = BenchOptions(rounds=3, seed=7, faults=("kill_node",))


def test_the_goal_is_the_ratio_to_the_fastest_legal_patroni() -> None:
    part, order = part_of({TITLE: [made(1), made(2), made(1)], FASTEST: [made(20), made(22), made(21)]}, KILL)
    assert order == [f"{c} kill_node" for c in (TITLE, FASTEST, FASTEST, TITLE, TITLE, FASTEST)]
    (goal,) = part.section().goals
    assert goal.estimate is not None
    assert goal.estimate.median == 20
    assert (goal.word, goal.limit) == ("met", 10.0)


def test_a_cluster_that_ran_beside_it_is_reported_and_without_the_peer_there_is_no_goal() -> None:
    gaps = {TITLE: [made(1)] * 3, FASTEST: [made(20)] * 3}
    part, _ = part_of({k: list(v) for k, v in gaps.items()}, KILL, beside=True)
    assert part.section().notes[0] == "the cluster poolkeeper was running beside every measurement"
    other, _ = part_of(
        {TITLE: [made(1)] * 3, POOL: [made(2)] * 3}, BenchOptions(3, seed=7, peers=("pgpool",), faults=("kill_node",))
    )
    assert other.section().goals == ()


def test_a_fault_that_a_peer_lacks_is_left_out_and_reported() -> None:
    options = BenchOptions(rounds=1, seed=7, peers=("repmgr",), faults=("switchover",))
    part, order = part_of({TITLE: [made(1)], peer_catalogue.REPMGR.title: []}, options)
    assert order == [f"{TITLE} switchover"]
    assert any("repmgr + Pgpool-II, switchover: not run" in note and "ssh" in note for note in part.section().notes)


def test_a_loss_is_reported_with_any_medians() -> None:
    trials = [made(2), made(2, verdict=LOSS), made(2, foreign=0.5), made(2)]
    part, _ = part_of({TITLE: [made(1)] * 4, POOL: trials}, KILL)
    section = part.section()
    assert section.tally.discarded == 1
    row = dict(zip(remarks.OUTCOMES, next(r for r in section.tables[0].rows if r[1] == POOL), strict=True))
    assert (row["Runs"], row["Lost"], row["Longest gap, s"]) == ("4", "2", "2.00")
    assert (
        f"{POOL}, kill_node: 2 acknowledged writes lost, 0 stored twice, 0 out of nowhere, of 100 acknowledged"
        in section.notes
    )


def test_an_open_gap_is_a_lower_bound_and_an_unchecked_trial_is_not_zero() -> None:
    records = [
        Record(POOL, "kill_node", made(125.0, is_open=True, back=None)),
        Record(POOL, "kill_node", made(3.0, verdict=None)),
    ]
    (row,) = remarks.outcomes(records).rows
    cells = dict(zip(remarks.OUTCOMES, row, strict=True))
    assert cells["Longest gap, s"] == "≥ 125.00"
    assert cells["Lost"] == "0 in 1 checked"
    assert (cells[remarks.OUTCOMES[-2]], cells[remarks.OUTCOMES[-1]]) == ("1", "1")
    assert "write gap at least 125.00 s" in remarks.line(records[0])
    assert "lost" not in remarks.line(records[1])


def test_equal_problems_are_reported_once_with_their_count() -> None:
    records = [Record(POOL, "kill_node", made(125.0, is_open=True))] * 2
    assert list(remarks.problems(records)) == [f"{POOL}, kill_node: not served again within 120 s (2 times)"]


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (
            [3.0, 3.1, 3.2],
            [1.0, 1.1, 1.2],
            [f"{POOL} is quicker than {TITLE} in kill_node: 1.10 s to 3.10 s; it promotes"],
        ),
        ([1.0, 3.0, 5.0], [0.5, 2.9, 4.0], [f"{POOL} is quicker than {TITLE} in kill_node: 2.90 s to 3.00 s, though"]),
        ([1.0, 1.1, 1.2], [3.0, 3.1, 3.2], []),
        ([], [3.0], []),
    ],
)
def test_a_peer_that_is_quicker_is_reported(ours: list[float], theirs: list[float], words: list[str]) -> None:
    gaps = {("kill_node", TITLE): ours, ("kill_node", POOL): theirs}
    found = list(remarks.better(gaps, peer_catalogue.PEERS, 7))
    assert len(found) == len(words)
    assert all(sentence.startswith(word) for sentence, word in zip(found, words, strict=True))


def test_a_contender_that_fails_is_reported_and_the_others_continue() -> None:
    def play(cluster: TrialCluster, *_: object) -> FailoverTrial:
        if cluster.title == FASTEST:
            raise errors.DeadlinePassed("it was not healthy")
        return made(1)

    cluster: Any = SimpleNamespace(spec=snapshots.SPEC)
    part = Failover(cluster, KILL, play)
    part.measure([Row(TITLE), Row(FASTEST)], Silent())
    section = part.section()
    assert any(m.reason == "it was not healthy" for m in section.metrics)
    assert section.goals[0].word == "not measured"
    assert section.tally.failed == 2


def test_the_section_is_in_every_report() -> None:
    part, _ = part_of({TITLE: [made(1)] * 3, FASTEST: [made(20)] * 3}, KILL)
    section = part.section()
    titles = [table.title for table in bench_wording.tables(section)]
    assert titles[-2:] == ["What was lost, and what did not recover", "The peers, their versions and settings"]
    text = "\n".join(bench_report.body(section))
    assert "loop\\_wait" in text or "loop_wait" in text
    run = sample.SAMPLE.model_copy(update={"sections": (section,)})
    assert "What was lost, and what did not recover" in bench_report.to_html(run)
    again = type(section).model_validate_json(section.model_dump_json())
    assert again.tables == section.tables


def test_unknown_names_are_refused_before_anything_is_started() -> None:
    cluster: Any = SimpleNamespace(spec=snapshots.SPEC)
    with pytest.raises(errors.UsageError):
        Failover(cluster, BenchOptions(peers=("oracle",)))
    with pytest.raises(errors.UsageError):
        Failover(cluster, BenchOptions(faults=("flood",)))


def test_rounds_under_foreign_load_are_in_no_median() -> None:
    part, _ = part_of({TITLE: [made(1, foreign=meter.FOREIGN_LIMIT + 0.01)] * 6}, KILL)
    assert part.section().tally.kept == 0
