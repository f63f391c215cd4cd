"""The journal notes each decision once, when it begins, and keeps a bounded number of events."""

from __future__ import annotations

import json
from datetime import datetime

from poolkeeper.keeper import journal
from poolkeeper.keeper.journal import Journal
from poolkeeper.model.decision import Decision, Refusal, Verb

CUT = Decision(Verb.CUT, "pg_node1", "it is dead", proxy="primary")
LATE = [Decision(Verb.CLOSE_READS, "pg_node2", f"it is {age} s behind", proxy="standbys") for age in (31, 32)]
REFUSED = Refusal("early release", "pg_node1 is dead, but the cluster is in maintenance mode")


def events(kept: Journal) -> list[tuple[str, str]]:
    """Return each noted event and its reason."""
    return [(line["event"], line.get("why", "")) for line in kept.events]


def test_a_line_is_json_with_its_time() -> None:
    """Each event is one line, whatever it contains."""
    lines: list[str] = []
    Journal(lines.append).note("failed", what="command HAProxy", why='a "quote"\nand a line: é')
    (line,) = lines
    assert "\n" not in line
    assert json.loads(line)["why"] == 'a "quote"\nand a line: é'
    assert datetime.fromisoformat(json.loads(line)["at"]).tzinfo


def test_a_standing_decision_is_noted_once() -> None:
    """The event is written again if it returns after an iteration without it."""
    kept = Journal(lambda _: None)
    iterations: list[list[Decision | Refusal]] = [[CUT, REFUSED], [CUT, REFUSED], [REFUSED], [], [CUT]]
    for decisions in iterations:
        kept.begin("routes", decisions)
    assert events(kept) == [("decided", "it is dead"), ("declined", REFUSED.reason), ("decided", "it is dead")]
    assert kept.counts == {"decided": 2, "declined": 1}
    assert kept.events[0]["what"] == "cut the route to"
    assert (kept.events[0]["node"], kept.events[0]["proxy"]) == ("pg_node1", "primary")


def test_a_cause_whose_figures_change_is_the_same() -> None:
    """Otherwise a silent HAProxy would fill the journal. Another node or another refusal is noted."""
    kept = Journal(lambda _: None)
    for late in LATE:
        kept.begin("routes", [late])
    kept.begin("routes", [LATE[0], CUT])
    kept.begin("release", [REFUSED])
    kept.begin("release", [Refusal(REFUSED.subject, "too soon")])
    assert events(kept) == [
        ("decided", "it is 31 s behind"),
        ("decided", "it is dead"),
        ("declined", REFUSED.reason),
        ("declined", "too soon"),
    ]


def test_topics_are_independent() -> None:
    """A decision of one topic still stands after an iteration of another."""
    kept = Journal(lambda _: None)
    for topic in ("routes", "pool", "routes", "pool"):
        kept.begin(topic, [CUT] if topic == "routes" else [])
    assert len(kept.events) == 1


def test_only_the_latest_events_are_kept() -> None:
    """All events are counted."""
    kept = Journal(lambda _: None)
    for number in range(journal.KEPT + 3):
        kept.note("seen", number=number)
    assert [kept.events[0]["number"], len(kept.events)] == [3, journal.KEPT]
    assert kept.counts["seen"] == journal.KEPT + 3
