"""Bringing up: Patroni is asked for the quorum until PostgreSQL has it, and never for more than was declared."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.poolkeeper.unit import deployments
from tests.poolkeeper.unit.snapshots import SPEC

from poolkeeper.cluster import snapshot, startup
from poolkeeper.core import errors
from poolkeeper.model.observed import Seen
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import patroni


class Primary:
    """It tells one list of names after the other, the last one for ever; `asked`: how often its Patroni was."""

    def __init__(self, *names: str) -> None:
        self.names, self.asked = list(names), 0

    async def see_postgres(self, *_: object) -> Seen[Any]:
        told = self.names.pop(0) if len(self.names) > 1 else self.names[0]
        return Seen(SimpleNamespace(synchronous_standby_names=told)) if told != "silent" else Seen(error="silent")

    async def patch_config(self, *_: object) -> None:
        self.asked += 1


def hasten(monkeypatch: pytest.MonkeyPatch, primary: Primary, spec: ClusterSpec) -> int:
    """How often Patroni was asked."""
    monkeypatch.setattr(snapshot, "see_postgres", primary.see_postgres)
    monkeypatch.setattr(patroni, "patch_config", primary.patch_config)
    monkeypatch.setattr(startup, "HASTE", 0.0)
    ctx: Any = SimpleNamespace(cluster=SimpleNamespace(spec=spec, rest_auth=None, address=lambda _: "10.8.0.11"))
    asyncio.run(startup._hasten_quorum(ctx, "pg_node1"))
    return primary.asked


WHOLE = "ANY 1 (pg_node2,pg_node3)"


@pytest.mark.parametrize(
    ("mode", "names", "asked"),
    [
        ("quorum", ("", "silent", "ANY 1 (pg_node2)", WHOLE), 3),
        ("quorum", (WHOLE,), 0),
        ("on", ("", "pg_node3"), 1),  # one is enough, and there will be no second one
        ("off", ("",), 0),
    ],
)
def test_it_is_asked_for_until_it_is_there(
    monkeypatch: pytest.MonkeyPatch, mode: str, names: tuple[str, ...], asked: int
) -> None:
    assert hasten(monkeypatch, Primary(*names), deployments.edit(SPEC, "replication.synchronous_mode", mode)) == asked


def test_a_quorum_that_does_not_come_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for green names it."""

    async def once(what: str, look: Callable[[], Awaitable[str | None]], **_: object) -> None:
        assert await look() == "not in the quorum yet: nobody is"
        raise errors.DeadlinePassed(what)

    monkeypatch.setattr(startup, "wait_until", once)
    assert hasten(monkeypatch, Primary(""), SPEC) == 1
