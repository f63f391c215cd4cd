"""A campaign: its plan has every scenario and enough faults; its sum is right and never better than a session."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.lab.unit import chaos_run_sample as sample
from tests.lab.unit.chaos_histories import Book

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome
from poolkeeper.operations import logs
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history.final_state import HEAL_SECONDS
from poolkeeper_lab.chaos.report import campaign_report, chaos_summary
from poolkeeper_lab.chaos.report.campaign_model import Campaign
from poolkeeper_lab.chaos.run import campaign_plan, evidence
from poolkeeper_lab.chaos.scenarios import all_scenarios
from poolkeeper_lab.chaos.workloads import all_jobs


def campaign(*is_broken: bool, planned: int | None = None) -> Campaign:
    """Return a campaign of sample sessions."""
    runs = tuple(sample.made(broken) for broken in is_broken)
    return Campaign("c", "2026-01-02T03:04:05+00:00", 99.0, 7, "again", planned or len(runs), runs)


@pytest.mark.parametrize("seed", range(3))
def test_the_plan_has_each_scenario_and_enough_faults(seed: int) -> None:
    plan = campaign_plan.planned(all_scenarios.SCENARIOS, 300, 720, seed)
    turns = [turn for session in plan for turn in session]
    assert {turn.scenario.name for turn in turns} == set(all_scenarios.NAMES)
    assert 300 <= sum(len(turn.scenario.steps) for turn in turns) <= 303
    assert plan == campaign_plan.planned(all_scenarios.SCENARIOS, 300, 720, seed)
    for session in plan:
        assert [turn.number for turn in session] == list(range(1, len(session) + 1))
        assert len(session) == 1 or sum(turn.scenario.seconds for turn in session) <= 720
        assert len({(turn.scenario.hits_keeper, turn.scenario.splits) for turn in session}) == 1


def test_few_faults_still_mean_every_scenario_once() -> None:
    turns = [turn for session in campaign_plan.planned(all_scenarios.SCENARIOS, 1, 720, 1) for turn in session]
    assert sorted(turn.scenario.name for turn in turns) == sorted(all_scenarios.NAMES)
    with pytest.raises(ValueError, match="no scenario"):
        campaign_plan.planned((), 1, 720, 1)


def test_the_sum_of_two_sessions() -> None:
    done = campaign(False, True)
    first, second = done.runs
    assert done.outcome is Outcome.FAIL
    assert done.faults == first.injected + second.injected == 4
    assert done.operations == 2 * 41 + 1
    assert done.writes == 2 * 38
    assert done.anomalies == second.verdicts[0].count == 1
    assert done.lost == 0
    kill = next(tally for tally in done.tallies if tally.scenario == "kill_node")
    assert (kill.turns, kill.longest_heal) == (2, 8.0)
    assert [tally.scenario for tally in done.tallies] == ["kill_node", "switchover"]  # the third one never began


def test_a_missing_session_leaves_the_campaign_unknown() -> None:
    sound = replace(campaign(False), runs=(replace(sample.made(False), outcome=Outcome.PASS),))
    assert sound.outcome is Outcome.PASS
    assert replace(sound, planned=2).outcome is Outcome.UNKNOWN


def test_a_scenario_without_recovery_is_unhealed() -> None:
    run = sample.made(False)
    assert campaign(False).unhealed == 0  # the third one never began
    stuck = tuple(replace(passage, recovered=None) for passage in run.passages)
    assert replace(campaign(False), runs=(replace(run, passages=stuck),)).unhealed == 2


def test_a_scenario_with_a_late_recovery_is_unhealed() -> None:
    """Also if the recovery came in a later scenario: its own wait had ended by then."""
    run = sample.made(False)
    first = run.passages[0]
    assert first.healed is not None
    for seconds, unhealed in ((HEAL_SECONDS, 0), (HEAL_SECONDS + 0.1, 1)):
        late = (replace(first, recovered=first.healed + seconds), *run.passages[1:])
        assert replace(campaign(False), runs=(replace(run, passages=late),)).unhealed == unhealed


def test_lost_elements_are_counted() -> None:
    lossy = Book("set")
    for number in range(5):
        lossy.op("add", number, None, at=(number, number + 0.5))
    lossy.op("read", "final", [0, 1], at=(10.0, 10.1))
    found = lossy.history()
    about = chaos_summary.About("c", "2026-01-02T03:04:05+00:00", 1.0, "again", "path")
    assert chaos_summary.made(about, found, run_verdict.evaluate(found), []).lost == 3


def test_reports_have_the_figures(tmp_path: Path) -> None:
    done = replace(campaign(False, True), left_out=("drop: it needs <root>",), problem="the campaign ended | early")
    markdown, document = campaign_report.write_all(done, tmp_path)
    text, read = markdown.read_text(), json.loads(document.read_text())
    for name, figure in campaign_report.figures(done):
        assert f"| {name} | {figure} |" in text
    assert "needs \\<root" in text
    assert "ended \\| early" in text
    assert (read["faults"], read["lost"], read["outcome"]) == (4, 0, "fail")
    assert len(read["runs"]) == 2


def test_the_pace_changes_only_the_clients() -> None:
    spec = ClusterSpec()
    usual, quick = all_jobs.made(spec, is_bounded=True), all_jobs.at_pace(4)(spec, True)
    assert [job.declared for job in usual] == [job.declared for job in quick]
    for slow, fast in zip(usual, quick, strict=True):
        assert [role.pace for role in fast.roles] == [role.pace / 4 for role in slow.roles]
        assert [role.pace for role in fast.finals] == [role.pace for role in slow.finals]


def test_evidence_is_complete_and_only_the_owner_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Somewhere:
        spec = ClusterSpec()
        folder = cast(Any, type("Folder", (), {"rendered": tmp_path / "rendered"}))

        def container(self, service: str) -> str:
            return f"c-{service}"

    (tmp_path / "rendered" / "haproxy").mkdir(parents=True)
    (tmp_path / "rendered" / "haproxy" / "haproxy.cfg").write_text("global\n")
    monkeypatch.setattr(
        logs, "merged", lambda of, since: [logs.Line("2026", name, f"{c} {since}") for name, c in of.items()]
    )
    kept = evidence.keep(cast(Cluster, Somewhere()), "then", "poolkeeper chaos run", tmp_path / "kept")
    assert kept.stat().st_mode & 0o077 == 0
    assert (kept / "logs" / "pg_node1.log").read_text() == "2026 c-pg_node1 then\n"
    assert (kept / "rendered" / "haproxy" / "haproxy.cfg").read_text() == "global\n"
    assert (kept / "again.txt").read_text() == "poolkeeper chaos run\n"
    with pytest.raises(FileExistsError):
        evidence.keep(cast(Cluster, Somewhere()), "then", "again", tmp_path / "kept")
