"""Mutants of the configuration: a setting is made once, replaces no other, and is removed with all its effects."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.lab.unit.test_chaos_mutants import SPEC, healthy

from poolkeeper.core import errors
from poolkeeper.system import patroni, postgres
from poolkeeper_lab.chaos.mutants import setting_mutants
from poolkeeper_lab.chaos.workloads import workload_tables
from poolkeeper_lab.faults import node_faults


def test_a_setting_of_the_role_is_made_once_and_replaces_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: list[str] = []
    asked: list[str] = []

    async def ask(self: setting_mutants.RoleSetting, where: Any, statement: str) -> list[tuple[str]]:
        del self, where
        asked.append(statement)
        if statement.startswith("ALTER"):
            entries[:] = ["synchronous_commit=local"] * (" SET " in statement)
        return [(entry,) for entry in entries] if statement.startswith("SELECT entry") else []

    async def query(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(setting_mutants.RoleSetting, "_ask", ask)
    monkeypatch.setattr(postgres, "query", query)
    change = setting_mutants.RoleSetting("synchronous_commit", "local")
    where = SimpleNamespace(spec=SPEC, cluster=SimpleNamespace(node=lambda *_: None))
    asyncio.run(change.revert(cast(Any, where)))
    assert not any(statement.startswith("ALTER") for statement in asked)
    asyncio.run(change.apply(cast(Any, where)))
    assert asyncio.run(change.is_applied(cast(Any, where)))
    with pytest.raises(errors.OperationRefused):
        asyncio.run(change.apply(cast(Any, where)))
    asyncio.run(change.revert(cast(Any, where)))
    assert not asyncio.run(change.is_applied(cast(Any, where)))
    entries[:] = ["synchronous_commit=remote_apply"]
    asyncio.run(change.revert(cast(Any, where)))
    assert entries == ["synchronous_commit=remote_apply"]


class Shared:
    """Patroni's shared configuration, and three servers that adopt it at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parameters: dict[str, str] = {}
        self.broken: set[str] = set()
        self.cloned: list[str] = []

        async def version(*_: Any) -> str:
            return "4.0.7"

        async def read(*_: Any) -> dict[str, Any]:
            return {"postgresql": {"parameters": dict(self.parameters)}}

        async def patch(_: str, change: Any, *__: Any) -> None:
            for name, value in change["postgresql"]["parameters"].items():
                self.parameters.pop(name, None)
                self.parameters |= {name: value} if value is not None else {}

        async def query(node: str, *_: Any) -> list[tuple[str]]:
            if node in self.broken:
                raise errors.Unreachable("it does not start")
            return [("off" if self.parameters.get("fsync") == "off" else "on",)]

        async def clear(*_: Any) -> None:
            assert self.parameters == {"fsync": "on"}, "the parameter is set until the end"
            assert not self.broken

        for name, call in (("observe_version", version), ("read_config", read), ("patch_config", patch)):
            monkeypatch.setattr(patroni, name, call)
        monkeypatch.setattr(postgres, "query", query)
        monkeypatch.setattr(workload_tables, "clear", clear)
        monkeypatch.setattr(node_faults, "wait_primary", lambda *_: "pg_node1")
        monkeypatch.setattr(node_faults, "clone_again", lambda _, node: self.clone(node))
        access = SimpleNamespace(node=lambda name, *_: name, address=lambda _: "", rest_auth=("", ""))
        self.drilled: Any = SimpleNamespace(spec=SPEC, cluster=access, host=None, wait_healthy=healthy)

    def clone(self, node: str) -> None:
        assert self.parameters == {"fsync": "on"}, "nothing is cloned while it is off"
        self.broken.discard(node)
        self.cloned.append(node)


def test_fsync_is_restored_and_the_standbys_are_cloned_before_the_parameter_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared, change = Shared(monkeypatch), setting_mutants.Unflushed()
    asyncio.run(change.revert(shared.drilled))
    assert shared.cloned == []
    asyncio.run(change.apply(shared.drilled))
    assert shared.parameters == {"fsync": "off"}
    assert asyncio.run(change.is_applied(shared.drilled))
    with pytest.raises(errors.OperationRefused):
        asyncio.run(change.apply(shared.drilled))
    asyncio.run(change.revert(shared.drilled))
    assert shared.parameters == {}
    assert shared.cloned == ["pg_node2", "pg_node3"]
    assert not asyncio.run(change.is_applied(shared.drilled))


def test_a_standby_that_does_not_start_is_cloned_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shared, change = Shared(monkeypatch), setting_mutants.Unflushed()
    asyncio.run(change.apply(shared.drilled))
    shared.broken = {"pg_node3"}
    asyncio.run(change.revert(shared.drilled))
    assert shared.cloned == ["pg_node3", "pg_node2"]
    assert shared.parameters == {}


def test_a_server_that_does_not_adopt_the_setting_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Shared(monkeypatch)
    monkeypatch.setattr(setting_mutants, "ADOPT_SECONDS", 0.01)
    with pytest.raises(errors.DeadlinePassed, match="pg_node1 has fsync = on"):
        asyncio.run(setting_mutants.SharedParameter("fsync", "shut").apply(shared.drilled))
