"""The agent's pages: every path, in health and stalled, with everything known and with nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.poolkeeper.unit import observed_states
from tests.poolkeeper.unit.snapshots import PRIMARY, SPEC, STANDBY

from poolkeeper.keeper import api
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState
from poolkeeper.model.observed_state import ObservedState


def knowing(scene: ObservedState, at: float = observed_states.AT) -> KnownState:
    """An agent that has seen this, and whose loop has just come round."""
    return KnownState(
        SPEC,
        lambda: at,
        scene.store,
        dict(scene.sights),
        scene.pool,
        scene.routes,
        scene.opened,
        memory=observed_states.steady(),
        turned=observed_states.AT,
    )


def journal() -> Journal:
    """One with an event of each kind."""
    kept = Journal(lambda _: None)
    for event in ("started", "seen", "done"):
        kept.note(event, node=PRIMARY)
    return kept


HEALTHY = knowing(observed_states.healthy())
IGNORANT = KnownState(SPEC, lambda: observed_states.AT, turned=observed_states.AT)
STALLED = knowing(observed_states.healthy(), at=observed_states.AT + api.STALLED)


@pytest.mark.parametrize("known", [HEALTHY, IGNORANT, STALLED], ids=["healthy", "ignorant", "stalled"])
@pytest.mark.parametrize("path", [*api.PAGES, "/status?pretty", "/", "/etc/passwd", "", "health"])
def test_every_path_has_an_answer(path: str, known: KnownState) -> None:
    """Its own page, whatever is known; else that there is none."""
    status, kind, body = api.page(path, known, journal())
    assert body.endswith("\n")
    if path.partition("?")[0] not in api.PAGES:
        assert status == 404
    else:
        assert status == (503 if path == "/health" and known is STALLED else 200)
    if kind == "application/json":
        json.loads(body)


def test_the_status_of_a_healthy_cluster() -> None:
    """Nothing is open, everything known."""
    told = api.status(HEALTHY, journal())
    assert (told["healthy"], told["lease"], told["primary"], told["maintenance"]) == (True, PRIMARY, PRIMARY, False)
    assert (told["store"], told["pool"], told["routes"]) == ("known", "known", "known")
    assert (told["open"], told["drift_seconds"]) == ([], 0.0)
    assert told["nodes"][STANDBY] == {"process": "alive", "why": "its supervisor runs"}
    assert [event["event"] for event in told["last"]] == ["done"]


def test_the_status_of_one_that_knows_nothing() -> None:
    """It says why."""
    told = api.status(IGNORANT, journal())
    assert (told["store"], told["pool"]) == ("not read yet", "not asked yet")
    assert (told["lease"], told["primary"]) == (None, None)


def test_what_is_open_has_its_age() -> None:
    """From when it was first seen to be so; gone when it is gone."""
    at, known = (
        [observed_states.AT],
        knowing(observed_states.edit_backend(observed_states.healthy(), STANDBY, status="down")),
    )
    known.clock = lambda: at[0]
    ages = []
    for _ in range(3):
        told = api.status(known, journal())
        ages.append(told["drift_seconds"])
        at[0] += 2
    assert ages == [0.0, 2.0, 4.0]
    assert told["open"] == ["attach to Pgpool-II pg_node2: it streams from the primary, and Pgpool-II has it as down"]
    known.pool = observed_states.healthy().pool
    assert api.status(known, journal())["drift_seconds"] == 0.0


def test_the_metrics_are_prometheus_text() -> None:
    """A name, perhaps labels, and a number on each line."""
    known = knowing(replace(observed_states.healthy(), pool=observed_states.UNKNOWN))
    _, kind, body = api.page("/metrics", known, journal())
    figures = {name: float(value) for name, value in (line.rsplit(" ", 1) for line in body.splitlines())}
    assert kind.startswith("text/plain")
    assert figures["poolkeeper_keeper_healthy"] == 1
    assert figures['poolkeeper_keeper_knows{source="pool"}'] == 0
    assert figures['poolkeeper_keeper_knows{source="store"}'] == 1
    assert figures['poolkeeper_keeper_events_total{event="seen"}'] == 1
    assert figures["poolkeeper_keeper_memory_peak_bytes"] > 1_000_000
