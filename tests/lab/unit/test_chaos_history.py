"""Histories on disk: a written history is read back, a crash leaves a readable file, and damage is named."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lab.unit import chaos_histories, chaos_stores, sample_histories

from poolkeeper.core import errors
from poolkeeper_lab.chaos.history import jsonl
from poolkeeper_lab.chaos.history.history import Completion, Header, History, Phase, Workload
from poolkeeper_lab.chaos.history.recorder import Recorder

HEADER = Header("by hand", 7, {"set": Workload("set", {})}, ("kill_node",), False, {"nodes": 3})
SRC = Path(__file__).resolve().parents[3] / "src"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.jsonl"


def _ticks() -> Callable[[], float]:
    moments = iter(range(1_000_000))
    return lambda: float(next(moments))


def test_a_recorded_history_is_read_back(file: Path) -> None:
    with Recorder(file, HEADER, clock=_ticks()) as recorder:
        first = recorder.invoke(3, "set", "rw", "add", 1, session=2)
        second = recorder.invoke(4, "set", "rw", "add", "ä\n")
        recorder.nemesis("kill_node", "pg_node1", Phase.BEGIN, "SIGKILL")
        recorder.ok(second, {"x": [1, None]})
        recorder.fail(first, "23505")
        recorder.final_state(sample_histories.HEALTHY)
    read = jsonl.read(file)
    assert read.header == HEADER
    a, b = read.operations
    assert (a.process, a.session, a.endpoint, a.completion, a.code) == (3, 2, "rw", Completion.FAIL, "23505")
    assert (b.value, b.result, b.began, b.ended) == ("ä\n", {"x": [1, None]}, 1.0, 3.0)
    assert [(e.fault, e.target, e.phase, e.detail) for e in read.nemesis] == [
        ("kill_node", "pg_node1", "begin", "SIGKILL")
    ]
    assert (read.final_state, read.is_torn, read.last) == (sample_histories.HEALTHY, False, 5.0)


def test_an_operation_without_completion_is_open(file: Path) -> None:
    recorder = Recorder(file, HEADER)
    recorder.invoke(0, "set", "rw", "add", 1)
    (operation,) = jsonl.read(file).operations
    assert operation.is_info
    assert operation.ended == math.inf
    recorder.close()


def test_an_unsure_commit_is_never_ok(file: Path) -> None:
    with Recorder(file, HEADER) as recorder:
        recorder.ok(recorder.invoke(0, "set", "rw", "add", 1), warning="01000")
        recorder.ok(recorder.invoke(0, "set", "rw", "add", 2), warning="")
    unsure, sure = jsonl.read(file).operations
    assert (unsure.is_info, unsure.code, unsure.ended) == (True, "01000", math.inf)
    assert sure.is_ok


@pytest.mark.parametrize(
    ("code", "sent", "completion"),
    [
        ("40001", True, "fail"),
        ("57P01", True, "info"),
        ("57P01", False, "fail"),
        ("lost", True, "info"),
        ("25006", True, "fail"),
    ],
)
def test_the_code_of_an_error_decides_the_completion(file: Path, code: str, sent: bool, completion: str) -> None:
    with Recorder(file, HEADER) as recorder:
        recorder.failed(recorder.invoke(0, "set", "rw", "add", 1), code, sent=sent)
    assert jsonl.read(file).operations[0].completion == completion


def test_a_killed_recorder_leaves_every_invocation(file: Path) -> None:
    """Without close and exit handler: the operating system has the line before `invoke` returns."""
    script = (
        "import os, pathlib, signal, sys\n"
        "from poolkeeper_lab.chaos.history.history import Header\n"
        "from poolkeeper_lab.chaos.history.recorder import Recorder\n"
        "recorder = Recorder(pathlib.Path(sys.argv[1]), Header('killed', 1, {}))\n"
        "for value in range(100): number = recorder.invoke(0, 'set', 'rw', 'add', value)\n"
        "recorder.ok(number)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, str(file)], env={**os.environ, "PYTHONPATH": str(SRC)}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    read = jsonl.read(file)
    assert [o.value for o in read.operations] == list(range(100))
    assert (read.count(Completion.OK), read.count(Completion.INFO)) == (1, 99)


def test_threads_share_a_recorder(file: Path) -> None:
    with Recorder(file, HEADER) as recorder:

        def work(process: int) -> None:
            for value in range(200):
                recorder.ok(recorder.invoke(process, "set", "rw", "add", [process, value]), value)

        threads = [threading.Thread(target=work, args=(process,)) for process in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    read = jsonl.read(file)
    assert read.count(Completion.OK) == 1600
    assert len({o.number for o in read.operations}) == 1600
    assert all(o.value[1] == o.result for o in read.operations)


def test_a_recorder_refuses_damage_to_its_history(file: Path) -> None:
    with Recorder(file, HEADER) as recorder:
        with pytest.raises(FileExistsError):
            Recorder(file, HEADER)
        number = recorder.invoke(0, "set", "rw", "add", 1)
        with pytest.raises(TypeError):
            recorder.invoke(0, "set", "rw", "add", {1, 2})
        recorder.ok(number)
        with pytest.raises(ValueError, match="completed already"):
            recorder.ok(number)
    with pytest.raises(OSError, match="closed"):
        recorder.invoke(0, "set", "rw", "add", 2)
    assert len(jsonl.read(file).operations) == 1


def test_after_half_a_line_nothing_more_is_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(file, HEADER) as recorder:
        recorder.ok(recorder.invoke(0, "set", "rw", "add", 1))
        write = os.write
        monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
        with pytest.raises(OSError, match="in part"):
            recorder.invoke(0, "set", "rw", "add", 2)
        monkeypatch.undo()
        with pytest.raises(OSError, match="closed"):
            recorder.invoke(0, "set", "rw", "add", 3)
    read = jsonl.read(file)
    assert (read.is_torn, len(read.operations)) == (True, 1)


@given(st.lists(st.integers(0, 119), min_size=1, max_size=60), st.integers(1, 10), st.data())
def test_a_history_cut_anywhere_is_read_up_to_the_last_complete_line(choices: list[int], count: int, data: Any) -> None:
    history = chaos_stores.registers(choices, count)
    text = chaos_histories.text(history).encode()
    first = text.index(b"\n") + 1
    cut = data.draw(st.integers(first, len(text)))
    read = jsonl.parse(text[:cut])
    assert read.is_torn == (text[cut - 1 : cut] != b"\n")
    assert {o.number for o in read.operations} <= {o.number for o in history.operations}
    for operation in read.operations:
        (original,) = (o for o in history.operations if o.number == operation.number)
        assert operation in (original, original.completed(0, Completion.INFO))


@given(st.lists(st.integers(0, 119), min_size=1, max_size=60), st.integers(1, 20))
def test_text_and_values_are_the_same(choices: list[int], count: int) -> None:
    history = chaos_stores.ListStore(choices, count, "serializable", is_snapshot=True).history()
    read = jsonl.parse(chaos_histories.text(history).encode())
    assert (read.header, read.operations) == (history.header, history.operations)


INVOKE = '{"type":"invoke","id":0,"process":0,"workload":"set","endpoint":"rw","f":"add","value":1,"at":5.0}'


@pytest.mark.parametrize(
    ("lines", "number", "words"),
    [
        ([INVOKE], 1, "the first line, and no other, is the header"),
        (["HEADER", "HEADER"], 2, "the first line, and no other, is the header"),
        (["HEADER", "{"], 2, "not a line of JSON"),
        (["HEADER", ""], 2, "not a line of JSON"),
        (["HEADER", "\0\0\0"], 2, "not a line of JSON"),
        (["HEADER", "[]"], 2, "no JSON object"),
        (["HEADER", '{"type":"what","at":1}'], 2, "no line of type 'what'"),
        (["HEADER", '{"type":"ok","id":0,"value":null,"at":1}'], 2, "no open invocation"),
        (["HEADER", INVOKE, INVOKE], 3, "invoked before"),
        (["HEADER", INVOKE, '{"type":"ok","id":0,"value":null,"at":4.9}'], 3, "before it was invoked"),
        (["HEADER", INVOKE, *['{"type":"ok","id":0,"value":null,"at":6}'] * 2], 4, "no open invocation"),
        (["HEADER", INVOKE, '{"type":"ok","id":0,"at":6}'], 3, "'value' is missing"),
        (["HEADER", '{"type":"nemesis","fault":"f","target":"t","phase":"middle","at":1}'], 2, "middle"),
        (["HEADER", '{"type":"final_state","state":{"mood":"good"},"at":1}'], 2, "mood"),
        (['{"type":"header","schema":99}'], 1, "schema 99"),
    ],
)
def test_damage_is_named_with_its_line(lines: list[str], number: int, words: str) -> None:
    header = jsonl.line(jsonl.header_document(HEADER)).strip()
    text = "".join(f"{header if line == 'HEADER' else line}\n" for line in lines)
    with pytest.raises(errors.HistoryDamaged, match=words) as caught:
        jsonl.parse(text.encode(), "h.jsonl")
    assert caught.value.line == number
    assert f"h.jsonl, line {number}" in caught.value.message


def test_a_file_that_is_empty_or_absent_is_damaged(file: Path) -> None:
    for text in (b"", b'{"type":"hea'):
        with pytest.raises(errors.HistoryDamaged, match="empty"):
            jsonl.parse(text)
    with pytest.raises(errors.HistoryDamaged, match="cannot be read"):
        jsonl.read(file)


def test_a_workload_has_a_separate_history() -> None:
    book = chaos_histories.Book("set")
    book.op("add", 1)
    book.op("add", 2, workload="other")
    history: History = book.history()
    assert [o.value for o in history.of("other").operations] == [2]
