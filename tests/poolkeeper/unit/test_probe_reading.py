"""The probes' readings: an error becomes a failure, a frozen server costs its limit, and leftovers are recognized."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from poolkeeper.cluster.reading import failure_of, take
from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.probe import Failure, FailureKind, Reading
from poolkeeper.model.target import OwnCluster, Target
from poolkeeper.model.verdict import Evidence, Outcome
from poolkeeper.suite import test
from poolkeeper.suite.collect import workspace

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OPENING = 'app@127.0.0.1:1/app: connection failed: connection to server at "127.0.0.1", port 1 failed: '


@pytest.mark.parametrize(
    ("message", "code", "is_access"),
    [
        ('FATAL: password authentication failed for user "app"', "28P01", True),
        (
            'FATAL: SCRAM authentication failed DETAIL: pool_passwd file does not contain an entry for "x"',
            "28000",
            True,
        ),
        ('FATAL: database "nodb" does not exist', "3D000", True),
        ("FATAL: the database system is starting up", "57P03", False),
        ("FATAL: sorry, too many clients already", "53300", False),
        ("FATAL: unable to get session context", "08004", False),
    ],
)
def test_a_session_that_was_refused(message: str, code: str, is_access: bool) -> None:
    failure = failure_of(errors.ServerRefused(OPENING + message, code="08004"))
    assert (failure.kind, failure.code, failure.is_access) == (FailureKind.REFUSED, code, is_access)


def test_kinds_of_failure() -> None:
    assert failure_of(errors.Unreachable("gone")).kind is FailureKind.UNREACHABLE
    assert failure_of(errors.DeadlinePassed("late")).kind is FailureKind.UNREACHABLE
    assert failure_of(errors.ServerRefused("ambiguous commit", code="01000")).kind is FailureKind.AMBIGUOUS
    assert failure_of(errors.ServerRefused("read-only", code="25006")) == Failure(
        FailureKind.REFUSED, "25006", "read-only"
    )


def test_a_frozen_server_costs_its_limit() -> None:
    reading: Reading[object] = asyncio.run(take("somewhere", "a question", 0.05, asyncio.sleep(60)))
    assert reading.failure == Failure(FailureKind.UNREACHABLE, "", "no answer within 0.05 s")
    assert not reading.answered
    assert reading.evidence.seconds < 5


@pytest.mark.parametrize(("value", "failure"), [(None, None), (1, Failure(FailureKind.REFUSED, "", ""))])
def test_a_reading_is_one_or_the_other(value: int | None, failure: Failure | None) -> None:
    with pytest.raises(ValueError, match="either"):
        Reading(Evidence("", "", "", 0.0), value, failure)


def test_leftovers_are_ours_and_old() -> None:
    """The name and the comment identify leftovers; objects of another run or another program stay."""

    def comment(age: timedelta) -> str:
        text = workspace.creation("x", NOW - age).split("IS '")[1]
        return text.split("'")[0]

    old, young = comment(timedelta(hours=2)), comment(timedelta(minutes=59))
    ours = "poolkeeper_check_0123456789ab"
    found = [
        (ours, old),
        ("poolkeeper_check_ba9876543210", young),
        ("poolkeeper_check_000000000000", None),
        ("poolkeeper_check_111111111111", "kept for the audit"),
        ("poolkeeper_check_222222222222", old[:-3] + "x"),
        ("poolkeeper_check_333333333333", old[:-6]),
        ("poolkeeper_check_x; drop table y", old),
        (ours + "ff", old),
    ]
    assert workspace.stale(found, NOW) == (ours,)


@pytest.mark.parametrize(("own", "checks"), [(False, 20), (True, 30)])
def test_every_check_of_a_silent_target_is_unknown(own: bool, checks: int) -> None:
    """A target of closed ports: every check unknown, within a moment, and no word about a schema left behind."""
    closed = Dsn("127.0.0.1", 1, "nobody", "nowhere", "secret")
    nodes = dict.fromkeys(("n1", "n2", "n3"), closed)
    target = Target("closed", nodes, nodes, closed, closed, closed, "http://127.0.0.1:1", ("me", "secret"), timeout=2.0)
    direct = {"direct_rw": closed, "direct_ro": closed}
    target = replace(
        target, own=OwnCluster(dict.fromkeys(nodes, "127.255.255.254"), ("127.0.0.1", 1), 8, 1, direct) if own else None
    )
    said: list[str] = []
    began = time.perf_counter()
    suite = asyncio.run(test.run_suite(target, None, said.append, {"node_status.n1": "pass"}))
    assert [v.outcome for v in suite.verdicts] == [Outcome.UNKNOWN] * checks
    assert suite.outcome is Outcome.UNKNOWN
    assert time.perf_counter() - began < 10
    assert "node_status.n1: pass → unknown" in suite.changes
    assert not any("schema" in line for line in said)
    assert "secret" not in repr(target) + repr(suite)


def test_a_group_that_does_not_exist() -> None:
    nodes = {"n1": Dsn("127.0.0.1", 1, "u", "d")}
    target = Target("x", nodes, nodes, nodes["n1"], nodes["n1"], nodes["n1"], "http://127.0.0.1:1")
    with pytest.raises(ValueError, match="19"):
        asyncio.run(test.run_suite(target, frozenset({1, 19}), lambda _: None))
