"""The plan of a run and its execution: repeatable, healed in every case, and clear about what is unknown."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit import chaos_run_sample as sample
from tests.poolkeeper.unit import deployments

from poolkeeper.core import errors, interrupts
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.history.final_state import HEAL_SECONDS
from poolkeeper_lab.chaos.history.history import Header, Phase
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.run import chaos_schedule, runner
from poolkeeper_lab.chaos.run.chaos_schedule import ScheduledScenario
from poolkeeper_lab.chaos.run.nemesis import Nemesis, PlayedScenario
from poolkeeper_lab.chaos.scenarios import all_scenarios
from poolkeeper_lab.chaos.scenarios.scenario import Scenario, ScenarioStep
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.fault_target import FaultTarget
from poolkeeper_lab.faults.healing import Healing
from poolkeeper_lab.faults.host import Host

HOST = cast(Host, SimpleNamespace())


def test_there_are_220_scenarios_each_with_a_unique_name() -> None:
    assert len(all_scenarios.NAMES) == len(set(all_scenarios.NAMES)) == 220


def test_each_scenario_has_a_name_and_a_promise() -> None:
    for scenario in all_scenarios.SCENARIOS:
        assert re.fullmatch(r"[a-z_]+", scenario.name)
        assert re.fullmatch(r"An? .* must .*|The .* must .*", scenario.promise), scenario.promise
        assert len(scenario.promise) < 120
        assert 0 < scenario.hold[0] <= scenario.hold[1]
        assert scenario.seconds < 100


@pytest.mark.parametrize("scenario", all_scenarios.SCENARIOS, ids=lambda s: s.name)
def test_every_step_makes_a_fault_that_can_be_healed(scenario: Scenario) -> None:
    for step in scenario.steps:
        made = step.make(HOST, "pg_node1", lambda: None)
        assert isinstance(made, Fault)
        assert type(made).heal is not Fault.heal
        assert str(made)


@pytest.mark.parametrize("shared", [True, False])
def test_scenarios_without_effect_over_shared_sockets_are_not_run(shared: bool) -> None:
    """HAProxy and two Pgpool-II may communicate without the network, so the faults of these scenarios hit nothing."""
    spec = deployments.edit(ClusterSpec(), "haproxy.unix_sockets", shared)
    host = cast(Host, SimpleNamespace(cluster=SimpleNamespace(spec=spec)))
    reasons = {s.name: s.unmet(host) for s in all_scenarios.SCENARIOS}
    unmet = {name for name, reason in reasons.items() if reason}
    of_them = {"disconnect_pgpool", "cut_pgpool_from_haproxy", "cut_pgpool_ro_from_haproxy", "refuse_haproxy_to_pgpool"}
    assert unmet == ({*of_them, "slow_pgpool"} if shared else set())


def test_scenarios_without_effect_over_node_sockets_are_reported() -> None:
    spec = deployments.edit(
        deployments.edit(ClusterSpec(), "haproxy.unix_sockets", False), "haproxy.node_sockets", True
    )
    host = cast(Host, SimpleNamespace(cluster=SimpleNamespace(spec=spec)))
    unmet = {s.name for s in all_scenarios.SCENARIOS if s.unmet(host)}
    assert unmet == {"cut_server_of_primary", "reset_sessions_of_primary"}


def test_unknown_scenario_is_refused() -> None:
    with pytest.raises(errors.UsageError, match="no such scenario: meteor"):
        all_scenarios.choose(("kill_node", "meteor"))
    assert [s.name for s in all_scenarios.choose(("switchover", "kill_node"))] == ["kill_node", "switchover"]


def test_bound_on_age_is_promised_only_while_keeper_runs() -> None:
    away = {s.name for s in all_scenarios.SCENARIOS if s.hits_keeper}
    of_keeper = {s.name for s in all_scenarios.SCENARIOS if "keeper" in s.name.replace("poolkeeper", "")}
    assert away == of_keeper - {"cut_keeper_from_primary"} | {"kill_everything"}  # it asks the standbys for their age


@pytest.mark.parametrize("minutes", [0.5, 2, 10, 60])
def test_the_plan_follows_from_the_seed_and_respects_the_time(minutes: float) -> None:
    planned = chaos_schedule.plan(all_scenarios.SCENARIOS, minutes * 60, 7)
    assert planned == chaos_schedule.plan(all_scenarios.SCENARIOS, minutes * 60, 7)
    assert planned != chaos_schedule.plan(all_scenarios.SCENARIOS, minutes * 60, 8)
    assert [turn.number for turn in planned] == list(range(1, len(planned) + 1))
    if len(planned) > 1:
        assert sum(turn.scenario.seconds for turn in planned) <= minutes * 60
    for turn in planned:
        assert len(turn.holds) == len(turn.scenario.steps)
        assert all(turn.scenario.hold[0] <= hold <= turn.scenario.hold[1] for hold in turn.holds)


def test_scenarios_without_time_are_named_and_short_ones_repeat() -> None:
    few = all_scenarios.choose(("kill_patroni", "kill_keeper"))
    many = chaos_schedule.plan(few, 600, 1)
    assert {name: sum(t.scenario.name == name for t in many) > 5 for name in ("kill_patroni", "kill_keeper")} == {
        "kill_patroni": True,
        "kill_keeper": True,
    }
    (only,) = chaos_schedule.plan(few, 30, 1)
    assert chaos_schedule.left_out(few, [only]) == tuple({"kill_patroni", "kill_keeper"} - {only.scenario.name})
    with pytest.raises(ValueError):
        chaos_schedule.plan((), 60, 1)


class Toy(Fault):
    """A fault that remembers what was done with it."""

    def __init__(self, breaks: BaseException | None = None, resists: bool = False) -> None:
        self.host, self.victim = HOST, "a victim"
        self.done: list[str] = []
        self._breaks, self._resists = breaks, resists

    def aim(self) -> None:
        self.done.append("aim")

    def inject(self) -> None:
        self.done.append("inject")
        if self._breaks:
            raise self._breaks

    def heal(self) -> None:
        self.done.append("heal")
        if self._resists:
            raise errors.EngineFailed("it resists")

    def __str__(self) -> str:
        return "a toy"


class Field:
    """A site whose cluster recovers, or does not."""

    def __init__(self, heals: bool = True) -> None:
        self.spec = SimpleNamespace(patroni=SimpleNamespace(loop_wait=0), nodes=(1, 2, 3))
        self.host, self.cluster, self._heals = None, None, heals

    async def find_all(self, target: FaultTarget, primary: str, pick: int) -> tuple[str, ...]:
        del primary
        return ("pg_node2", "pg_node3") if target is FaultTarget.STANDBYS else (f"pg_node{2 + pick % 2}",)

    def switchover(self, primary: str, keeper: bool) -> Callable[[], None]:
        del primary, keeper
        return lambda: None

    async def wait_healthy(self, seconds: float) -> str:
        if not self._heals:
            raise errors.DeadlinePassed(f"health did not happen within {seconds:g} s")
        return "pg_node1"


def play(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *toys: Toy,
    heals: bool = True,
    stop_after: float = 0,
    cluster: str = "the same",
    target: FaultTarget = FaultTarget.STANDBY,
    overlaps: bool = False,
) -> tuple[PlayedScenario, list[tuple[str, Phase]], Outcome]:
    """Play a scenario of these faults; return it, the events of the history, and the outcome of the faults."""

    async def primary(_: object) -> str:
        return "pg_node1"

    async def identity(*_: object) -> str:
        return "the same"

    monkeypatch.setattr(Nemesis, "_primary", primary)
    monkeypatch.setattr(workload_tables, "identity", identity)
    acts = tuple(ScenarioStep("a toy", target, lambda *_, toy=toy: toy) for toy in toys)
    scenario = Scenario("toy", "A toy must hold", acts, (0.0, 0.0), overlaps=overlaps)
    turn = PlayedScenario(ScheduledScenario(1, scenario, (stop_after * 20,) * len(acts), 0.0, 0))
    path = folder / "history.jsonl"

    async def all_of_it() -> None:
        with Recorder(path, Header("chaos run", 0, {}, ("toy",) * len(toys))) as recorder:
            site = cast(Any, Field(heals))
            playing = asyncio.create_task(Nemesis(site, recorder, Healing(), cluster).play(turn))
            if stop_after:
                await asyncio.sleep(stop_after)
                playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)

    asyncio.run(all_of_it())
    read = jsonl.read(path)
    (found,) = run_verdict.evaluate(read).findings
    return turn, [(event.target, event.phase) for event in read.nemesis], found.outcome


def test_steps_follow_one_another_and_never_hit_the_same_standby(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys = Toy(), Toy()
    turn, events, outcome = play(tmp_path, monkeypatch, *toys)
    assert [toy.done for toy in toys] == [["aim", "inject", "heal"]] * 2
    one, other = (("pg_node2", p) for p in Phase), (("pg_node3", p) for p in Phase)
    assert events == [*one, *other]
    assert turn.recovered is not None
    assert outcome is Outcome.PASS


def test_a_fault_of_several_victims_hits_each_and_is_one_event_in_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Toy()
    turn, events, outcome = play(tmp_path, monkeypatch, toy, target=FaultTarget.STANDBYS)
    assert toy.done == ["aim", "aim", "inject", "inject", "heal", "heal"]
    assert events == [("pg_node2, pg_node3", phase) for phase in Phase]
    assert turn.victims == ["pg_node2, pg_node3"]
    assert outcome is Outcome.PASS


def test_overlapping_steps_are_healed_in_reverse_after_any_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toys = Toy(), Toy()
    turn, events, outcome = play(tmp_path, monkeypatch, *toys, overlaps=True)
    assert events == [
        ("pg_node2", Phase.BEGIN),
        ("pg_node3", Phase.BEGIN),
        ("pg_node3", Phase.END),
        ("pg_node2", Phase.END),
    ]
    assert turn.victims == ["pg_node2", "pg_node3"]
    assert outcome is Outcome.PASS
    (folder := tmp_path / "again").mkdir()
    toys = Toy(), Toy(errors.EngineFailed("no"))
    turn, events, outcome = play(folder, monkeypatch, *toys, overlaps=True)
    assert [toy.done[-1] for toy in toys] == ["heal", "heal"]
    assert outcome is Outcome.UNKNOWN


def test_a_scenario_with_a_step_that_never_began_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Toy):
        def aim(self) -> None:
            raise errors.ClusterNotUp("its victim does not run")

    for overlaps in (False, True):
        (folder := tmp_path / str(overlaps)).mkdir()
        turn, events, outcome = play(folder, monkeypatch, Toy(), Away(), overlaps=overlaps)
        assert events == [("pg_node2", Phase.BEGIN), ("pg_node2", Phase.END)]
        assert turn.problem == "its victim does not run"
        assert outcome is Outcome.UNKNOWN


def test_a_fault_that_is_not_injected_or_not_healed_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, toy in enumerate((Toy(errors.EngineFailed("no")), Toy(resists=True), Toy(ProcessLookupError()))):
        folder = tmp_path / str(number)
        folder.mkdir()
        turn, events, outcome = play(folder, monkeypatch, toy)
        assert toy.done[-1] == "heal"
        assert events == [("pg_node2", Phase.BEGIN)]
        assert turn.problem
        assert outcome is Outcome.UNKNOWN
        assert turn.recovered is not None  # the next scenario finds a healthy cluster all the same


def test_a_fault_that_resists_on_a_cluster_that_stays_broken_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, _, _ = play(tmp_path, monkeypatch, Toy(resists=True), heals=False)
    assert turn.is_unhealed
    assert turn.problem.count(";") == 1


def test_an_interruption_heals_and_records_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    turn, events, _ = play(tmp_path, monkeypatch, toy, stop_after=0.2)
    assert toy.done == ["aim", "inject", "heal"]
    assert events == [("pg_node2", Phase.BEGIN), ("pg_node2", Phase.END)]
    assert turn.healed is not None
    assert turn.recovered is None


def test_a_cluster_that_does_not_recover_is_reported_with_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn, _, _ = play(tmp_path, monkeypatch, Toy(), heals=False)
    assert turn.is_unhealed
    assert turn.heal_seconds is not None
    run = runner.Run(tmp_path, [turn, PlayedScenario(turn.scheduled)])
    assert run.heal_seconds == turn.heal_seconds
    assert "PROBLEM" in runner.line(turn)


def test_the_longest_recovery_is_known_only_if_each_is_known() -> None:
    first, second, third = sample.played()
    assert runner.Run(Path(), [first, second, third]).heal_seconds == 8.0
    second.recovered = None
    assert runner.Run(Path(), [first, second]).heal_seconds is None
    assert runner.Run(Path(), [third]).heal_seconds is None
    assert HEAL_SECONDS == 60


def test_no_fault_is_injected_into_another_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = Toy()
    turn, events, outcome = play(tmp_path, monkeypatch, toy, cluster="another")
    assert (toy.done, events, outcome) == ([], [], Outcome.UNKNOWN)
    assert "the cluster was re-created" in turn.problem


class Silent:
    """Progress without output."""

    def step(self, title: str) -> AbstractContextManager[None]:
        del title
        return nullcontext()

    def note(self, text: str) -> None:
        del text


def interrupted(times: int) -> runner.Run:
    """Run two blocks, in each of which a Ctrl-C may arrive; the code after them is the rest of a run."""
    done = runner.Run(Path(), [])

    async def work() -> None:
        for number in range(2):
            with runner._interruptible(done, Silent()):
                if number < times:
                    os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(0.2)
        done.problems.append("continued")

    interrupts.run(work())
    return done


def test_the_first_interruption_ends_the_block_and_the_run_continues() -> None:
    assert interrupted(0).is_interrupted is False
    once = interrupted(1)
    assert once.is_interrupted
    assert once.problems == ["continued"]
    with pytest.raises(KeyboardInterrupt):
        interrupted(2)
