"""The readings of the profile: strace's summary, a namespace's devices, and the cost of one transaction."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from poolkeeper.core import errors
from poolkeeper.system import process
from poolkeeper_lab.bench.measure import calls, network_counters, slope, tracing
from poolkeeper_lab.bench.measure.slope import Spent
from poolkeeper_lab.faults import syscalls
from poolkeeper_lab.faults.host import Host, Process

SUMMARY = """% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 70.12    0.007138         356        20        10 epoll_wait
  9.14    0.000930           2       325           recvfrom
  7.44    0.000757           3       210           sendto
  3.86    0.000393           1        13        13 futex
------ ----------- ----------- --------- --------- ----------------
100.00    0.010180           8       568        23 total
"""


def test_summary_of_strace() -> None:
    """The summary may have a column of errors; the total is not counted as a call."""
    counted = calls.read_summary(SUMMARY)
    assert counted == {"epoll_wait": 20, "recvfrom": 325, "sendto": 210, "futex": 13}
    assert calls.by_kind(counted) == {"reads": 325, "writes": 210, "waits": 20, "others": 13}
    assert calls.read_summary("\n") == {}


@pytest.mark.parametrize(
    "text",
    [
        SUMMARY.replace("325 ", "324 "),  # no longer what its own total says
        SUMMARY.replace("       568", "       569"),
        SUMMARY.replace("325 ", "x25 "),
        SUMMARY.replace("% time", "time"),
        SUMMARY.rsplit("------", 2)[0],  # cut off before its total
        "strace: attach: ptrace(PTRACE_SEIZE, 5): Operation not permitted\n",
    ],
)
def test_another_text_is_no_summary(text: str) -> None:
    with pytest.raises(errors.EngineFailed):
        calls.read_summary(text)


DEVICES = """Inter-|   Receive             |  Transmit
 face |bytes    packets errs drop |bytes    packets errs drop
    lo: 900 90 0 0 0 0 0 0 900 90 0 0 0 0 0 0
  eth0: 1000 10 0 0 0 0 0 0 2000 21 0 0 0 0 0 0
  eth1:3000 30 0 0 0 0 0 0 40 2 0 0 0 0 0 0
"""


def test_sent_is_all_but_loopback(tmp_path: Path) -> None:
    """The number may follow the colon without a space."""
    assert network_counters.read_devices(DEVICES) == network_counters.Sent(2040, 23)
    (tmp_path / "7" / "net").mkdir(parents=True)
    (tmp_path / "7" / "net" / "dev").write_text(DEVICES)
    assert network_counters.of_process(7, tmp_path) == network_counters.Sent(2040, 23)
    with pytest.raises(errors.EngineFailed, match="8/net/dev"):
        network_counters.of_process(8, tmp_path)


@pytest.mark.parametrize("text", [DEVICES.replace("2000", "-"), DEVICES.replace("eth1:", "eth1 "), DEVICES + "x\n"])
def test_other_devices_are_refused(text: str) -> None:
    with pytest.raises(errors.EngineFailed):
        network_counters.read_devices(text)


CALLS, LATE = ("HAProxy", "reads"), ("HAProxy", "others")
SHORT, LONG = Spent(100, 1.0, {CALLS: 700}), Spent(1100, 6.0, {CALLS: 6750, LATE: 1000})
IDLE = Spent(0, 2.0, {CALLS: 20})


def test_the_cost_of_a_transaction_is_the_difference_of_two_runs() -> None:
    """Each run has 90 calls at its beginning and end, and 10 calls a second beside it."""
    assert slope.per_transaction(SHORT, LONG, IDLE) == {CALLS: pytest.approx(6.0), LATE: 1.0}


def test_noise_is_no_negative_cost() -> None:
    assert slope.per_transaction(SHORT, Spent(200, 1.0, {CALLS: 650}), IDLE) == {CALLS: 0.0}


@pytest.mark.parametrize(("long", "idle"), [(SHORT, IDLE), (Spent(90, 1.0, {}), IDLE), (LONG, Spent(0, 0.0, {}))])
def test_runs_without_a_usable_difference(long: Spent, idle: Spent) -> None:
    with pytest.raises(errors.EngineFailed, match="cannot be computed"):
        slope.per_transaction(SHORT, long, idle)


NODE = (
    Process(7, 1, ("python3", "supervisor.py")),
    Process(8, 7, ("python3", "/usr/bin/patroni")),
    Process(9, 8, ("/usr/lib/postgresql/17/bin/postgres", "-D", "/data")),
    Process(10, 9, ("postgres: main: checkpointer ",)),
    Process(11, 7, ()),
)


def test_patroni_is_not_postgresql() -> None:
    assert [p.pid for p in tracing.of_postgresql(NODE)] == [9, 10]


class Tracer:
    """A strace that writes its summary when it receives the signal to end."""

    def __init__(self, text: str) -> None:
        self.text, self.log, self.argv, self.ended = text, Path(), tuple[str, ...](), list[int]()

    def start(self, argv: Sequence[str], said: Path) -> int:
        """Stand in for `process.start_detached`."""
        said.touch()
        self.argv, self.log = tuple(argv), said.with_suffix(".calls")
        return 40

    def ours(self, log: Path) -> Iterator[int]:
        """Return whether the tracer was not ended yet."""
        return iter([41] if log == self.log and self.argv and not self.ended else [])

    def end(self, pid: int, _number: int) -> None:
        """Stand in for `syscalls.end`."""
        self.ended.append(pid)
        self.log.write_text(self.text)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    cluster = SimpleNamespace(folder=SimpleNamespace(root=tmp_path))
    return cast(Host, SimpleNamespace(cluster=cluster, processes=lambda service: NODE if service == "n1" else ()))


def inject_tracer(monkeypatch: pytest.MonkeyPatch, text: str) -> Tracer:
    """Replace strace by a tracer with this output."""
    tracer = Tracer(text)
    monkeypatch.setattr(process, "start_detached", tracer.start)
    monkeypatch.setattr(syscalls, "ours", tracer.ours)
    monkeypatch.setattr(syscalls, "end", tracer.end)
    monkeypatch.setattr(syscalls, "tracer", lambda _: 41)
    return tracer


def test_counting_attaches_to_the_right_processes_and_leaves_nothing(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = inject_tracer(monkeypatch, SUMMARY)
    with tracing.counting(host, {"n1": tracing.of_postgresql}) as counted:
        assert counted.of == {}
    assert counted.of["n1"]["recvfrom"] == 325
    assert [tracer.argv[i + 1] for i, word in enumerate(tracer.argv) if word == "--attach"] == ["9", "10"]
    assert tracer.argv[:3] == ("timeout", "--kill-after=5", str(tracing.LIMIT))
    assert tracer.ended == [41]
    assert list((tmp_path / tracing.FOLDER).iterdir()) == []


def test_counting_that_fails_ends_strace_all_the_same(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracer = inject_tracer(monkeypatch, SUMMARY)
    with pytest.raises(KeyboardInterrupt), tracing.counting(host, {"n1": tracing.everything}):
        raise KeyboardInterrupt
    assert tracer.ended == [41]
    assert list((tmp_path / tracing.FOLDER).iterdir()) == []


def test_a_container_without_such_a_process_is_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = inject_tracer(monkeypatch, SUMMARY)
    with (
        pytest.raises(errors.EngineFailed, match="n2 has no process"),
        tracing.counting(host, {"n2": tracing.everything}),
    ):
        pass
    assert tracer.argv == ()


def test_counting_says_why_it_cannot_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "root" in tracing.available()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(process, "find", lambda name: None if name == "strace" else name)
    assert tracing.available() == "not installed on this machine: strace"
