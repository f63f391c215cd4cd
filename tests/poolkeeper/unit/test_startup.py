"""The start: Patroni is asked for the quorum until PostgreSQL has it, and never for more than was declared."""

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
from poolkeeper.core.wait import NotYet
from poolkeeper.model.observed import Seen
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import patroni

COMPLETE = "ANY 1 (pg_node2,pg_node3)"


class Primary:
    """A primary that reports each list of names once, then repeats the last; `asked` counts the requests to Patroni."""

    def __init__(self, *names: str) -> None:
        self.names, self.asked = list(names), 0

    async def observe_postgres(self, *_: object) -> Seen[Any]:
        """Report the next list; "silent" stands for no answer."""
        names = self.names.pop(0) if len(self.names) > 1 else self.names[0]
        return Seen(SimpleNamespace(synchronous_standby_names=names)) if names != "silent" else Seen(error="silent")

    async def patch_config(self, *_: object) -> None:
        """Count a request."""
        self.asked += 1


def requests_to_patroni(monkeypatch: pytest.MonkeyPatch, primary: Primary, spec: ClusterSpec) -> int:
    """Refresh the quorum, and return how often Patroni was asked."""
    monkeypatch.setattr(snapshot, "observe_postgres", primary.observe_postgres)
    monkeypatch.setattr(patroni, "patch_config", primary.patch_config)
    monkeypatch.setattr(startup, "REFRESH_PAUSE", 0.0)
    ctx: Any = SimpleNamespace(cluster=SimpleNamespace(spec=spec, rest_auth=None, address=lambda _: "10.8.0.11"))
    asyncio.run(startup._refresh_quorum(ctx, "pg_node1"))
    return primary.asked


@pytest.mark.parametrize(
    ("mode", "names", "asked"),
    [
        ("quorum", ("", "silent", "ANY 1 (pg_node2)", COMPLETE), 3),
        ("quorum", (COMPLETE,), 0),
        ("on", ("", "pg_node3"), 1),  # one is enough, and there will be no second one
        ("off", ("",), 0),
    ],
)
def test_patroni_is_asked_until_the_quorum_is_complete(
    monkeypatch: pytest.MonkeyPatch, mode: str, names: tuple[str, ...], asked: int
) -> None:
    spec = deployments.edit(SPEC, "replication.synchronous_mode", mode)
    assert requests_to_patroni(monkeypatch, Primary(*names), spec) == asked


def test_an_incomplete_quorum_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health checks name it."""

    async def once(what: str, check: Callable[[], Awaitable[None]], **_: object) -> None:
        with pytest.raises(NotYet, match="the quorum is not complete yet: no standby"):
            await check()
        raise errors.DeadlinePassed(what)

    monkeypatch.setattr(startup, "wait_for", once)
    assert requests_to_patroni(monkeypatch, Primary(""), SPEC) == 1


def test_the_wait_for_streaming_asks_for_the_leader_again_after_a_failover(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first leader is in recovery; only then is Patroni asked for another one."""
    leaders = iter(["pg_node1", "pg_node2", "asked too often"])
    servers = {
        "pg_node1": SimpleNamespace(in_recovery=True, senders=[]),
        "pg_node2": SimpleNamespace(in_recovery=False, senders=[]),
    }

    async def leader(_: object) -> str:
        return next(leaders)

    async def server(_: object, node: str) -> Seen[Any]:
        return Seen(servers[node])

    monkeypatch.setattr(startup, "_find_leader", leader)
    monkeypatch.setattr(snapshot, "observe_postgres", server)
    check = startup._StreamingCheck(SimpleNamespace(spec=SPEC))  # type: ignore[arg-type]  # only its spec is used
    for missing in ("pg_node1 is not open for writes yet", "not streaming yet: pg_node1, pg_node3"):
        with pytest.raises(NotYet, match=missing):
            asyncio.run(check())
    servers["pg_node2"].senders = [SimpleNamespace(application=n, state="streaming") for n in ("pg_node1", "pg_node3")]
    assert asyncio.run(check()) == "pg_node2"
