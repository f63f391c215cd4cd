"""The supervisor's pure parts; it is a program of the image, so it is loaded by its path."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[3] / "src/poolkeeper/images/postgres/supervisor.py"


@pytest.fixture(scope="module")
def supervisor() -> ModuleType:
    """The program, as a module."""
    module = ModuleType("supervisor")
    exec(compile(PATH.read_text(encoding="utf-8"), str(PATH), "exec"), vars(module))  # an import would leave a .pyc
    return module


def test_its_arguments(supervisor: ModuleType) -> None:
    """As the entry point gives them; one that is missing is an error."""
    argv = ["supervisor.py", "--node", "a", "--incarnation", "b"]
    assert (supervisor.option(argv, "--node"), supervisor.option(argv, "--incarnation")) == ("a", "b")
    with pytest.raises(ValueError, match="--other"):
        supervisor.option(argv, "--other")


def test_the_stores_members(supervisor: ModuleType) -> None:
    """As the Compose file lists them."""
    assert supervisor.members("etcd1:2379,etcd2:2380") == [("etcd1", 2379), ("etcd2", 2380)]


def test_the_record_is_put_only_over_what_was_there(supervisor: ModuleType) -> None:
    """A delayed put of an earlier life must fail: so each names the revision that it replaces."""
    request = supervisor.record_request("/k", "v", 7)
    assert request["compare"] == [{"key": "L2s=", "target": "MOD", "mod_revision": "7"}]
    assert request["success"] == [{"request_put": {"key": "L2s=", "value": "dg=="}}]


def _found(value: str, revision: str) -> dict[str, object]:
    return {"responses": [{"response_range": {"kvs": [{"value": value, "mod_revision": revision}]}}]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"succeeded": True, "responses": [{"response_put": {}}]}, (True, 0)),
        (_found("b3RoZXI=", "12"), (False, 12)),
        (_found("dg==", "13"), (True, 13)),
        ({"responses": [{"response_range": {}}]}, (False, 0)),
    ],
    ids=["put", "another life's", "ours, unheard of", "gone"],
)
def test_the_stores_answer(supervisor: ModuleType, answer: dict[str, object], expected: tuple[bool, int]) -> None:
    assert supervisor.record_answer(answer, "v") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42\n/data\n1000\n5432\n", 42),
        ("42\n/data\n1\n5432\n", 42),
        ("42\n/data\n999\n5432\n", None),
        ("-42\n/data\n1000\n", None),
        ("42\n/data\n", None),
        ("", None),
        (None, None),
    ],
    ids=[
        "ours",
        "ours, after the clock was set back",
        "an earlier life's",
        "a single-user server",
        "half written",
        "empty",
        "none",
    ],
)
def test_the_postmaster(supervisor: ModuleType, tmp_path: Path, text: str | None, expected: int | None) -> None:
    """Named by a lock file of this life, whatever the clock says."""
    if text is not None:
        (tmp_path / "postmaster.pid").write_text(text)
    assert supervisor.postmaster(str(tmp_path), (42, 999)) == expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_crash(supervisor: ModuleType, number: int) -> None:
    """Killed by what nobody uses to stop a server."""
    assert supervisor.crashed(number)


@pytest.mark.parametrize("status", [0, 1 << 8, 2 << 8, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_no_crash(supervisor: ModuleType, status: int) -> None:
    """An exit of whatever code, or a stop before it had a handler for it."""
    assert not supervisor.crashed(status)


def test_too_many_ends(supervisor: ModuleType) -> None:
    """Five within half a minute; those of long ago do not count."""
    assert not supervisor.endless([0, 1, 2, 3], 3)
    assert supervisor.endless([0, 1, 2, 3, 4], 4)
    assert not supervisor.endless([0, 100, 200, 300, 400], 400)


@pytest.fixture
def node(supervisor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A node whose Patroni has the number 7 and is never really started; its end is an exception."""

    class Ended(Exception):
        pass

    def end(_self: object, cause: str, code: int, **_facts: object) -> None:
        raise Ended(f"{cause} ({code})")

    monkeypatch.setattr(supervisor.Node, "end", end)
    monkeypatch.setattr(supervisor.Node, "start_patroni", lambda self: setattr(self, "patroni", 8))
    made = supervisor.Node(str(tmp_path))
    made.patroni = 7
    return made


def test_patroni_is_started_again_beside_a_server(
    node: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five times in a row, then the node ends. The server here is this very process; the clock was set back."""
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1000\n")
    for _ in range(4):
        node.patroni_ended(9)
        assert node.patroni == 8
    assert json.loads(capsys.readouterr().out.splitlines()[0])["status"] == -9
    with pytest.raises(Exception, match=r"again and again \(71\)"):
        node.patroni_ended(9)


def test_a_lock_file_of_an_earlier_life_is_no_server(supervisor: ModuleType, tmp_path: Path) -> None:
    """The number in it may be that of any process by now."""
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1000\n")
    life = supervisor.Node(str(tmp_path))
    assert life.former == (os.getpid(), 1000)
    assert supervisor.postmaster(life.data, life.former) is None
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1007\n")
    assert supervisor.postmaster(life.data, life.former) == os.getpid()


def test_without_a_server_the_end_of_patroni_ends_the_node(node: Any) -> None:
    """What it started, a clone or a rewind, must not go on beside a new one."""
    with pytest.raises(Exception, match=r"does not run \(71\)"):
        node.patroni_ended(1 << 8)


def test_a_wanted_end_of_patroni_is_an_end(node: Any) -> None:
    """Once it was asked to stop, it is not started again."""
    node.stopping = True
    assert not node.stopped()
    node.patroni_ended(0)
    assert node.stopped()


@pytest.mark.parametrize(
    ("has_data", "declared", "expected"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_who_may_start_before_there_is_a_cluster(
    supervisor: ModuleType, tmp_path: Path, has_data: bool, declared: bool, expected: bool
) -> None:
    """Only the declared node, or one that has data: an empty one could win the race to initialize."""
    if has_data:
        (tmp_path / "PG_VERSION").write_text("17\n")
    assert supervisor.may_initialize(str(tmp_path), declared) is expected


def test_an_attempt_goes_round_the_members_and_gets_more_time(supervisor: ModuleType) -> None:
    """The first round is short: a member without a leader yet takes a request and does not answer."""
    asked: list[tuple[str, float]] = []

    def attempt(member: tuple[str, int], timeout: float) -> bool:
        asked.append((member[0], timeout))
        if member[0] == "a":
            raise OSError("no answer")
        return len(asked) == 4

    assert supervisor.until([("a", 2379), ("b", 2379)], attempt)
    first, later = supervisor.STORE_FIRST_TIMEOUT, supervisor.STORE_TIMEOUT
    assert first < later
    assert asked == [("a", first), ("b", first), ("a", later), ("b", later)]
