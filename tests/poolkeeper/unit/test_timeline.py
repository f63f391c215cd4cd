"""The timeline of a role change, read from log lines as the programs write them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.decide import log_signs, timeline_reader
from poolkeeper.model.decision import Verb
from poolkeeper.model.timeline import EventKind, LogLine

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEEPER, POOL, ENDPOINT = SPEC.keeper.service, SPEC.endpoints.balanced.service, SPEC.haproxy.service


def line(ms: int, service: str, text: str) -> LogLine:
    """Return a line, `ms` milliseconds after noon."""
    return LogLine(NOON + timedelta(milliseconds=ms), service, text)


def keeper(event: str, **details: str) -> str:
    """Return a line of keeper's journal."""
    return json.dumps({"at": NOON.isoformat(), "event": event, **details})


def patroni(text: str) -> str:
    """Return a line of Patroni's log."""
    return f"2026-01-01 12:00:00,000 INFO: {text}"


def postgres(text: str) -> str:
    """Return a line of PostgreSQL's log."""
    return f"2026-01-01 12:00:00.000 UTC [123] LOG:  {text}"


def pgpool(text: str) -> str:
    """Return a line of Pgpool-II's log."""
    return f"2026-01-01 12:00:00.000: main pid 1: LOG:  {text}"


DOWN = (
    f'Server primary/{PRIMARY} is DOWN, reason: Layer7 wrong status, code: 503, info: "Service Unavailable", '
    "check duration: 3ms. 0 active and 0 backup servers left. 2 sessions active, 0 requeued, 0 remaining in queue."
)
WORDS: dict[str, tuple[str, str, EventKind | None, str]] = {
    "asked": (
        PRIMARY,
        patroni(f"received switchover request with leader={PRIMARY} candidate=None scheduled_at=None"),
        EventKind.ASKED,
        PRIMARY,
    ),
    "demoting": (PRIMARY, patroni("Demoting self (graceful)"), EventKind.DEMOTED, PRIMARY),
    "stopping": (PRIMARY, postgres("received fast shutdown request"), EventKind.STOPPED, PRIMARY),
    "released": (PRIMARY, patroni("Leader key released"), EventKind.RELEASED, PRIMARY),
    "vote": (STANDBY, patroni(f"Got quorum vote from {OTHER}"), EventKind.VOTED, OTHER),
    "locked": (STANDBY, patroni("promoted self to leader by acquiring session lock"), EventKind.LOCKED, STANDBY),
    "promoting": (STANDBY, postgres("received promote request"), EventKind.PROMOTING, STANDBY),
    "timeline": (STANDBY, postgres("selected new timeline ID: 2"), EventKind.PROMOTED, STANDBY),
    "open": (STANDBY, postgres("database system is ready to accept connections"), EventKind.STARTED, STANDBY),
    "rewind": (PRIMARY, patroni("running pg_rewind from host=pg_node2"), EventKind.REWOUND, PRIMARY),
    "cloned": (PRIMARY, patroni("replica has been created using basebackup"), EventKind.CLONED, PRIMARY),
    "streams": (
        PRIMARY,
        postgres("started streaming WAL from primary at 0/5000000 on timeline 2"),
        EventKind.STREAMING,
        PRIMARY,
    ),
    "lost": (
        STANDBY,
        "2026-01-01 12:00:00.000 UTC [9] FATAL:  could not receive data from WAL stream: server closed "
        "the connection unexpectedly",
        EventKind.LOST,
        STANDBY,
    ),
    "supervisor": (
        PRIMARY,
        '{"supervisor": "ends the node", "cause": "the postmaster was killed", "signal": 9}',
        EventKind.DIED,
        PRIMARY,
    ),
    "pgpool's primary": (POOL, pgpool("failover: set new primary node: 1"), EventKind.POOL_CHANGED, STANDBY),
    "pgpool has none": (POOL, pgpool("failover: set new primary node: -1"), EventKind.POOL_CHANGED, ""),
    "pgpool's loss": (
        POOL,
        pgpool(f"=== Starting degeneration. shutdown host {PRIMARY}(5432) ==="),
        EventKind.POOL_CHANGED,
        PRIMARY,
    ),
    "pgpool's return": (
        POOL,
        pgpool(f"=== Failback done. reconnect host {PRIMARY}(5432) ==="),
        EventKind.POOL_CHANGED,
        PRIMARY,
    ),
    "endpoint down": (ENDPOINT, DOWN, EventKind.ROUTE_DOWN, PRIMARY),
    "endpoint down, on two channels": (ENDPOINT, f"[WARNING]  (8) : {DOWN}", EventKind.ROUTE_DOWN, PRIMARY),
    "endpoint up": (
        ENDPOINT,
        f"Server primary/{STANDBY} is UP, reason: Layer7 check passed, code: 0, check duration: 4ms. 1 "
        "active and 0 backup servers online. 0 sessions requeued, 0 total in queue.",
        EventKind.ROUTE_UP,
        STANDBY,
    ),
    "endpoint closed to reads": (
        ENDPOINT,
        f"Server standbys/{STANDBY} is going DOWN for maintenance. 1 active and 0 backup servers left.",
        EventKind.ROUTE_DOWN,
        STANDBY,
    ),
    "endpoint ready": (
        ENDPOINT,
        f"Server standbys/{PRIMARY} is UP/READY (leaving forced maintenance).",
        EventKind.ROUTE_UP,
        PRIMARY,
    ),
    "keeper observes a death": (
        KEEPER,
        keeper("seen", node=PRIMARY, process="dead", why="it ended"),
        EventKind.DIED,
        PRIMARY,
    ),
    "keeper released": (KEEPER, keeper("done", what=Verb.RELEASE.value, node=PRIMARY), EventKind.RELEASED, PRIMARY),
    "keeper did": (KEEPER, keeper("done", what=Verb.PROMOTE.value, node=STANDBY), EventKind.DONE, STANDBY),
    "keeper decided": (
        KEEPER,
        keeper("decided", what=Verb.ATTACH.value, node=PRIMARY, why="it streams"),
        EventKind.DECIDED,
        PRIMARY,
    ),
    "keeper observes a living node": (KEEPER, keeper("seen", node=PRIMARY, process="alive", why=""), None, ""),
    "keeper declined": (KEEPER, keeper("declined", what="early release", why="no proof"), None, ""),
    "keeper's traceback": (KEEPER, "{not json", None, ""),
    "every two seconds": (PRIMARY, patroni(f"no action. I am ({PRIMARY}), the leader with the lock"), None, ""),
    "a checkpoint": (PRIMARY, postgres("checkpoint complete: wrote 3 buffers (0.0%)"), None, ""),
    "another service's message": ("etcd1", "received promote request", None, ""),
    "a client's statement": (POOL, pgpool("statement: SELECT 'x'"), None, ""),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_line_is_classified(case: str) -> None:
    service, text, act, node = WORDS[case]
    step = log_signs.classify(SPEC, line(0, service, text))
    assert (step.kind if step else None) is act
    assert (step.node if step else "") == node
    assert step is None or step.words in text or service == KEEPER or case == "supervisor"


def test_a_release_is_found_in_the_logs_of_earlier_versions() -> None:
    """The timeline reads the verb from stored logs, so its text must not change."""
    text = keeper("done", what="release the lease of", node=PRIMARY)
    event = log_signs.classify(SPEC, line(0, KEEPER, text))
    assert event
    assert event.kind is EventKind.RELEASED


def lines_of(ms: int, *cases: str) -> list[LogLine]:
    """Return lines of the table, 10 ms apart."""
    return [line(ms + 10 * i, *WORDS[case][:2]) for i, case in enumerate(cases)]


SWITCHOVER = [
    *lines_of(0, "asked", "demoting", "stopping", "released", "vote", "locked", "promoting", "timeline", "open"),
    *lines_of(100, "endpoint down", "endpoint down, on two channels", "endpoint up", "keeper did", "pgpool's primary"),
    *lines_of(2500, "streams"),
    *lines_of(5500, "keeper decided", "pgpool's return"),
]


def exchanged(lines: list[LogLine]) -> list[LogLine]:
    """Return the same lines with the two nodes' names exchanged."""
    other = {PRIMARY: STANDBY, STANDBY: PRIMARY}

    def exchange(text: str) -> str:
        return re.sub(r"\w+", lambda word: other.get(word[0], word[0]), text)

    return [LogLine(old.at, exchange(old.service), exchange(old.text)) for old in lines]


FAILOVER = exchanged(
    [
        *lines_of(60_000, "lost", "keeper observes a death", "keeper released", "locked", "timeline", "open"),
        *lines_of(75_000, "rewind", "streams"),
    ]
)


def test_a_switchover_is_read_in_order() -> None:
    timeline = timeline_reader.read_timeline(SPEC, SWITCHOVER)
    assert timeline
    assert (timeline.kind, timeline.former, timeline.primary) == ("switchover", PRIMARY, STANDBY)
    acts = [step.kind for step in timeline.steps]
    assert acts[0] is EventKind.ASKED
    assert acts.count(EventKind.ROUTE_DOWN) == 1, "HAProxy's two channels tell it once"
    assert [timeline.offset_ms(step) for step in timeline.steps][:3] == [0, 10, 20]
    assert (
        acts.index(EventKind.DEMOTED)
        < acts.index(EventKind.LOCKED)
        < acts.index(EventKind.PROMOTED)
        < acts.index(EventKind.STREAMING)
    )
    assert timeline.steps[-1].kind is EventKind.POOL_CHANGED


def test_order_of_the_lines_does_not_matter() -> None:
    shuffled = list(SWITCHOVER)
    Random(1).shuffle(shuffled)
    assert timeline_reader.read_timeline(SPEC, shuffled) == timeline_reader.read_timeline(SPEC, SWITCHOVER)


def test_only_the_last_change_is_read() -> None:
    """A failover of the former primary's successor: no step of the switchover before it is in the timeline."""
    timeline = timeline_reader.read_timeline(SPEC, [*SWITCHOVER, *FAILOVER])
    assert timeline
    assert (timeline.kind, timeline.former, timeline.primary) == ("failover", STANDBY, PRIMARY)
    assert {step.kind for step in timeline.steps} >= {
        EventKind.DIED,
        EventKind.RELEASED,
        EventKind.LOCKED,
        EventKind.REWOUND,
    }
    assert EventKind.ASKED not in {step.kind for step in timeline.steps}
    assert timeline.steps[0].kind is EventKind.DIED


def test_the_restart_of_a_standby_shortly_before_is_no_cause() -> None:
    restart = [line(-5000, OTHER, postgres("received fast shutdown request")), *lines_of(-5600, "lost")]
    timeline = timeline_reader.read_timeline(SPEC, [*restart, *SWITCHOVER])
    assert timeline
    assert timeline.steps[0].kind is EventKind.ASKED
    timeline = timeline_reader.read_timeline(
        SPEC, [line(55_000, OTHER, postgres("received fast shutdown request")), *FAILOVER]
    )
    assert timeline
    assert timeline.former == STANDBY
    assert timeline.steps[0].node == STANDBY


def test_the_timeline_ends_when_the_former_primary_is_long_back() -> None:
    later = [line(200_000, OTHER, postgres("received fast shutdown request"))]
    assert timeline_reader.read_timeline(SPEC, [*SWITCHOVER, *later]) == timeline_reader.read_timeline(SPEC, SWITCHOVER)


def test_a_promotion_without_a_known_cause_stands_alone() -> None:
    timeline = timeline_reader.read_timeline(SPEC, lines_of(0, "locked", "timeline", "open"))
    assert timeline
    assert (timeline.kind, timeline.former, timeline.primary) == ("failover", None, STANDBY)


@pytest.mark.parametrize("cases", [(), ("open", "every two seconds"), ("stopping", "streams", "endpoint up")])
def test_logs_without_a_role_change_give_no_timeline(cases: tuple[str, ...]) -> None:
    assert timeline_reader.read_timeline(SPEC, lines_of(0, *cases)) is None


def test_the_document_has_the_time_of_each_step() -> None:
    timeline = timeline_reader.read_timeline(SPEC, SWITCHOVER)
    assert timeline
    document = timeline_reader.document("c", timeline)
    steps = document["steps"]
    assert isinstance(steps, list)
    assert [step["offset_ms"] for step in steps] == sorted(step["offset_ms"] for step in steps)
    assert (document["former"], document["primary"]) == (PRIMARY, STANDBY)
    json.dumps(document)
