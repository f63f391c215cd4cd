"""Transactions on lists: correct stores always pass, injected anomalies are found, and the checker is quick."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.lab.unit import chaos_oracles, chaos_stores
from tests.lab.unit.chaos_histories import FAIL
from tests.lab.unit.chaos_lists import Lists

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import list_append_checker
from poolkeeper_lab.chaos.checkers.finding import CheckerFinding
from poolkeeper_lab.chaos.history.history import History, Operation

CHOICES = st.lists(st.integers(0, 119), min_size=1, max_size=200)
COUNT = st.integers(1, 30)


def checked(history: History, level: str = "serializable", order: str = "real-time") -> CheckerFinding:
    return list_append_checker.check(history, {"level": level, "order": order})


def serial(choices: list[int], count: int) -> History:
    return chaos_stores.ListStore(choices, count, "serializable", is_snapshot=False).history()


def snapshot(choices: list[int], count: int) -> History:
    return chaos_stores.ListStore(choices, count, "repeatable-read", is_snapshot=True).history()


@given(CHOICES, COUNT)
def test_a_serial_store_has_no_anomaly(choices: list[int], count: int) -> None:
    history = serial(choices, count)
    for level in ("serializable", "repeatable-read"):
        for order in ("real-time", "process", "none"):
            assert not checked(history, level, order).anomalies


@given(CHOICES, COUNT)
def test_a_snapshot_store_has_no_anomaly_but_write_skew(choices: list[int], count: int) -> None:
    history = snapshot(choices, count)
    assert not checked(history, "repeatable-read").anomalies
    names = set(checked(history).counts)
    assert names <= {"G2-item", "G2-item-process", "G2-item-realtime"}
    assert names == {anomaly.name for anomaly in checked(history, "repeatable-read").permitted}


def test_a_snapshot_store_shows_write_skew() -> None:
    chance = random.Random(1)
    histories = [snapshot([chance.randrange(120) for _ in range(300)], 40) for _ in range(30)]
    assert sum(checked(history).names("G2-item") for history in histories) > 5


@settings(max_examples=300)
@given(CHOICES, st.integers(1, 5), st.booleans(), st.booleans())
def test_the_quick_checker_agrees_with_trying_every_order(
    choices: list[int], count: int, is_snapshot: bool, in_time: bool
) -> None:
    """Serializable or not: the final read shows every order of appends, so the answer is exact."""
    history = snapshot(choices, count) if is_snapshot else serial(choices, count)
    history = _blurred(history, choices)
    found = checked(history, order="real-time" if in_time else "none")
    assert bool(found.anomalies) is not chaos_oracles.is_serializable(history.operations, in_time)


@settings(max_examples=300)
@given(CHOICES, st.integers(1, 4), st.booleans())
def test_repeatable_read_forbids_exactly_the_histories_without_an_order_of_snapshots(
    choices: list[int], count: int, in_time: bool
) -> None:
    history = _blurred(snapshot(choices, count), choices)
    found = checked(history, "repeatable-read", "real-time" if in_time else "none")
    assert bool(found.anomalies) is not chaos_oracles.is_snapshot_isolated(history.operations, in_time)


def _blurred(history: History, choices: list[int]) -> History:
    """Replace one read of one transaction by another prefix of the same list, which an order may or may not explain."""
    chance = chaos_stores.Chance(choices[::-1])
    reading = [o for o in history.operations[:-1] if o.is_ok and any(what == "r" for what, _, _ in o.result)]
    if not reading:
        return history
    chosen = reading[chance.below(len(reading))]
    lists = {key: version for _, key, version in history.operations[-1].result}
    result = [
        [what, key, lists[key][: chance.below(len(lists[key]) + 1)] if what == "r" else value]
        for what, key, value in chosen.result
    ]
    return _with(history, replace(chosen, result=result))


def _with(history: History, changed: Operation) -> History:
    return replace(history, operations=tuple(changed if o.number == changed.number else o for o in history.operations))


def _acknowledged_appends(history: History) -> list[tuple[int, str, int]]:
    return [(o.number, key, e) for o in history.operations if o.is_ok for what, key, e in o.value if what == "append"]


@given(CHOICES, COUNT, st.data())
def test_a_lost_append_is_always_found(choices: list[int], count: int, data: Any) -> None:
    history = serial(choices, count)
    appends = _acknowledged_appends(history)
    assume(appends)
    _, key, element = data.draw(st.sampled_from(appends))
    operations = tuple(replace(o, result=_without(o.result, key, element)) for o in history.operations)
    found = checked(replace(history, operations=operations), order=data.draw(st.sampled_from(["none", "real-time"])))
    assert found.outcome is Outcome.FAIL
    assert {"lost-append", "internal"} & set(found.counts)


def _without(result: Any, key: str, element: int) -> Any:
    """Return the reads without that element. An append's own line stays."""
    if result is None:
        return None
    return [[w, k, [e for e in v if e != element] if w == "r" and k == key else v] for w, k, v in result]


@given(CHOICES, COUNT, st.data())
def test_two_swapped_elements_in_one_read_are_always_found(choices: list[int], count: int, data: Any) -> None:
    history = serial(choices, count)
    final = history.operations[-1]
    reads = [(k, len(v)) for o in history.operations[:-1] if o.is_ok for w, k, v in o.result if w == "r"]
    longest = {key: max((length for k, length in reads if k == key), default=0) for _, key, _ in final.result}
    shown = [
        (key, version, at) for _, key, version in final.result for at in range(min(len(version), longest[key]) - 1)
    ]
    assume(shown)
    key, version, at = data.draw(st.sampled_from(shown))
    swapped = [*version[:at], version[at + 1], version[at], *version[at + 2 :]]
    changed = [[w, k, swapped if k == key else v] for w, k, v in final.result]
    assert checked(_with(history, replace(final, result=changed))).names("incompatible-order")


@given(CHOICES, COUNT, st.data())
def test_an_aborted_read_is_always_found(choices: list[int], count: int, data: Any) -> None:
    history = serial(choices, count)
    appended = {(k, e) for _, k, e in _acknowledged_appends(history)}
    shown = [
        o for o in history.operations[:-1] if o.is_ok and {(k, e) for w, k, e in o.value if w == "append"} & appended
    ]
    assume(shown)
    chosen = data.draw(st.sampled_from(shown))
    failed = chosen.completed(chosen.ended, FAIL)
    assert checked(_with(history, failed)).names("G1a")


def test_a_cycle_is_reported_with_its_transactions_and_reasons() -> None:
    found = checked(Lists().together("x= y+1", "y= x+2").final("x=2 y=1").history())
    (anomaly,) = found.anomalies
    assert (anomaly.name, anomaly.operations) == ("G2-item", (0, 1))
    assert (
        anomaly.text
        == "#0 read x empty, and #1 appended 2 after it (rw); #1 read y empty, and #0 appended 1 after it (rw)"
    )


def test_a_history_that_cannot_be_checked_is_reported() -> None:
    with pytest.raises(ValueError, match="appended to 'x' twice"):
        checked(Lists().together("x+1", "x+1").final("x=1").history())
    with pytest.raises(ValueError, match="no level"):
        checked(Lists().together("x+1").history(), level="read-committed")
    assert checked(Lists().together("x+1", "x+2").history()).outcome is Outcome.UNKNOWN
    assert checked(Lists().together("x+1", "x+2").final("x=1,2").history()).outcome is Outcome.PASS


@pytest.mark.parametrize(("level", "is_snapshot"), [("serializable", False), ("repeatable-read", True)])
def test_twenty_thousand_transactions_take_some_seconds(
    level: str, is_snapshot: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_stores, "KEYS", tuple(f"k{i}" for i in range(400)))
    monkeypatch.setattr(chaos_stores, "CLIENTS", 20)
    chance = random.Random(7)
    store = chaos_stores.ListStore([chance.randrange(1 << 30) for _ in range(99_991)], 20_000, level, is_snapshot)
    history = store.history()
    began = time.process_time()
    found = checked(history, level)
    assert not found.anomalies
    assert found.figures["acknowledged"] > 10_000
    assert time.process_time() - began < 20, "it took some seconds when this test was written"
