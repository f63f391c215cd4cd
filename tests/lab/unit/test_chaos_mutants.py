"""The mutants of the live self-test: each can be injected and removed, and is caught only by a named anomaly."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit.test_chaos_self_test import STORED
from tests.lab.unit.test_faults import FakeHost

import poolkeeper
from poolkeeper.core import errors
from poolkeeper.model.endpoint_keys import RO
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome
from poolkeeper.system import process
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history.history import Completion, Header
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.mutants import all_mutants, keeper_source, mutant_faults, mutant_scenarios, runner_mutants
from poolkeeper_lab.chaos.mutants.change import Outside
from poolkeeper_lab.chaos.mutants.keeper_source import HALF, KEPT, PACKAGE, KeeperSource, Mutation
from poolkeeper_lab.chaos.mutants.mutant import Catch, brisk, sighted
from poolkeeper_lab.chaos.workloads import all_jobs
from poolkeeper_lab.faults import moments, packets
from poolkeeper_lab.faults.fault import Fault
from poolkeeper_lab.faults.host import Host
from poolkeeper_lab.faults.moments import Moment

SOURCE = Path(poolkeeper.__file__).parent
CHAOS = Path(keeper_source.__file__).parents[1]
SPEC = ClusterSpec()
MUTATIONS = [(p.name, m) for p in all_mutants.MUTANTS if isinstance(p.change, KeeperSource) for m in p.change.mutations]
KINDS = {checker for checker in (*run_verdict.CHECKERS, run_verdict.FINAL_STATE)}


@pytest.mark.parametrize("mutation", [m for _, m in MUTATIONS], ids=[f"{name}-{m.file}" for name, m in MUTATIONS])
def test_a_mutation_finds_its_text_once_and_its_result_compiles(mutation: Mutation) -> None:
    text = (SOURCE / mutation.file).read_text(encoding="utf-8")
    assert text.count(mutation.old) == 1
    mutated = mutation.of(text)
    assert mutated != text
    compile(mutated, mutation.file, "exec")


def test_a_text_that_is_missing_or_not_unique_is_refused() -> None:
    for text in ("", "a a"):
        with pytest.raises(errors.OperationRefused, match=f"occurs {text.count('a')} times"):
            Mutation("x.py", "a", "b").of(text)


def test_every_mutant_has_a_name_a_scenario_and_an_existing_anomaly() -> None:
    assert len(set(all_mutants.NAMES)) == len(all_mutants.NAMES) >= 9
    known = "".join(path.read_text() for path in CHAOS.rglob("*.py") if "mutants" not in path.parts)
    for mutant in all_mutants.MUTANTS:
        assert re.fullmatch(r"[a-z_]+", mutant.name)
        assert mutant.scenarios
        for catch in mutant.catches:
            assert mutant.detect or (catch.checker in KINDS and f'"{catch.anomaly}"' in known), catch
    assert all_mutants.choose(()) == all_mutants.MUTANTS
    assert [p.name for p in all_mutants.choose(("fsync_off",))] == ["fsync_off"]
    with pytest.raises(errors.UsageError, match="no such bug: weevil"):
        all_mutants.choose(("weevil",))


class Cluster:
    """The default cluster with everything that faults need."""

    spec = SPEC

    def cluster(self) -> Any:
        return None

    def container(self, service: str) -> str:
        return service


def fake(**known: Any) -> Any:
    made = FakeHost(**known)
    made.cluster = Cluster()
    return made


# What a loss of power does to a disk is tested with a host that has one (test_faults_of_storage.py).
OWN = {s.name: s for p in all_mutants.MUTANTS for s in p.scenarios if s is not mutant_scenarios.LOSE_POWER_OUT_OF_ORDER}


@pytest.mark.parametrize("scenario", OWN.values(), ids=OWN)
def test_every_scenario_makes_faults_that_aim_and_heal(scenario: Any) -> None:
    for act in scenario.steps:
        host = fake()
        fault = act.make(host, "pg_node1", lambda: None)
        assert str(fault)
        fault.aim()
        before = list(host.asked)
        fault.heal()
        assert [
            words for words in host.asked if words not in before and "-S" not in words and words[0] != "SIGCONT"
        ] == []


def test_standbys_are_cut_off_from_the_primary_alone_before_it_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "UNSEEN", 0.0)
    host = fake()
    Moment(host, "pg_node2", moments.cut_all_then_kill).inject()
    assert [words[0] for words in host.asked] == ["pg_node1"] * 2 + ["pg_node3"] * 2 + ["kill"]
    assert all("10.8.0.12" in words for words in host.asked[:-1])
    host = fake()
    Moment(host, "pg_node1", moments.cut_first_then_kill).inject()
    assert [words[0] for words in host.asked] == ["pg_node2"] * 2 + ["kill"]


def test_standbys_are_reconnected_to_the_primary_before_it_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIVEN_UP", "SENT_AGAIN"):
        monkeypatch.setattr(moments, name, 0.0)
    host = fake(rules=[f"-A INPUT -s 10.8.0.11/32 -m comment --comment {packets.MARK} -j DROP"])
    Moment(host, "pg_node1", moments.late_commits_then_kill).inject()
    steps = [words[3] if len(words) > 3 else words[0] for words in host.asked if "-S" not in words]
    assert steps == ["-I"] * 4 + ["-D"] * 2 + ["kill"]


def test_the_wal_receiver_is_ended_after_the_cut() -> None:
    host = fake()
    fault = Moment(host, "pg_node2", moments.not_streaming)
    fault.aim()
    fault.inject()
    assert host.asked[-1] == ("SIGTERM", "12", "pg_node2")


def test_a_part_of_a_cut_ends_early_and_no_other_rule_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "VOTES", 0.0)
    rule = f"-A INPUT -s {{}}/32 ! -i lo -m comment --comment {packets.MARK} -j DROP"
    host = fake(rules=[rule.format("10.8.0.11"), rule.format("10.8.0.31"), "-A INPUT -s 10.8.0.11/32 -j DROP"])
    fault = Moment(host, "pg_node1", moments.silent_patroni_and_late_standby)
    fault.aim()
    fault.inject()
    assert ("SIGSTOP", "8", "pg_node1") in host.asked
    cut, deleted = ([words for words in host.asked if way in words] for way in ("-I", "-D"))
    assert {words[0] for words in cut} == {"pg_node3"}
    sources = [words[words.index("-s") + 1] for words in cut if "-s" in words]
    assert {address for joined in sources for address in joined.split(",")} == {
        "10.8.0.11",
        "10.8.0.31",
        "10.8.0.32",
        "10.8.0.33",
    }
    assert [words[4:] for words in deleted] == [tuple(rule.format("10.8.0.11").split()[1:])]


class Part(Fault):
    """A part of several faults; its healing may fail."""

    def __init__(self, name: str, log: list[str], resists: bool = False) -> None:
        self.name, self.log, self.resists = name, log, resists

    def __str__(self) -> str:
        return self.name

    def aim(self) -> None:
        self.log.append(f"aim {self.name}")

    def inject(self) -> None:
        self.log.append(f"inject {self.name}")
        if self.resists:
            raise errors.EngineFailed("no")

    def heal(self) -> None:
        self.log.append(f"heal {self.name}")
        if self.resists:
            raise errors.EngineFailed("it resists")


def test_several_faults_are_all_healed_in_the_reverse_order() -> None:
    log: list[str] = []
    parts = (Part("a", log), Part("b", log, resists=True), Part("c", log))
    fault = Moment(cast(Host, None), "victim", lambda *_: [(part, 0.0) for part in parts])
    with pytest.raises(errors.EngineFailed):
        fault.inject()
    with pytest.raises(errors.EngineFailed, match="b: it resists"):
        fault.heal()
    assert log == ["inject a", "inject b", "heal c", "heal b", "heal a"]


def test_a_forgetful_healing_leaves_one_rule_and_the_change_removes_it() -> None:
    rules = [f"-A {way} ! -i lo -m comment --comment {packets.MARK} -j DROP" for way in ("INPUT", "OUTPUT")]
    host = fake(rules=rules)
    mutant_faults.ForgetfulDrop(host, "pg_node2").heal()
    asked = [words[3] for words in host.asked if "-S" not in words]
    assert asked == ["-D", "-D", "-A"]
    assert host.asked[-1][4] == "OUTPUT"
    assert asyncio.run(Outside().is_applied(drilled(host)))
    assert not asyncio.run(Outside().is_applied(drilled(fake())))


def drilled(host: Any) -> Any:
    return SimpleNamespace(host=host, spec=SPEC, cluster=None, wait_healthy=healthy)


async def healthy(seconds: float) -> str:
    del seconds
    return "pg_node1"


class Container:
    """The keeper's container as a folder: programs in it or in its mount namespace run below that folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.restarts, self.cluster = folder, 0, Cluster()
        monkeypatch.setattr(keeper_source, "PACKAGE", str(folder))
        monkeypatch.setattr(process, "check", self.check)
        self.breaks = ""

    def first_process(self, service: str) -> int:
        del service
        return 7

    def docker(self, *words: str, seconds: float = 60) -> str:
        del seconds
        self.restarts += words[0] == "restart"
        return real_check(words[2:]) if words[0] == "exec" else ""

    def check(self, argv: Sequence[str], *, stdin: str | None = None, **_: Any) -> str:
        words = argv[argv.index("--") + 1 :]
        if words[0] == "mount":
            return ""
        if self.breaks and self.breaks in words:
            raise errors.EngineFailed("broken in the middle")
        return real_check(words, stdin=stdin)


real_check = process.check


def test_a_mutation_is_injected_and_the_file_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = Container(tmp_path, monkeypatch)
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("x = 1\n")
    before = {path.name: path.stat() for path in tmp_path.iterdir()}
    change = KeeperSource(
        Mutation("one.py", "x = 1", "x = 2"), Mutation("two.py", "x", "y"), Mutation("one.py", "2\n", "3\n")
    )
    where = drilled(container)
    asyncio.run(change.apply(where))
    assert asyncio.run(change.is_applied(where))
    assert [(tmp_path / name).read_text() for name in ("one.py", "two.py")] == ["x = 3\n", "y = 1\n"]
    assert container.restarts == 1
    for _ in range(2):
        asyncio.run(change.revert(where))
        assert not asyncio.run(change.is_applied(where))
        after = {path.name: path.stat() for path in tmp_path.iterdir()}
        assert {n: (s.st_mtime_ns, s.st_size) for n, s in after.items()} == {
            n: (s.st_mtime_ns, s.st_size) for n, s in before.items()
        }
    assert container.restarts == 2


def test_half_a_mutation_is_found_and_removed_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = Container(tmp_path, monkeypatch)
    (tmp_path / "one.py").write_text("x = 1\n")
    (tmp_path / "two.py").write_text("x = 1\n")
    change = KeeperSource(Mutation("one.py", "1", "2"), Mutation("two.py", "1", "2"))
    container.breaks = str(tmp_path / "two.py")
    with pytest.raises(errors.EngineFailed):
        asyncio.run(change.apply(drilled(container)))
    (tmp_path / f"two.py{HALF}").write_text("x =")
    container.breaks = ""
    another = KeeperSource()
    assert asyncio.run(another.is_applied(drilled(container)))
    asyncio.run(another.revert(drilled(container)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.py", "two.py"]
    assert (tmp_path / "one.py").read_text() == "x = 1\n"
    assert PACKAGE.endswith("/poolkeeper")
    assert KEPT != HALF


def test_brisk_jobs_are_the_usual_ones_at_twice_the_pace_with_more_readers() -> None:
    usual, quick = all_jobs.made(SPEC, True), brisk(SPEC, True)
    for one, other in zip(usual, quick, strict=True):
        assert other.name == one.name
        assert other.declared == one.declared
        assert other.roles[0].pace == one.roles[0].pace / 2
    readers = [sum(role.endpoint == RO for made in jobs for role in made.roles) for jobs in (usual, quick)]
    assert readers[1] > readers[0]


def test_the_trusting_client_treats_a_warning_as_success(tmp_path: Path) -> None:
    for kind, completion in ((runner_mutants.TrustingRecorder, "ok"), (Recorder, "info")):
        path = tmp_path / completion
        with kind(path, Header("t", 1, {})) as recorder:
            recorder.ok(recorder.invoke(1, "set", "rw", "add", 1), warning="01000")
        assert json.loads(path.read_text().splitlines()[-1])["type"] == completion


def test_a_checker_that_ignores_info_raises_a_false_alarm() -> None:
    found = {
        name: runner_mutants.by_ignoring_info(history, run_verdict.evaluate(history))
        for name, history in STORED.items()
        if history.header.expected and history.header.expected.outcome == Outcome.PASS
    }
    assert any(found.values())
    bad = STORED["set-lost"]
    assert runner_mutants.by_ignoring_info(bad, run_verdict.evaluate(bad)) is None
    assert not any(sight for name, sight in found.items() if not STORED[name].count(Completion.INFO))


def test_only_a_named_anomaly_counts() -> None:
    evaluated = run_verdict.evaluate(STORED["set-lost"])
    assert sighted((Catch("set", "lost"),), evaluated)
    assert sighted((Catch("set", "duplicate"), Catch("bank", "lost")), evaluated) is None
