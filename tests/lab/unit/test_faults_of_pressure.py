"""Limits, sessions, clocks and operators as faults: their effects, their healing, and injections that do not count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit.test_faults import FakeHost

from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.operations import maintenance
from poolkeeper.system import etcd_kv, process
from poolkeeper_lab.faults import clocks, operator_faults, packets, resource_limits, sweep
from poolkeeper_lab.faults.host import Host

DSN = Dsn("127.0.0.1", 5100, "app", "app", "secret")
V1 = "5:memory:/docker/abc\n4:cpuset:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/docker/abc\n"


class Noted(FakeHost):
    """A host with a declared cluster, whose engine has noted limits."""

    def __init__(self, status: str = "running", said: str = "", **config: int) -> None:
        super().__init__(status)
        self.config, self.said = config, said
        cluster = SimpleNamespace(
            endpoint=lambda *_: DSN, node=lambda name, role, _: Dsn("127.0.0.1", 5611, role, name), rest_auth=("u", "p")
        )
        self.cluster = SimpleNamespace(spec=ClusterSpec(), with_passwords=lambda: cluster)

    def docker(self, *words: str, seconds: float = 60) -> str:
        super().docker(*words, seconds=seconds)
        return json.dumps(self.config) if "{{json .HostConfig}}" in words else self.said

    def state(self, service: str) -> dict[str, object]:
        return {**super().state(service), "StartedAt": "then"}


def on(fake: FakeHost) -> Host:
    return cast(Host, fake)


@pytest.fixture
def v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> resource_limits.ControlGroup:
    """Return a control group of the first version, in a folder, as the group of every process."""
    own = resource_limits.ControlGroup(tmp_path / "memory", tmp_path / "cpu", is_unified=False)
    own.memory.mkdir()
    own.cpu.mkdir()
    for name, text in {
        "memory.limit_in_bytes": "9",
        "memory.memsw.limit_in_bytes": "9",
        "memory.usage_in_bytes": "5000000",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    }.items():
        (own.memory / name).write_text(text)
    monkeypatch.setattr(resource_limits, "group", lambda _: own)
    return own


def test_a_group_is_found_in_both_versions(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "cgroup").write_text(V1)
    found = resource_limits.group(7, tmp_path, Path("/g"))
    assert found == resource_limits.ControlGroup(
        Path("/g/memory/docker/abc"), Path("/g/cpu,cpuacct/docker/abc"), is_unified=False
    )
    (folder / "cgroup").write_text("0::/system.slice/docker-abc.scope\n")
    cluster = Path("/g/system.slice/docker-abc.scope")
    assert resource_limits.group(7, tmp_path, Path("/g")) == resource_limits.ControlGroup(
        cluster, cluster, is_unified=True
    )
    with pytest.raises(errors.EngineFailed):
        resource_limits.group(8, tmp_path)


def test_cpu_is_limited_and_the_limit_removed(v1: resource_limits.ControlGroup) -> None:
    fault = resource_limits.StarveCpu(on(Noted()), "victim")
    fault.inject()
    assert (v1.cpu / "cpu.cfs_quota_us").read_text() == "5000"
    fault.heal()
    fault.heal()
    assert (v1.cpu / "cpu.cfs_quota_us").read_text() == "-1"


def test_healing_restores_the_limits_that_the_engine_has_noted(v1: resource_limits.ControlGroup) -> None:
    resource_limits.StarveCpu(on(Noted(Memory=1 << 30, NanoCpus=500_000_000)), "victim").heal()
    assert (v1.memory / "memory.limit_in_bytes").read_text() == str(1 << 30)
    assert (v1.memory / "memory.memsw.limit_in_bytes").read_text() == str(1 << 30)
    assert (v1.cpu / "cpu.cfs_quota_us").read_text() == "50000"


def test_a_container_that_ended_took_its_limits_with_it(v1: resource_limits.ControlGroup) -> None:
    fake = Noted("exited")
    resource_limits.ExhaustMemory(on(fake), "victim").heal()
    assert ("start", "c_victim") in fake.asked
    assert (v1.memory / "memory.limit_in_bytes").read_text() == "9"


def test_the_unified_version_has_other_files(tmp_path: Path) -> None:
    own = resource_limits.ControlGroup(tmp_path, tmp_path, is_unified=True)
    assert own.limit_memory(4096)
    assert [(tmp_path / name).read_text() for name in ("memory.max", "memory.swap.max")] == ["4096", "0"]
    own.limit_memory(-1)
    own.limit_cpu(5000)
    assert [(tmp_path / name).read_text() for name in ("memory.max", "cpu.max")] == ["max", "5000 100000"]
    own.limit_cpu(-1)
    assert (tmp_path / "cpu.max").read_text() == "max 100000"


def test_lack_of_memory_counts_only_if_the_kernel_killed(
    v1: resource_limits.ControlGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_limits, "KILL_SECONDS", 0.1)
    with pytest.raises(errors.DeadlinePassed, match="killed nothing"):
        resource_limits.ExhaustMemory(on(Noted()), "victim").inject()
    assert (v1.memory / "memory.limit_in_bytes").read_text() == str(resource_limits.STEP)


@pytest.mark.usefixtures("v1")
def test_a_killed_container_counts_as_a_kill() -> None:
    class Dies(Noted):
        def state(self, service: str) -> dict[str, object]:
            self.status = "running" if not self.asked else "exited"
            self.asked.append(("inspected",))
            return super().state(service)

    resource_limits.ExhaustMemory(on(Dies()), "victim").inject()


def test_a_limit_that_the_kernel_refuses_is_raised_until_it_is_accepted() -> None:
    tried: list[int] = []

    def limit(value: int) -> bool:
        tried.append(value)
        return len(tried) > 2

    own = SimpleNamespace(usage=5_000_000, limit_memory=limit, memory="there")
    resource_limits.squeeze(cast(Any, own))
    assert tried == [5 << 20, 6 << 20, 8 << 20]
    with pytest.raises(errors.EngineFailed):
        resource_limits.squeeze(cast(Any, SimpleNamespace(usage=1, limit_memory=lambda _: False, memory="there")))


def test_faults_that_outlive_their_process_are_swept(
    v1: resource_limits.ControlGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(packets, "sweep_rules", lambda *_: None)
    monkeypatch.setattr(resource_limits, "_ROOT", Path("/"))
    fake = Noted("paused", said="removed\n")
    for service in ("pg_node1", "etcd1"):
        sweep.of_container(on(fake), service)
    assert (v1.memory / "memory.limit_in_bytes").read_text() == "-1"
    assert [words[1:] for words in fake.asked if words[0] == "unpause"] == [("c_pg_node1",), ("c_etcd1",)]
    assert [words[-1] for words in fake.asked if words[0] == "restart"] == ["c_pg_node1"]


def test_a_command_by_hand_runs_as_the_server_s_own_user() -> None:
    fake = Noted()
    fault = operator_faults.ByHand(on(fake), "pg_node2", "promote")
    fault.inject()
    assert fake.asked == [
        ("exec", "--user", "postgres", "c_pg_node2", "pg_ctl", "--pgdata", operator_faults.DATA, "promote")
    ]


def raising(error: Exception) -> Callable[[], None]:
    def request() -> None:
        raise error

    return request


def test_an_attempt_may_be_refused_but_not_fail_otherwise() -> None:
    attempt = operator_faults.CommandAttempt(on(Noted()), "pg_node1", raising(errors.OperationRefused("no quorum")))
    attempt.inject()
    assert attempt.refusal == "no quorum"
    with pytest.raises(errors.DeadlinePassed):
        operator_faults.CommandAttempt(on(Noted()), "pg_node1", raising(errors.DeadlinePassed("late"))).inject()


def test_maintenance_ends_with_the_healing(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[bool] = []
    monkeypatch.setattr(maintenance, "set_mode", lambda _cluster, wanted, _progress: modes.append(wanted))
    fault = operator_faults.Maintenance(on(Noted()), "pg_node1")
    fault.inject()
    fault.heal()
    assert modes == [True, False]


def test_only_the_holders_own_lease_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Store:
        def __init__(self, *_: object) -> None: ...

        async def delete_if(self, keys: object, guards: Any) -> bool:
            asked.append((keys, guards[0].value))
            return len(asked) == 1

        async def close(self) -> None:
            asked.append("closed")

    monkeypatch.setattr(etcd_kv, "Store", Store)
    operator_faults.DeleteLease(on(Noted()), "pg_node1").inject()
    assert asked == [(["/service/poolkeeper/leader"], "pg_node1"), "closed"]
    with pytest.raises(errors.ClusterNotUp):
        operator_faults.DeleteLease(on(Noted()), "pg_node1").inject()


def test_an_endpoint_is_reloaded_several_times() -> None:
    fake = Noted()
    operator_faults.ReloadEndpoint(on(fake), "pgpool_rw").inject()
    assert fake.asked == [("exec", "c_pgpool_rw", "reload.sh")] * 3


def test_the_clock_jumps_once_all_processes_have_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def restart(_: object) -> None:
        fake.asked.append(("restarted",))

    fake = Noted()
    monkeypatch.setattr(clocks, "library", lambda: tmp_path / clocks.LIBRARY)
    monkeypatch.setattr(clocks.JumpClock, "_restart", restart)
    fault = clocks.JumpClock(on(fake), "pg_node1", -3600)
    fault.inject()
    kinds = [words[0] for words in fake.asked]
    assert kinds == ["exec", "cp", "exec", "SIGKILL", "restarted", "exec"]
    assert fake.asked[3] == ("SIGKILL", "8", "pg_node1")
    assert "-3600" in fake.asked[-1][-1]
    assert str(fault) == "the wall clock of pg_node1 jumps by -3600 s"


def test_an_unchanged_clock_needs_no_restart() -> None:
    for said, count in (("", 0), ("removed\n", 1)):
        fake = Noted(said=said)
        clocks.JumpClock(on(fake), "pg_node1").heal()
        assert sum(words[0] == "restart" for words in fake.asked) == count


def test_without_the_library_the_clock_cannot_jump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clocks.library((tmp_path,)) is None
    (tmp_path / "arch" / "faketime").mkdir(parents=True)
    installed = tmp_path / "arch" / "faketime" / clocks.LIBRARY
    installed.touch()
    assert clocks.library((tmp_path,)) == installed
    monkeypatch.setattr(clocks, "library", lambda: None)
    assert "libfaketime" in clocks.JumpClock(on(Noted()), "pg_node1").available()


@pytest.mark.parametrize("until", ["chmod", "cp -p", "the end"])
def test_added_files_are_removed_wherever_the_installation_stopped(tmp_path: Path, until: str) -> None:
    program, folder = tmp_path / "patroni", tmp_path / "folder"
    program.write_text("the original")
    folder.mkdir()
    (folder / clocks.LIBRARY).touch()

    def local(script: str) -> str:
        return script.replace(clocks.PATRONI, str(program)).replace(clocks.FOLDER, str(folder))

    lines = clocks._INSTALL.split("\n")
    stop = next((number for number, text in enumerate(lines) if text.startswith(until)), None)
    script = "\n".join(lines[: stop + 1] if stop is not None else lines)
    assert process.run(["sh", "-c", local(script)]).ok
    if until == "the end":
        assert program.read_text() == local(clocks._SCRIPT).rstrip("\n") + "\n"
        assert (folder / "patroni").read_text() == "the original"
    assert process.run(["sh", "-c", local(clocks._REMOVE)]).stdout == "removed\n"
    assert program.read_text() == "the original"
    assert not folder.exists()
    again = process.run(["sh", "-c", local(clocks._REMOVE)])
    assert (again.code, again.stdout) == (0, "")
