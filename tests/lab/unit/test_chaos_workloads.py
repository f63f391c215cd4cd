"""The workloads: their statements, their reading of answers, and the records of their clients."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poolkeeper.model.dsn import Dsn
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.chaos.checkers import run_verdict
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.history.history import Completion, Header, Operation, Workload
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.run import run_clients
from poolkeeper_lab.chaos.workloads import all_jobs, bank, grow_set, job, list_append, one_writer, read_only, register
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill import ledger, link
from poolkeeper_lab.drill.link import Answer, Failed

DEFAULT = ClusterSpec()
DSN = Dsn("127.0.0.1", 5100, "app", "app")
Said = Answer | Failed


def answer(row: str = "", tag: str = "", warning: str = "") -> Answer:
    """Return a server's answer."""
    return Answer((row,) if row else (), warning, tag)


class Server:
    """A server that gives its answers in turn and records the requests; "" is a connection."""

    def __init__(self, *said: Said) -> None:
        self._said = iter(said)
        self.asked: list[str] = []
        self.closed = 0

    def connect(self, *_: object) -> Server:
        self.asked.append("")
        return self

    def ask(self, statement: str, _: float) -> Answer:
        self.asked.append(statement)
        said = next(self._said, answer())
        if isinstance(said, Failed):
            raise said
        return said

    def close(self) -> None:
        self.closed += 1


Recording = Callable[[Server, Callable[[WorkloadClient], None]], tuple[Operation, ...]]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    """Return the records of a client of that server."""

    def record(
        server: Server, act: Callable[[WorkloadClient], None], refuses_writes: bool = False
    ) -> tuple[Operation, ...]:
        monkeypatch.setattr(link, "connect", server.connect)
        path = tmp_path / "history.jsonl"
        with Recorder(path, Header("by hand", 0, {})) as recorder:
            act(WorkloadClient(recorder, 1, "it", "rw", DSN, refuses_writes))
        return jsonl.read(path).operations

    return record


def twice(client: WorkloadClient) -> None:
    """Run two operations of one statement."""
    client.single("add", 1, "INSERT 1")
    client.single("add", 2, "INSERT 2")


def transfer(client: WorkloadClient) -> None:
    """Run an operation of one transaction of two statements."""
    client.transaction("txn", 1, "SERIALIZABLE", ["one", "two"], len, bank.was_changed)


DONE = answer(tag="UPDATE 1")
LOST = Failed(ledger.LOST, "gone", sent=True)


@pytest.mark.parametrize(
    ("said", "completions", "sessions"),
    [
        ((DONE, DONE), "ok ok", [0, 0]),
        ((answer(warning="01000"), DONE), "info ok", [0, 0]),
        ((LOST, DONE), "info ok", [0, 1]),
        ((Failed(ledger.SILENT, "", sent=True), LOST), "info info", [0, 1]),
        ((Failed("connect: refused", "", sent=False), DONE), "fail ok", [0, 1]),
        ((Failed("57P01 and the session ended", "", sent=True), DONE), "info ok", [0, 1]),
        ((Failed("40001", "", sent=True), DONE), "fail ok", [0, 0]),
        ((Failed("25006", "", sent=True), DONE), "fail ok", [0, 1]),
    ],
)
def test_single_statement(recorded: Recording, said: tuple[Said, ...], completions: str, sessions: list[int]) -> None:
    seen = recorded(Server(*said), twice)
    assert " ".join(o.completion for o in seen) == completions
    assert [o.session for o in seen] == sessions


BEGUN = answer(tag="BEGIN")


@pytest.mark.parametrize(
    ("said", "completion", "code", "closed"),
    [
        ((BEGUN, DONE, DONE, answer(tag="COMMIT")), "ok", "", 0),
        ((BEGUN, DONE, DONE, answer(tag="ROLLBACK")), "fail", "ROLLBACK", 0),
        ((BEGUN, DONE, DONE, answer(tag="COMMIT", warning="01000")), "info", "01000", 0),
        ((BEGUN, DONE, DONE, answer()), "info", "tag ", 0),
        ((BEGUN, DONE, DONE, LOST), "info", "lost", 1),
        ((BEGUN, DONE, DONE, Failed("40001", "", sent=True), BEGUN), "fail", "40001", 0),
        ((BEGUN, DONE, LOST), "fail", "lost", 1),
        ((BEGUN, Failed("57P01", "", sent=True)), "fail", "57P01", 1),
        ((BEGUN, Failed("40001", "", sent=True), LOST), "fail", "40001", 1),
        ((BEGUN, answer(tag="UPDATE 0"), answer(tag="ROLLBACK")), "fail", "declined", 0),
    ],
)
def test_transaction(recorded: Recording, said: tuple[Said, ...], completion: str, code: str, closed: int) -> None:
    server = Server(*said)
    (seen,) = recorded(server, transfer)
    assert (seen.completion, seen.code, server.closed) == (completion, code, closed)
    assert server.asked[:3] == ["", "BEGIN ISOLATION LEVEL SERIALIZABLE", "one"]
    assert seen.result == (2 if seen.completion is Completion.OK else seen.result)


def test_every_node_s_own_port_shares_one_count_of_elements() -> None:
    (straight,) = [j for j in all_jobs.made(DEFAULT, is_bounded=True) if j.name == all_jobs.SET_STRAIGHT]
    assert [role.endpoint for role in straight.roles] == [node.name for node in DEFAULT.nodes]
    assert len({role.operation for role in straight.roles}) == 1
    assert all(role.refuses_writes for role in straight.roles)


def test_each_job_has_an_existing_checker_and_its_own_table() -> None:
    made = all_jobs.made(DEFAULT, is_bounded=True)
    assert {j.declared.checker for j in made} == set(run_verdict.CHECKERS)
    assert len({j.name for j in made}) == len(made)
    tables = [statement.split()[2] for j in made for statement in j.tables if statement.startswith("CREATE")]
    assert sorted(tables) == sorted(job.table(j.name) for j in made)
    finals = {j.name: [role.endpoint for role in j.finals] for j in made if j.finals}
    nodes = [node.name for node in DEFAULT.nodes]
    assert finals["set"] == finals["set_balanced"] == finals["set_straight"] == ["rw", *nodes]
    assert set(finals) == {
        "set",
        "set_balanced",
        "set_straight",
        "list_append_serializable",
        "list_append_repeatable_read",
    }


def test_total_rate_is_small() -> None:
    made = all_jobs.made(DEFAULT, is_bounded=True)
    assert 100 < sum(1 / role.pace for j in made for role in j.roles) < 200
    sessions = {
        endpoint: sum(role.endpoint == endpoint for j in made for role in j.roles) for endpoint in job.ENDPOINTS
    }
    assert all(count <= DEFAULT.endpoints.ro.num_init_children // 2 for count in sessions.values())


@pytest.mark.parametrize(("is_bounded", "bound"), [(True, 30.0), (False, None)])
def test_age_of_reads_is_bounded_by_keeper(is_bounded: bool, bound: float | None) -> None:
    (endpoint,) = (j for j in all_jobs.made(DEFAULT, is_bounded) if j.name == "read_only")
    assert endpoint.declared.options["bound"] == bound


def test_endpoints_are_those_of_the_application() -> None:
    access: Any = type("A", (), {"spec": DEFAULT, "endpoint": lambda _, *w: w, "node": lambda _, *w: w})()
    found: list[Any] = [run_clients.dsn_of(access, name) for name in ("ro", "pg_node2")]
    assert found == [("ro", "app", "app"), ("pg_node2", "app", "app")]


def test_statements_of_lists() -> None:
    assert list_append.statement("s.t", ["r", 3, None]) == "SELECT array_to_json(elements) FROM s.t WHERE key = 3"
    assert list_append.statement("s.t", ["append", 3, 17]) == (
        "INSERT INTO s.t AS kept (key, elements) VALUES (3, ARRAY[17]) "
        "ON CONFLICT (key) DO UPDATE SET elements = kept.elements || 17"
    )


def test_elements_are_new_and_keys_are_retired() -> None:
    steps, chance = list_append.AppendSteps(), random.Random(1)
    made = [step for _ in range(400) for step in steps.transaction(chance)]
    elements = [element for what, _, element in made if what == "append"]
    assert len(elements) == len(set(elements)) > 400
    lengths = [sum(k == key and w == "append" for w, k, _ in made) for key in steps.keys]
    assert 0 < max(lengths) < 2 * list_append.ELEMENTS
    assert {key for _, key, _ in made} <= set(steps.keys)


def test_reads_of_lists_are_joined_with_their_steps() -> None:
    asked = [["append", 0, 5], ["r", 0, None], ["r", 1, None]]
    answers = [answer(tag="INSERT 0 1"), answer("[4, 5]"), answer()]
    assert list_append.seen(asked, answers) == [["append", 0, 5], ["r", 0, [4, 5]], ["r", 1, []]]


def test_final_read_of_lists_covers_every_key(recorded: Recording) -> None:
    made = list_append.made("it", "serializable")
    server = Server(BEGUN, answer(json.dumps({"1": [7]})), answer(tag="COMMIT"))
    (seen,) = recorded(server, lambda client: made.finals[0].operation(client, random.Random(1)))
    assert seen.f == "final"
    assert seen.result == [["r", 0, []], ["r", 1, [7]], ["r", 2, []], ["r", 3, []]]


def test_statements_of_registers() -> None:
    assert register.compare_and_set("s.t", 1, 2, 3) == "UPDATE s.t SET value = 3 WHERE key = 1 AND value = 2"
    assert register.write("s.t", 1, 2).startswith("INSERT INTO s.t (key, value) VALUES (1, 2) ON CONFLICT (key) DO")
    assert [register.was_set(answer(tag=tag)) for tag in ("UPDATE 1", "UPDATE 0")] == [True, False]
    assert [register.value_of(a) for a in (answer("7"), answer())] == [7, None]


def test_both_halves_of_a_transfer_are_in_the_order_of_the_accounts() -> None:
    debit = "UPDATE s.t SET balance = balance - 5 WHERE account = 'c' AND balance - 5 >= 0"
    credit = "UPDATE s.t SET balance = balance + 5 WHERE account = 'b' AND balance + 5 >= 0"
    assert bank.halves("s.t", "c", "b", 5) == [credit, debit]
    assert bank.halves("s.t", "b", "c", 5)[0].startswith("UPDATE s.t SET balance = balance - 5 WHERE account = 'b'")


def test_other_statements_and_answers() -> None:
    assert grow_set.insert("s.t", 3) == "INSERT INTO s.t (element) VALUES (3)"
    assert read_only.beat("s.t", 9) == "UPDATE s.t SET number = greatest(number, 9)"
    assert one_writer.timeline(answer("0000001F0000000000000003")) == {"timeline": 31}
    assert job.json_of(answer('{"a": 1}')) == {"a": 1}
    assert job.json_of(answer()) is None


def toy_job(operation: job.Operation) -> job.WorkloadJob:
    """Return a job of two clients and a final read."""
    return job.WorkloadJob(
        "toy", Workload("set"), (), (job.ClientRole("rw", operation, 0.001),) * 2, (job.ClientRole("rw", operation),)
    )


def staffed(recorder: Recorder) -> run_clients.RunClients:
    """Return clients at the default endpoints."""
    access = type("A", (), {"spec": DEFAULT, "endpoint": lambda *_: DSN, "node": lambda *_: DSN})()
    return run_clients.RunClients(recorder, access, 7)


def test_clients_work_until_the_end_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "connect", Server().connect)
    worked, both = set[int](), threading.Event()

    def add(client: WorkloadClient, chance: random.Random) -> None:
        client.single("add", chance.random(), "INSERT")
        worked.add(threading.get_ident())
        if len(worked) == 2:
            both.set()

    toy = toy_job(add)
    with Recorder(tmp_path / "h", Header("by hand", 0, {"toy": Workload("set")})) as recorder:
        staff = staffed(recorder)
        with run_clients.working(staff, [toy]):
            assert both.wait(30)
        run_clients.read_finals(staff, [toy], threading.Event())
    seen = jsonl.read(tmp_path / "h").operations
    assert {o.process for o in seen} == {1, 2, 3}
    assert [o.process for o in seen].count(3) == 1
    assert all(o.is_ok for o in seen)
    assert staff.problems == []
    first = next(o for o in seen if o.process == 1)
    assert first.value == random.Random("7/1").random()


def test_a_client_that_ends_with_an_error_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "connect", Server().connect)
    toy = toy_job(lambda client, _: client.single("read", None, "SELECT", one_writer.timeline))
    with Recorder(tmp_path / "h", Header("by hand", 0, {})) as recorder:
        staff = staffed(recorder)
        with run_clients.working(staff, [toy]):
            pass
    assert len(staff.problems) == 2
    assert "IndexError" in staff.problems[0]


def test_final_reads_end_at_the_deadline_and_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Failed("42P01", "no such table", sent=True)
    monkeypatch.setattr(link, "connect", Server(gone, gone, gone).connect)
    toy = toy_job(lambda client, _: client.single("read", "final", "SELECT"))
    with Recorder(tmp_path / "h", Header("by hand", 0, {})) as recorder:
        stop = threading.Event()
        run_clients.read_finals(staffed(recorder), [toy], stop, seconds=0)
        stop.set()
        run_clients.read_finals(staffed(recorder), [toy], stop)
    assert [o.completion for o in jsonl.read(tmp_path / "h").operations] == [Completion.FAIL]
