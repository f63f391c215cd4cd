"""The split of a gap: its parts follow one another and add up, even if events are late or missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolkeeper_lab.drill import figures, split
from poolkeeper_lab.drill.ledger import Attempt, AttemptOutcome
from poolkeeper_lab.drill.split import LeaseTimes, Recovery

LEASES = (LeaseTimes(1.0, "a"), LeaseTimes(10.3, None), LeaseTimes(10.8, "b"))
OPENED = (Recovery(1.0, "b", "standby"), Recovery(11.0, "b", "primary"))
NODES = ("a", "b")


def test_the_four_parts() -> None:
    found = split.split_gap(10.0, {"b": 11.5}, LEASES, OPENED, "a")
    assert found is not None
    assert dict(found.parts) == pytest.approx({"detection": 0.3, "election": 0.5, "promotion": 0.2, "routing": 0.5})
    assert found.new_primary == "b"


def test_a_poll_that_is_later_than_the_fact_does_not_count_beyond_it() -> None:
    found = split.split_gap(10.0, {"b": 10.9}, LEASES, OPENED, "a")
    assert found is not None
    assert found.promotion == pytest.approx(0.1)
    assert found.routing == 0


@pytest.mark.parametrize(
    ("served", "leases"),
    [
        ({}, LEASES),
        ({"a": 10.1}, LEASES[:1]),
        ({"a": 12.0}, (LeaseTimes(1.0, "a"), LeaseTimes(10.3, None), LeaseTimes(10.5, "a"))),
    ],
)
def test_no_split_without_a_new_primary(served: dict[str, float], leases: tuple[LeaseTimes, ...]) -> None:
    assert split.split_gap(10.0, served, leases, OPENED, "a") is None


@given(st.lists(st.floats(5, 40), min_size=4, max_size=4))
def test_parts_add_up(times: list[float]) -> None:
    released, elected, opened, served = times
    leases = sorted([LeaseTimes(released, None), LeaseTimes(elected, "b")], key=lambda lease: lease.at)
    found = split.split_gap(10.0, {"b": served}, leases, [Recovery(opened, "b", "primary")], "a")
    if found:
        assert all(seconds >= 0 for _, seconds in found.parts)
        assert sum(seconds for _, seconds in found.parts) == pytest.approx(max(served, 10.0) - 10.0)


def write(
    number: int, ended: float, server: str = "a", outcome: AttemptOutcome = AttemptOutcome.ACKNOWLEDGED
) -> Attempt:
    """Return a write that took a millisecond."""
    return Attempt(number, "kept", ended - 0.001, ended, outcome, "" if server else "lost", server)


def observed(**changes: float) -> figures.ObservedRound:
    """Return a round whose fault was injected at 10."""
    made = figures.ObservedRound(
        "kill_node", 1, True, "a", injected=10.0, healed=14.0, back=20.0, ended=21.0, back_since_healed=True
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


WRITES = (write(1, 9.5), write(2, 9.99), write(3, 10.2, "", AttemptOutcome.AMBIGUOUS), write(4, 11.5, "b"),
          *(write(n, 11.5 + n / 10, "b") for n in range(5, 95)))  # fmt: skip


def test_figures_of_a_round() -> None:
    made = figures.figures(observed(), ("kept",), WRITES, WRITES, {a.number: 1 for a in WRITES}, LEASES, OPENED, NODES)
    assert made.is_sound
    assert made.write is not None
    assert made.write.seconds == pytest.approx(1.51)
    assert made.write.begin == pytest.approx(-0.01)
    assert (made.healed, made.back) == (4.0, 6.0)
    assert made.split is not None
    assert made.split.new_primary == "b"
    assert made.rate[0] == (-2.0, 0)
    assert sum(count for _, count in made.rate) == sum(
        a.outcome is AttemptOutcome.ACKNOWLEDGED and a.ended < 14.5 for a in WRITES
    )


def test_a_round_without_a_verdict_or_without_service_is_not_sound() -> None:
    unchecked = figures.figures(observed(), ("kept",), WRITES, WRITES, None, LEASES, OPENED, NODES)
    assert not unchecked.is_sound
    silent = figures.figures(observed(), ("kept",), WRITES[:3], WRITES, {1: 1, 2: 1}, LEASES, OPENED, NODES)
    assert silent.problem == "no write was acknowledged any more"
    never = observed()
    never.injected = None
    never.problems.append("no such process")
    assert figures.figures(never, ("kept",), (), (), None, (), (), NODES).problem == "no such process"


def test_a_session_that_waited_at_the_endpoint_ends_the_routing() -> None:
    """The write began before the fault, and receives the new primary's first acknowledgement."""
    waited = Attempt(1, "fresh", 9.9, 11.0, AttemptOutcome.ACKNOWLEDGED, server="b")
    later = Attempt(2, "kept", 11.5, 11.6, AttemptOutcome.ACKNOWLEDGED, server="b")
    waiting = figures.ObservedRound("kill_node", 1, True, victim="a", injected=10.0, ended=12.0)
    leases, opened = [LeaseTimes(10.1, None), LeaseTimes(10.2, "b")], [Recovery(10.5, "b", "primary")]
    made = figures.figures(waiting, ("fresh",), (waited, later), (), {1: 1, 2: 1}, leases, opened, ("b",))
    assert made.split is not None
    assert made.split.routing == pytest.approx(0.5)
