"""The agent's pages: every path, healthy and stalled, with everything known and with nothing."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from tests.poolkeeper.unit import observed_states
from tests.poolkeeper.unit.snapshots import PRIMARY, SPEC, STANDBY

from poolkeeper.keeper import api
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState
from poolkeeper.model.observed_state import ObservedState


def known_state(observed: ObservedState, at: float = observed_states.AT) -> KnownState:
    """An agent that has observed this, and whose loop has just finished an iteration."""
    return KnownState(SPEC, lambda: at, observed, memory=observed_states.steady(), iterated_at=observed_states.AT)


def journal() -> Journal:
    """A journal with an event of each kind."""
    kept = Journal(lambda _: None)
    for event in ("started", "seen", "done"):
        kept.note(event, node=PRIMARY)
    return kept


HEALTHY = known_state(observed_states.healthy())
IGNORANT = KnownState(SPEC, lambda: observed_states.AT, iterated_at=observed_states.AT)
STALLED = known_state(observed_states.healthy(), at=observed_states.AT + api.STALLED)


@pytest.mark.parametrize("known", [HEALTHY, IGNORANT, STALLED], ids=["healthy", "ignorant", "stalled"])
@pytest.mark.parametrize("path", [*api.PAGES, "/status?pretty", "/", "/etc/passwd", "", "health"])
def test_every_path_has_an_answer(path: str, known: KnownState) -> None:
    """A path with a page answers whatever is known; any other path answers 404."""
    status, kind, body = api.page(path, known, journal())
    assert body.endswith("\n")
    if path.partition("?")[0] not in api.PAGES:
        assert status == 404
    else:
        assert status == (503 if path == "/health" and known is STALLED else 200)
    if kind == "application/json":
        json.loads(body)


def test_the_status_of_a_healthy_cluster() -> None:
    """No action is open, and everything is known."""
    reported = api.status(HEALTHY, journal())
    assert (reported["healthy"], reported["lease"], reported["primary"], reported["maintenance"]) == (
        True,
        PRIMARY,
        PRIMARY,
        False,
    )
    assert (reported["store"], reported["pool"], reported["routes"]) == ("known", "known", "known")
    assert (reported["open"], reported["drift_seconds"]) == ([], 0.0)
    assert reported["nodes"][STANDBY] == {"process": "alive", "why": "its supervisor runs"}
    assert [event["event"] for event in reported["last"]] == ["done"]


def test_the_status_of_an_agent_that_knows_nothing() -> None:
    """The answer has the reasons."""
    reported = api.status(IGNORANT, journal())
    assert (reported["store"], reported["pool"]) == ("not read yet", "not asked yet")
    assert (reported["lease"], reported["primary"]) == (None, None)


def test_an_open_action_has_its_age() -> None:
    """The age counts from the first observation, and is 0 when the action is done."""
    detached = observed_states.edit_backend(observed_states.healthy(), STANDBY, status="down")
    known = known_state(detached)
    ages = []
    for age in range(0, 6, 2):
        known.clock = itertools.repeat(observed_states.AT + age).__next__
        reported = api.status(known, journal())
        ages.append(reported["drift_seconds"])
    assert ages == [0.0, 2.0, 4.0]
    assert reported["open"] == [
        "attach to Pgpool-II pg_node2: it streams from the primary, and Pgpool-II has it as down"
    ]
    known.update(pool=observed_states.healthy().pool)
    assert api.status(known, journal())["drift_seconds"] == 0.0


def test_the_metrics_are_prometheus_text() -> None:
    """Each line has a name, perhaps labels, and a number."""
    known = known_state(replace(observed_states.healthy(), pool=observed_states.UNKNOWN))
    _, kind, body = api.page("/metrics", known, journal())
    figures = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in body.splitlines())}
    assert kind.startswith("text/plain")
    assert figures["poolkeeper_keeper_healthy"] == 1
    assert figures['poolkeeper_keeper_knows{source="pool"}'] == 0
    assert figures['poolkeeper_keeper_knows{source="store"}'] == 1
    assert figures['poolkeeper_keeper_events_total{event="seen"}'] == 1
    assert figures["poolkeeper_keeper_memory_peak_bytes"] > 1_000_000
