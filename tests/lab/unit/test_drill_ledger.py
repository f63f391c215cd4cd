"""The clients' ledger: lost, duplicate, phantom and stale writes, and the length of a gap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkeeper_lab.drill import goals, ledger
from poolkeeper_lab.drill.ledger import Attempt, AttemptOutcome

ACK, REFUSED, OPEN = AttemptOutcome.ACKNOWLEDGED, AttemptOutcome.REFUSED, AttemptOutcome.AMBIGUOUS


def attempt(number: int, outcome: AttemptOutcome = ACK, at: float | None = None, **more: str) -> Attempt:
    """Return an attempt that took a millisecond."""
    ended = float(number) if at is None else at
    return Attempt(number, more.pop("client", "kept"), ended - 0.001, ended, outcome, **more)


@pytest.mark.parametrize(
    ("code", "sent", "outcome"),
    [
        ("25006", True, REFUSED),
        ("23505", True, REFUSED),
        ("40001", True, REFUSED),
        ("40003", True, OPEN),
        ("01000", True, OPEN),
        ("57P01", True, OPEN),
        ("08006", True, OPEN),
        ("XX000", True, OPEN),
        (ledger.LOST, True, OPEN),
        (ledger.SILENT, True, OPEN),
        ("connect: refused", False, REFUSED),
        (ledger.SILENT, False, REFUSED),
    ],
)
def test_the_code_of_an_error_decides_the_outcome(code: str, sent: bool, outcome: AttemptOutcome) -> None:
    assert ledger.outcome_of(code, sent) is outcome


def test_each_kind_of_unsound_write_is_found() -> None:
    attempts = [attempt(1), attempt(2), attempt(3, REFUSED, code="25006"), attempt(4, OPEN), attempt(5, OPEN)]
    verdict = ledger.evaluate(attempts, {1: 2, 3: 1, 4: 1, 99: 1}, None)
    assert (verdict.acknowledged, verdict.refused, verdict.ambiguous) == (2, 1, 2)
    assert (verdict.lost, verdict.duplicates, verdict.phantoms) == ((2,), (1,), (3, 99))
    assert verdict.ambiguous_stored == 1
    assert not verdict.is_sound


def test_ambiguous_is_no_error_either_way() -> None:
    assert ledger.evaluate([attempt(1, OPEN), attempt(2, OPEN)], {1: 1}, None).is_sound


def test_an_acknowledgement_by_the_former_primary_is_stale() -> None:
    attempts = [attempt(1, at=9.0, server="old"), attempt(2, at=11.0, server="old"), attempt(3, at=12.0, server="new")]
    verdict = ledger.evaluate(attempts, {1: 1, 2: 1, 3: 1}, ("new", 10.0))
    assert verdict.stale == 1
    assert not verdict.is_sound


@given(st.sets(st.integers(1, 50)), st.sets(st.integers(1, 50)))
def test_a_lost_write_is_acknowledged_and_absent(acknowledged: set[int], stored: set[int]) -> None:
    verdict = ledger.evaluate([attempt(n) for n in acknowledged], dict.fromkeys(stored, 1), None)
    assert set(verdict.lost) == acknowledged - stored
    assert set(verdict.phantoms) == stored - acknowledged


def test_gap_is_between_acknowledgements_around_the_fault() -> None:
    attempts = [
        attempt(1, at=0.0),
        attempt(2, at=9.9),
        attempt(3, OPEN, at=10.5),
        attempt(4, at=11.6),
        attempt(5, at=12.0),
    ]
    gap = ledger.longest_gap(attempts, since=10.0, until=12.1)
    assert (gap.begin, gap.end, gap.is_open) == (9.9, 11.6, False)


def test_a_gap_without_an_end_is_open() -> None:
    gap = ledger.longest_gap([attempt(1, at=9.9)], since=10.0, until=40.0)
    assert gap.is_open
    assert gap.seconds == pytest.approx(30.1)
    assert ledger.longest_gap([], since=10.0, until=40.0).seconds == pytest.approx(30.0)


def test_the_gap_of_a_client_ignores_other_clients() -> None:
    attempts = [
        attempt(1, at=9.9),
        *(attempt(n, at=10 + n / 10, client="fresh") for n in range(2, 20)),
        attempt(20, at=12.0),
    ]
    assert ledger.longest_gap(attempts, 10.0, 12.0).seconds == pytest.approx(0.3)
    assert ledger.longest_gap(attempts, 10.0, 12.0, "kept").seconds == pytest.approx(2.1)


def test_the_ledger_has_an_attempt_before_its_end() -> None:
    record = ledger.Ledger(first=100)
    first, hanging = record.open("kept", 1.0), record.open("fresh", 1.0)
    assert record.attempts(2.0)[0].outcome is OPEN
    record.close(first, 1.5, ACK, server="a")
    assert [(a.number, a.outcome) for a in record.attempts(3.0)] == [(100, ACK), (hanging, OPEN)]
    assert record.next_number == 102


def test_served_means_every_client_by_an_attempt_that_began_later() -> None:
    record = ledger.Ledger()
    for client, began in (("kept", 5.0), ("fresh", 4.0)):
        record.close(record.open(client, began), 6.0, ACK)
    assert record.served_since(3.9, ("kept", "fresh"))
    assert not record.served_since(4.0, ("kept", "fresh"))
    assert not ledger.Ledger().served_since(0.0, ("kept",))


def test_a_reconnect_avoids_only_the_error_of_an_ended_session() -> None:
    codes = ("lost", "57P01", "25006", "connect: refused")
    attempts = [attempt(1), *(attempt(n, REFUSED, code=code) for n, code in enumerate(codes, start=2))]
    assert ledger.beyond_reconnect(attempts) == 2


@pytest.mark.parametrize(
    ("values", "percent", "wanted"),
    [((), 50, None), ((3.0,), 95, 3.0), ((1, 2, 3, 4), 50, 2), ((4, 3, 2, 1, 5), 50, 3), (range(1, 101), 95, 95)],
)
def test_percentile_by_nearest_rank(values: tuple[float, ...], percent: float, wanted: float | None) -> None:
    assert goals.percentile(values, percent) == wanted


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(1, 100))
def test_percentile_is_one_of_the_rounds_and_covers_its_share(values: list[float], percent: float) -> None:
    found = goals.percentile(values, percent)
    assert found in values
    assert sum(v <= found for v in values) >= percent / 100 * len(values) - 1e-9
