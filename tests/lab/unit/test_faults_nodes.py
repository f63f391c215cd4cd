"""The waits of faults: each ends with its condition and not before, or reports the last observed state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from poolkeeper.core import errors
from poolkeeper.operations import switchover
from poolkeeper.system import patroni, postgres
from poolkeeper_lab.faults import node_faults
from poolkeeper_lab.faults.host import Host


def host() -> Host:
    names = [SimpleNamespace(name=name) for name in ("pg_node1", "pg_node2", "pg_node3")]
    addresses = {node.name: f"10.0.0.{number}" for number, node in enumerate(names)}
    spec = SimpleNamespace(nodes=names, timeouts=SimpleNamespace(query=1), addresses=lambda: addresses)
    access = SimpleNamespace(spec=spec, rest_auth=("", ""), node=lambda name, *_: name)
    return cast(Host, SimpleNamespace(cluster=SimpleNamespace(spec=spec, with_passwords=lambda: access)))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str, str], Any]], list[tuple[str, str]]]:
    """Fake the servers by a function of the node and the statement; return the list of requests."""

    def play(answer: Callable[[str, str], Any]) -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []

        async def query(dsn: str, statement: str, timeout: float) -> Any:
            del timeout
            seen.append((dsn, statement))
            found = answer(dsn, statement)
            if isinstance(found, Exception):
                raise found
            return [(found,)]

        @asynccontextmanager
        async def session(dsn: str, timeout: float) -> AsyncIterator[Any]:
            yield SimpleNamespace(rows=lambda statement: query(dsn, statement, timeout))

        monkeypatch.setattr(postgres, "query", query)
        monkeypatch.setattr(postgres, "session", session)
        monkeypatch.setattr(node_faults, "wait_healthy", lambda *_: "pg_node1")
        return seen

    return play


def test_wait_replayed_waits_until_the_position_is_replayed(asked: Any) -> None:
    positions = iter([5, None, errors.Unreachable("down"), 7])
    seen = asked(lambda node, _: 7 if node == "pg_node1" else next(positions))
    assert node_faults.wait_replayed(host(), "pg_node2") == 7
    assert len(seen) == 5


def test_wait_written_waits_for_new_wal(asked: Any) -> None:
    positions = iter([100, 150, 199, 200])
    asked(lambda *_: next(positions))
    node_faults.wait_written(host(), "pg_node1", 100)
    assert list(positions) == []


def test_missing_wal_is_reported(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_faults, "PROGRESS_SECONDS", 0.2)
    asked(lambda *_: 3)
    with pytest.raises(errors.DeadlinePassed, match="0 of 100 bytes"):
        node_faults.wait_written(host(), "pg_node1", 100)


def test_wal_is_advanced_beyond_the_kept_size_and_every_node_removes_it(asked: Any) -> None:
    seen = asked(lambda _, statement: "128" if "wal_keep_size" in statement else 9)
    node_faults.shed_wal(host())
    assert [words for words in seen if "pg_switch_wal" in words[1]] == [("pg_node1", node_faults._NEXT_SEGMENT)] * 10
    assert [node for node, statement in seen if statement == "CHECKPOINT"] == ["pg_node1", "pg_node2", "pg_node3"]


def test_a_clone_is_another_server_than_before(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []
    answers: list[Any] = [errors.ServerRefused("no leader", code="503"), None]

    async def reinitialize(address: str, *_: Any) -> None:
        requests.append(address)
        if (answer := answers.pop(0)) is not None:
            raise answer

    starts = iter(["early", "early", errors.Unreachable("stopped"), "late"])
    asked(lambda _, statement: 1 if statement == "SELECT 1" else next(starts))
    monkeypatch.setattr(patroni, "reinitialize", reinitialize)
    node_faults.clone_again(host(), "pg_node2")
    assert requests == ["10.0.0.1"] * 2
    assert list(starts) == []


@pytest.mark.parametrize(("primary", "moves"), [("pg_node2", True), ("pg_node1", False)])
def test_the_role_is_taken_only_from_the_primary(primary: str, moves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[Any] = []
    monkeypatch.setattr(node_faults, "wait_primary", lambda *_: primary)
    monkeypatch.setattr(node_faults, "wait_healthy", lambda *_: primary)
    monkeypatch.setattr(switchover, "switchover", lambda _, to, progress: moved.append((to, progress)))
    node_faults.take_role_from(host(), "pg_node2")
    assert bool(moved) is moves
    moved.clear()
    node_faults.hand_over(host(), "pg_node2")
    assert [to for to, _ in moved] == ([] if moves else ["pg_node2"])
