"""The checkers of set, bank, read-only endpoint, one writer and final state, and the pauses: what each detects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.lab.unit.chaos_histories import FAIL, INFO, OK, Book
from tests.lab.unit.sample_histories import HEALTHY

from poolkeeper.model.verdict import Outcome
from poolkeeper_lab.chaos.checkers import (
    bank_checker,
    final_state_checker,
    gaps,
    grow_set_checker,
    one_writer_checker,
    read_only_checker,
)
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.history.history import History

FATES = st.lists(st.sampled_from(["ok", "fail", "info-there", "info-absent"]), min_size=1, max_size=30)


def _set(fates: Sequence[str], result: Sequence[int] | None = None) -> History:
    book = Book("set")
    there = []
    for element, fate in enumerate(fates):
        completion = {"ok": OK, "fail": FAIL}.get(fate, INFO)
        book.op("add", element, completion=completion)
        there += [element] if fate in ("ok", "info-there") else []
    book.op("read", "final", there if result is None else result)
    return book.history()


@given(FATES)
def test_a_correct_set_has_no_anomaly(fates: list[str]) -> None:
    found = grow_set_checker.check(_set(fates), {})
    assert found.outcome is (Outcome.PASS if "ok" in fates else Outcome.UNKNOWN)


@given(FATES, st.data())
def test_each_mutation_of_a_set_is_found_by_its_name(fates: list[str], data: Any) -> None:
    there = [i for i, fate in enumerate(fates) if fate in ("ok", "info-there")]
    acknowledged, refused = (
        [i for i, fate in enumerate(fates) if fate == "ok"],
        [i for i, fate in enumerate(fates) if fate == "fail"],
    )
    assume(acknowledged)
    chosen = data.draw(st.sampled_from(acknowledged))
    mutations = {"lost": [i for i in there if i != chosen], "duplicate": [*there, chosen], "phantom": [*there, 999]}
    if refused:
        mutations["refused"] = [*there, data.draw(st.sampled_from(refused))]
    for name, result in mutations.items():
        assert set(grow_set_checker.check(_set(fates, result), {}).counts) == {name}


def test_a_set_that_adds_twice_cannot_be_checked() -> None:
    book = Book("set")
    book.op("add", 1)
    book.op("add", 1)
    with pytest.raises(ValueError, match="added twice"):
        grow_set_checker.check(book.history(), {})


def test_a_read_on_a_standby_may_be_behind_and_one_on_rw_may_not() -> None:
    for endpoint, outcome in (("ro", Outcome.PASS), ("rw", Outcome.FAIL)):
        book = Book("set")
        book.op("add", 1)
        book.op("read", None, [], endpoint=endpoint)
        book.op("read", "final", [1])
        assert grow_set_checker.check(book.history(), {}).outcome is outcome


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=40), st.data())
def test_a_bank_keeps_its_total_and_every_wrong_snapshot_is_found(moves: list[tuple[int, int, int]], data: Any) -> None:
    balances = dict.fromkeys("abcd", 100)
    book, options = Book("bank"), {"accounts": list("abcd"), "total": 400, "negative": True}
    for source, target, amount in moves:
        book.op("transfer", {"from": "abcd"[source], "to": "abcd"[target], "amount": amount})
        balances["abcd"[source]] -= amount
        balances["abcd"[target]] += amount
        book.op("read", None, dict(balances), endpoint=data.draw(st.sampled_from(["rw", "ro"])))
    history = book.history()
    assert bank_checker.check(history, options).outcome is Outcome.PASS
    chosen = data.draw(st.sampled_from([o for o in history.operations if o.f == "read"]))
    half = replace(chosen, result={**chosen.result, "a": chosen.result["a"] + data.draw(st.integers(1, 5))})
    operations = tuple(half if o is chosen else o for o in history.operations)
    found = bank_checker.check(replace(history, operations=operations), options)
    assert [(a.name, a.operations) for a in found.anomalies] == [("wrong-total", (chosen.number,))]


def test_a_bank_without_reads_or_transfers_is_unknown() -> None:
    options = {"accounts": ["a"], "total": 1}
    book = Book("bank")
    assert bank_checker.check(book.history(), options).outcome is Outcome.UNKNOWN
    book.op("read", None, {"a": 1})
    assert bank_checker.check(book.history(), options).unknowns == ("no transfer was acknowledged, so nothing moved",)


@given(st.lists(st.tuples(st.floats(0.01, 3), st.floats(0, 2)), min_size=3, max_size=25), st.floats(0, 2))
def test_an_endpoint_within_its_bound_has_no_anomaly(steps: list[tuple[float, float]], slack: float) -> None:
    """A standby that shows what was committed up to `lag` ago, in one session, never going back."""
    book, now, shown = Book("read_only"), 1.0, 0
    commits: list[tuple[float, int]] = [(0.0, 0)]
    book.op("write", None, None, FAIL, at=(0.1, 0.2), endpoint="ro", code="25006")
    for beat, (pause, lag) in enumerate(steps, start=1):
        book.op("beat", beat, at=(now, now + 0.002))
        commits.append((now + 0.001, beat))
        now += pause
        shown = max([shown, *(number for moment, number in commits if moment <= now - lag)])
        book.op("read", None, shown, at=(now, now + 0.001), endpoint="ro")
        now += 0.01
    found = read_only_checker.check(book.history(), {"bound": 2.0, "slack": slack})
    assert found.outcome is Outcome.PASS, found


@pytest.mark.parametrize(("began", "outcome"), [(7.05, Outcome.PASS), (7.2, Outcome.FAIL)])
def test_a_read_is_too_old_only_beyond_bound_and_slack(began: float, outcome: Outcome) -> None:
    book = Book("read_only")
    book.op("write", None, None, FAIL, at=(0.1, 0.2), endpoint="ro", code="25006")
    book.op("beat", 1, at=(1.0, 1.1))
    book.op("beat", 2, at=(2.0, 2.1))
    book.op("read", None, 1, at=(began, began + 1), endpoint="ro")
    assert read_only_checker.check(book.history(), {"bound": 4.5, "slack": 0.5}).outcome is outcome


@pytest.mark.parametrize(("result", "age"), [(0, 3.5), (1, 2.5), (2, 0.0)])
def test_the_age_of_the_oldest_read_is_a_figure(result: int, age: float) -> None:
    book = Book("read_only")
    book.op("beat", 1, at=(1.0, 1.5))
    book.op("beat", 2, at=(2.0, 2.5))
    book.op("read", None, result, at=(5.0, 6.0), endpoint="ro")
    assert read_only_checker.check(book.history(), {"bound": None}).figures["oldest_seconds"] == age


def test_each_unchecked_part_of_the_endpoint_is_reported() -> None:
    book = Book("read_only")
    book.op("write", None, None, FAIL, endpoint="ro", code="connect: refused")
    found = read_only_checker.check(book.history(), {"bound": 5})
    assert (found.outcome, len(found.unknowns)) == (Outcome.UNKNOWN, 3)
    assert found.figures["write_codes"] == {"connect: refused": 1}


TERMS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=2, max_size=12)


def _writers(terms: Sequence[tuple[int, int]]) -> Book:
    """Move the role from node to node, each time on the next timeline; the others refuse."""
    book = Book("one_writer")
    for timeline, (node, writes) in enumerate(terms, start=1):
        for _ in range(writes):
            book.op("write", None, {"timeline": timeline}, endpoint=f"pg_node{node}")
            book.op("write", None, None, FAIL, endpoint=f"pg_node{(node + 1) % 3}", code="25006")
    return book


@given(TERMS)
def test_a_role_that_moves_is_never_a_split_brain(terms: list[tuple[int, int]]) -> None:
    assert one_writer_checker.check(_writers(terms).history(), {}).outcome is Outcome.PASS


@given(TERMS, st.data())
def test_a_former_primary_and_a_second_primary_are_always_found(terms: list[tuple[int, int]], data: Any) -> None:
    timeline = data.draw(st.integers(1, len(terms) - 1))
    late = _writers(terms)
    number = late.op("write", None, {"timeline": timeline}, endpoint=f"pg_node{terms[timeline - 1][0]}")
    found = one_writer_checker.check(late.history(), {})
    assert [(a.name, a.operations[1]) for a in found.anomalies] == [("former-primary", number)]
    second = _writers(terms)
    second.op("write", None, {"timeline": len(terms)}, endpoint=f"pg_node{(terms[-1][0] + 1) % 3}")
    assert set(one_writer_checker.check(second.history(), {}).counts) == {"split-brain"}


def test_one_node_alone_proves_nothing() -> None:
    book = Book("one_writer")
    book.op("write", None, {"timeline": 1}, endpoint="pg_node1")
    found = one_writer_checker.check(book.history(), {})
    assert found.unknowns == ("only one node received writes, so a second writer could not be detected",)


def test_the_longest_pause_of_each_endpoint() -> None:
    book = Book("set")
    for at, endpoint in ((1.0, "rw"), (2.0, "ro"), (3.0, "rw"), (9.0, "ro")):
        f = "read" if endpoint == "ro" else "add"
        book.op(f, at, [], at=(at, at + 0.5), endpoint=endpoint)
    book.op("read", None, [], at=(8.0, 8.5), endpoint="rw")  # a read does not end the pause of writes
    book.op("add", 9, [], FAIL, at=(9.1, 10.0), endpoint="rw")
    found = gaps.longest(book.history())
    assert (found["rw"].seconds, found["rw"].is_open) == (6.5, True)
    assert (found["ro"].seconds, found["ro"].is_open) == (7.0, False)


@pytest.mark.parametrize("name", [f.name for f in fields(FinalState) if f.name != "suite_complaints"])
def test_each_unknown_field_of_the_final_state_leaves_it_unknown(name: str) -> None:
    assert final_state_checker.check(HEALTHY).outcome is Outcome.PASS
    missing: dict[str, Any] = {name: None}
    assert final_state_checker.check(replace(HEALTHY, **missing)).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("name", ["rows", "timelines", "checksum_failures"])
def test_one_unknown_node_leaves_the_final_state_unknown(name: str) -> None:
    without: dict[str, Any] = {name: {**getattr(HEALTHY, name), "pg_node2": None}}
    found = final_state_checker.check(replace(HEALTHY, **without))
    assert found.outcome is Outcome.UNKNOWN
    assert "pg_node2" in found.unknowns[0]


def test_an_unknown_final_state() -> None:
    assert final_state_checker.check(None).outcome is Outcome.UNKNOWN
    assert len(final_state_checker.check(None).unknowns) == 9
    assert final_state_checker.check(replace(HEALTHY, heal_seconds=None, suite="fail")).outcome is Outcome.FAIL
    assert final_state_checker.check(replace(HEALTHY, suite="unknown")).outcome is Outcome.UNKNOWN
    nothing_compared = replace(HEALTHY, rows={node: {} for node in HEALTHY.nodes or ()})
    assert final_state_checker.check(nothing_compared).outcome is Outcome.UNKNOWN
