"""The supervisor's pure functions. It is a program of the image, so the tests load it by its path."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PATH = Path(__file__).resolve().parents[3] / "src/poolkeeper/images/postgres/supervisor.py"


@pytest.fixture(scope="module")
def supervisor() -> ModuleType:
    """Return the program as a module."""
    module = ModuleType("supervisor")
    exec(compile(PATH.read_text(encoding="utf-8"), str(PATH), "exec"), vars(module))  # an import would leave a .pyc
    return module


def test_arguments_are_read(supervisor: ModuleType) -> None:
    """The variables have the form of the entry point; a missing one is an error."""
    argv = ["supervisor.py", "--node", "a", "--incarnation", "b"]
    assert (supervisor.option(argv, "--node"), supervisor.option(argv, "--incarnation")) == ("a", "b")
    with pytest.raises(ValueError, match="--other"):
        supervisor.option(argv, "--other")


def test_the_stores_members_are_read(supervisor: ModuleType) -> None:
    """The addresses have the form of the Compose file."""
    assert supervisor.members("etcd1:2379,etcd2:2380") == [("etcd1", 2379), ("etcd2", 2380)]


def test_a_record_replaces_only_the_revision_that_it_names(supervisor: ModuleType) -> None:
    """A delayed put of an earlier life must fail, so each names the revision that it replaces."""
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
    ids=["put", "another life's", "ours, its answer lost", "gone"],
)
def test_the_stores_answer_is_read(
    supervisor: ModuleType, answer: dict[str, object], expected: tuple[bool, int]
) -> None:
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
def test_the_postmaster_is_found(
    supervisor: ModuleType, tmp_path: Path, text: str | None, expected: int | None
) -> None:
    """A lock file of this life names the postmaster, whatever the clock shows."""
    if text is not None:
        (tmp_path / "postmaster.pid").write_text(text)
    assert supervisor.postmaster(str(tmp_path), (42, 999)) == expected


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_kill_signal_is_a_crash(supervisor: ModuleType, number: int) -> None:
    """No stop of a server uses these signals."""
    assert supervisor.crashed(number)


@pytest.mark.parametrize("status", [0, 1 << 8, 2 << 8, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_exit_or_a_stop_is_no_crash(supervisor: ModuleType, status: int) -> None:
    """Any exit code is no crash, nor is a stop signal before the server had a handler for it."""
    assert not supervisor.crashed(status)


def test_five_ends_in_half_a_minute_are_too_many(supervisor: ModuleType) -> None:
    """Earlier ends do not count."""
    assert not supervisor.ends_too_often([0, 1, 2, 3], 3)
    assert supervisor.ends_too_often([0, 1, 2, 3, 4], 4)
    assert not supervisor.ends_too_often([0, 100, 200, 300, 400], 400)


@pytest.fixture
def node(supervisor: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a node whose Patroni has the number 7 and is never really started; the node's end is an exception."""

    class Ended(Exception):
        pass

    def end(_self: object, cause: str, code: int, **_facts: object) -> None:
        raise Ended(f"{cause} ({code})")

    monkeypatch.setattr(supervisor.SupervisedNode, "end", end)
    monkeypatch.setattr(supervisor.SupervisedNode, "start_patroni", lambda self: setattr(self, "patroni", 8))
    made = supervisor.SupervisedNode(str(tmp_path))
    made.patroni = 7
    return made


def test_patroni_is_started_again_while_a_server_runs(
    node: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After five ends in a row the node ends. The server here is the test's own process; the clock was set back."""
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1000\n")
    for _ in range(4):
        node.patroni_ended(9)
        assert node.patroni == 8
    assert json.loads(capsys.readouterr().out.splitlines()[0])["status"] == -9
    with pytest.raises(Exception, match=r"again and again \(71\)"):
        node.patroni_ended(9)


def test_a_lock_file_of_an_earlier_life_names_no_server(supervisor: ModuleType, tmp_path: Path) -> None:
    """Any process may have the number in it by now."""
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1000\n")
    life = supervisor.SupervisedNode(str(tmp_path))
    assert life.former == (os.getpid(), 1000)
    assert supervisor.postmaster(life.data, life.former) is None
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n/data\n1007\n")
    assert supervisor.postmaster(life.data, life.former) == os.getpid()


def test_without_a_server_the_end_of_patroni_ends_the_node(node: Any) -> None:
    """A clone or a rewind that it started must not continue beside a new Patroni."""
    with pytest.raises(Exception, match=r"does not run \(71\)"):
        node.patroni_ended(1 << 8)


def test_after_a_requested_stop_patroni_is_not_started_again(node: Any) -> None:
    """The stop is complete when Patroni has ended."""
    node.stopping = True
    assert not node.stopped()
    node.patroni_ended(0)
    assert node.stopped()


@pytest.mark.parametrize(
    ("has_data", "declared", "expected"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_which_nodes_start_before_there_is_a_cluster(
    supervisor: ModuleType, tmp_path: Path, has_data: bool, declared: bool, expected: bool
) -> None:
    """Only the declared node or one with data starts: an empty node could win the race to initialize."""
    if has_data:
        (tmp_path / "PG_VERSION").write_text("17\n")
    assert supervisor.may_initialize(str(tmp_path), declared) is expected


def test_an_attempt_tries_each_member_and_gets_more_time(supervisor: ModuleType) -> None:
    """The first round is short: a member without a leader yet takes a request and does not answer."""
    asked: list[tuple[str, float]] = []

    def attempt(member: tuple[str, int], timeout: float) -> bool:
        asked.append((member[0], timeout))
        if member[0] == "a":
            raise OSError("no answer")
        return len(asked) == 4

    assert supervisor.retry([("a", 2379), ("b", 2379)], attempt)
    first, later = supervisor.STORE_FIRST_TIMEOUT, supervisor.STORE_TIMEOUT
    assert first < later
    assert asked == [("a", first), ("b", first), ("a", later), ("b", later)]


def test_the_record_is_written_at_the_revision_that_the_store_reports(
    supervisor: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart the first try reads the revision of the earlier record, and the second one replaces it."""
    answers: Iterator[dict[str, object]] = iter([_found("b3RoZXI=", "12"), {"succeeded": True}])
    revisions: list[str] = []

    def post(member: tuple[str, int], path: str, body: dict[str, Any], timeout: float) -> dict[str, object]:
        assert (member, path, timeout) == (("a", 2379), supervisor.TXN, 1.0)
        revisions.append(body["compare"][0]["mod_revision"])
        return next(answers)

    monkeypatch.setattr(supervisor, "post", post)
    writer = supervisor.RecordWriter("/k", "v")
    assert writer.attempt(("a", 2379), 1.0)
    assert revisions == ["0", "12"]
