"""Registers: a correct one always passes, the search agrees with trying every order, and its limit is reported."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.lab.unit import chaos_oracles, chaos_stores
from tests.lab.unit.chaos_histories import INFO, OK, Book

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import register_checker
from poolkeeper_lab.chaos.history.history import History

CHOICES = st.lists(st.integers(0, 119), min_size=1, max_size=300)


@given(CHOICES, st.integers(1, 60))
def test_a_correct_register_has_no_anomaly(choices: list[int], count: int) -> None:
    assert not register_checker.check(chaos_stores.registers(choices, count), {"initial": 0}).anomalies


@settings(max_examples=300)
@given(CHOICES, st.integers(1, 6), st.integers(0, 3), st.data())
def test_the_search_agrees_with_trying_every_order(choices: list[int], count: int, other: int, data: Any) -> None:
    history = _one_key(chaos_stores.registers(choices, count))
    results = [o for o in history.operations if o.is_ok and o.f != "write"]
    if results:  # one result is replaced by another, which an order may or may not explain
        chosen = data.draw(st.sampled_from(results))
        result = other if chosen.f == "read" else bool(other % 2)
        changed = (replace(o, result=result) if o is chosen else o for o in history.operations)
        history = replace(history, operations=tuple(changed))
    found = register_checker.check(history, {"initial": 0})
    assert bool(found.anomalies) is not chaos_oracles.is_linearizable(history.operations, 0)


def _one_key(history: History) -> History:
    return replace(history, operations=tuple(replace(o, value=["k", o.value[1]]) for o in history.operations))


@given(CHOICES, st.integers(2, 40), st.data())
def test_a_read_of_a_value_without_a_write_is_always_found(choices: list[int], count: int, data: Any) -> None:
    history = chaos_stores.registers(choices, count)
    reads = [o for o in history.operations if o.is_ok and o.f == "read"]
    assume(reads)
    chosen = data.draw(st.sampled_from(reads))
    operations = tuple(replace(o, result=77) if o is chosen else o for o in history.operations)
    found = register_checker.check(replace(history, operations=operations), {"initial": 0})
    assert chosen.number in {anomaly.operations[0] for anomaly in found.anomalies}


def test_many_open_writes_do_not_make_it_slow() -> None:
    """Each may take effect at any later time: naively that is two to the power of their number."""
    book, chance = Book("register", initial=0), random.Random(3)
    for i in range(300):
        book.op("write", ["k", 1000 + i], None, INFO, at=(i, i + 0.1))
    late = chance.sample(range(300), 60)
    for i in range(2000):
        began = 400 + i
        book.op("write", ["k", i % 900], at=(began, began + 0.1))
        book.op("read", ["k", None], i % 900, at=(began + 0.2, began + 0.3))
        if i % 40 == 0 and late:
            book.op("read", ["k", None], 1000 + late.pop(), at=(began + 0.4, began + 0.5))
    began_at = time.process_time()
    found = register_checker.check(book.history(), {"initial": 0})
    assert found.outcome is Outcome.PASS
    assert time.process_time() - began_at < 10


def test_ten_clients_at_once_on_one_key() -> None:
    book, chance, held = Book("register", initial=0), random.Random(5), 0
    for i in range(2000):
        moment = i + 0.5
        f = chance.choice(("read", "write", "cas"))
        arguments: dict[str, Any] = {"read": None, "write": chance.randrange(5)}
        argument = (arguments | {"cas": [chance.randrange(5), chance.randrange(5)]})[f]
        result: Any = {"read": held, "write": None, "cas": argument and f == "cas" and held == argument[0]}[f]
        if f == "write" or (f == "cas" and result):
            held = argument if f == "write" else argument[1]
        times = (moment - chance.random() * 5, moment + chance.random() * 5)
        book.op(f, ["k", argument], result, at=times, process=i % 10)
    found = register_checker.check(book.history(), {"initial": 0})
    assert found.outcome is Outcome.PASS


def test_a_search_with_too_many_steps_is_unknown() -> None:
    book = Book("register")
    for i in range(12):
        book.op("write", ["k", i], at=(1.0, 50.0), process=i)
    book.op("read", ["k", None], 3, at=(2.0, 3.0))
    book.op("read", ["k", None], 4, at=(3.5, 4.0))
    book.op("read", ["k", None], 3, at=(4.5, 5.0))
    found = register_checker.check(book.history(), {"steps": 100})
    assert found.outcome is Outcome.UNKNOWN
    assert found.unknowns == ("no order within 100 steps for the keys k",)


def test_a_read_of_a_value_without_a_write_needs_no_search() -> None:
    book = Book("register")
    for i in range(12):
        book.op("write", ["k", i], at=(1.0, 50.0), process=i)
    book.op("read", ["k", None], 99, at=(2.0, 3.0))
    book.op("write", ["other", 1])
    book.op("read", ["other", None], 1)
    found = register_checker.check(book.history(), {"steps": 100})
    assert [anomaly.operations for anomaly in found.anomalies] == [(12,)]
    assert "#12 sees 99, which no client wrote" in found.anomalies[0].text


def test_operations_at_other_endpoints_are_not_checked() -> None:
    book = Book("register")
    book.op("write", ["k", 1])
    book.op("read", ["k", None], None, endpoint="ro")
    assert register_checker.check(book.history(), {}).unknowns == ("no read was answered",)
    book.op("read", ["k", None], 1)
    assert register_checker.check(book.history(), {}).outcome is Outcome.PASS


def test_the_unexplained_operation_is_reported() -> None:
    book = Book("register")
    book.op("write", ["k", 1], None, OK)
    book.op("write", ["k", 2], None, OK)
    book.op("read", ["k", None], 1)
    (anomaly,) = register_checker.check(book.history(), {}).anomalies
    assert anomaly.operations == (2,)
    assert "explains #2, which saw 1; before it the value could have been 2" in anomaly.text
