"""Rolling restart, new clone, maintenance mode, and the end of an operation: the checks, and their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.poolkeeper.unit import snapshots
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.decide import maintenance_checks, reinit_checks, restart_checks, settled
from poolkeeper.model import proxies
from poolkeeper.model.decision import Verb
from poolkeeper.model.observed import Seen, Snapshot
from poolkeeper.model.precondition import Precondition, allowed
from poolkeeper.model.verdict import Outcome
from poolkeeper.operations import connection_probe, events
from poolkeeper.operations.connection_probe import ReachedServer

HEALTHY = snapshots.healthy()
NODES = [node.name for node in SPEC.nodes]


def _out(node: str) -> Snapshot:
    return snapshots.edit_members(HEALTHY, {node: {"state": "stopped", "role": "replica"}})


def test_the_standbys_are_restarted_first() -> None:
    assert restart_checks.order(SPEC, HEALTHY) == (STANDBY, OTHER, PRIMARY)
    assert restart_checks.order(SPEC, snapshots.healthy(primary=STANDBY)) == (PRIMARY, OTHER, STANDBY)
    assert restart_checks.order(SPEC, HEALTHY, OTHER) == (OTHER,)


RESTARTS: dict[str, tuple[Snapshot, str | None, bool]] = {
    "all of a healthy cluster": (HEALTHY, None, True),
    "one standby": (HEALTHY, OTHER, True),
    "the primary alone": (HEALTHY, PRIMARY, True),
    "all, and a standby is out": (_out(OTHER), None, False),
    "the other standby is out": (_out(OTHER), STANDBY, False),
    "the primary, and a standby is out": (_out(OTHER), PRIMARY, False),
    "the one that is out": (_out(OTHER), OTHER, True),
    "the others' state is unknown": (snapshots.silence(HEALTHY, ("postgres", OTHER)), STANDBY, False),
}


@pytest.mark.parametrize("case", RESTARTS)
def test_a_restart_never_leaves_two_nodes_out(case: str) -> None:
    seen, node, may = RESTARTS[case]
    assert allowed(restart_checks.check(SPEC, seen, node)) is may


def test_two_nodes_can_be_restarted_with_a_warning() -> None:
    """With one standby, commits wait while it is out: that is a warning, and no reason to refuse."""
    spec = snapshots.spec_of(nodes=2)
    found = restart_checks.check(spec, snapshots.healthy(spec), None)
    assert allowed(found)
    assert [p.name for p in found if not p.holds] == ["writes"]


REINITS: dict[str, tuple[Snapshot, str, str]] = {
    "the leader": (HEALTHY, PRIMARY, f"{PRIMARY} is no leader"),
    "its Patroni is silent": (snapshots.silence(HEALTHY, ("patroni", OTHER)), OTHER, f"Patroni of {OTHER}"),
    "the other standby is out": (_out(STANDBY), OTHER, f"{STANDBY} streams"),
    "no node leads": (snapshots.silence(HEALTHY, ("postgres", PRIMARY)), OTHER, f"{OTHER} is no leader"),
}


@pytest.mark.parametrize("case", REINITS)
def test_new_clone_is_refused(case: str) -> None:
    seen, node, name = REINITS[case]
    forbidding = {p.name for p in reinit_checks.check(SPEC, seen, node) if p.forbids}
    assert name in forbidding


@pytest.mark.parametrize("seen", [HEALTHY, _out(OTHER)])
def test_a_standby_may_be_cloned_again(seen: Snapshot) -> None:
    assert allowed(reinit_checks.check(SPEC, seen, OTHER))


def failing(state: str, role: str = "replica", reason: str = "FATAL: no such file") -> Snapshot:
    """Return a snapshot in which the last standby's PostgreSQL does not answer, with its Patroni's report."""
    silent = snapshots.silence(HEALTHY, ("postgres", OTHER))
    seen = snapshots.edit_members(silent, {OTHER: {"state": state, "role": role}})
    return replace(seen, failed_starts={OTHER: reason} if reason else {})


@pytest.mark.parametrize("state", ["start failed", "crashed", "stopped", "starting"])
def test_a_standby_that_does_not_start_may_be_cloned_again(state: str) -> None:
    assert allowed(reinit_checks.check(SPEC, failing(state), OTHER))


@pytest.mark.parametrize(
    "seen",
    [
        failing("running"),
        failing("streaming"),
        failing("start failed", role="leader"),
        failing("start failed", reason=""),
        snapshots.silence(failing("start failed"), ("patroni", OTHER)),
    ],
    ids=["it runs", "it streams", "it leads", "its log has no reason", "its Patroni is silent"],
)
def test_a_silent_standby_may_be_a_second_primary(seen: Snapshot) -> None:
    """Both its own Patroni and its log must report that it does not start."""
    forbidding = {p.name for p in reinit_checks.check(SPEC, seen, OTHER) if p.forbids}
    assert "no second primary" in forbidding


MOVED = snapshots.healthy(primary=STANDBY)
UNSETTLED: dict[str, Callable[[], Snapshot]] = {
    "the former one leads": lambda: HEALTHY,
    "a standby does not stream": lambda: snapshots.edit_postgres(MOVED, STANDBY, senders=()),
    "it is not in the quorum": lambda: snapshots.edit_members(MOVED, {OTHER: {"role": "replica"}}),
    "Pgpool is silent": lambda: snapshots.silence(MOVED, ("pgpool", "")),
    "Pgpool has the former primary": lambda: replace(MOVED, pgpool=HEALTHY.pgpool),
    "Pgpool has a node down": lambda: snapshots.edit_backends(MOVED, {PRIMARY: {"status": "down"}}),
    "Pgpool lacks a node": lambda: snapshots.edit_backends(MOVED, {PRIMARY: None}),
    "the endpoint answers from the former primary": lambda: snapshots.edit_endpoint(MOVED, "rw", node=PRIMARY),
    "the endpoint does not answer": lambda: snapshots.silence(MOVED, ("endpoints", "rw")),
    "HAProxy is silent": lambda: snapshots.silence(MOVED, ("haproxy", "")),
    "HAProxy has two primaries": lambda: snapshots.edit_proxy(MOVED, proxies.PRIMARY, PRIMARY, "UP"),
}


@pytest.mark.parametrize("case", UNSETTLED)
def test_an_operation_has_not_ended(case: str) -> None:
    assert settled.missing(SPEC, UNSETTLED[case](), STANDBY, NODES)


def acted(*events: tuple[float, str, str]) -> Snapshot:
    """Return a settled snapshot in which keeper did this to the backends: (seconds before the snapshot, what, node)."""
    at = datetime.fromisoformat(MOVED.at)
    last = tuple(
        {"at": (at - timedelta(seconds=ago)).isoformat(), "event": "done", "what": what, "node": node}
        for ago, what, node in events
    )
    assert MOVED.keeper.value
    return replace(MOVED, keeper=Seen(replace(MOVED.keeper.value, last=last)))


DETACH, ATTACH = Verb.DETACH.value, Verb.ATTACH.value


@pytest.mark.parametrize(
    ("seen", "has_ended"),
    [
        (acted((0.5, DETACH, OTHER)), False),
        (acted((3.0, ATTACH, OTHER), (0.5, DETACH, OTHER)), False),
        (acted((3.0, DETACH, OTHER), (0.5, ATTACH, OTHER)), True),
        (acted((60.0, DETACH, OTHER)), True),
        (acted((0.5, DETACH, "another")), True),
    ],
)
def test_an_operation_waits_for_a_detach_that_pgpool_has_not_carried_out(seen: Snapshot, has_ended: bool) -> None:
    """Pgpool-II reports the node as up for about a second after keeper had it detached."""
    assert (settled.missing(SPEC, seen, STANDBY, NODES) is None) == has_ended


def test_an_operation_has_ended() -> None:
    assert settled.missing(SPEC, MOVED, STANDBY, NODES) is None


def test_a_node_that_was_out_before_is_not_waited_for() -> None:
    seen = snapshots.edit_backends(MOVED, {OTHER: {"status": "down"}})
    assert settled.missing(SPEC, seen, STANDBY, NODES)
    assert settled.missing(SPEC, seen, STANDBY, [PRIMARY, STANDBY]) is None


def test_maintenance_mode_is_on_when_every_node_reports_it() -> None:
    yes, no, silent = Seen(True), Seen(False), Seen[bool](error="refused")
    assert maintenance_checks.unaware(True, {"a": yes, "b": yes}) is None
    assert maintenance_checks.unaware(False, {"a": no, "b": no}) is None
    assert maintenance_checks.unaware(True, {"a": yes, "b": no, "c": silent}) == "b is not paused, c does not answer"
    assert maintenance_checks.unaware(False, {"a": yes}) == "a is paused"


def test_the_pause_is_the_longest_time_without_an_answer() -> None:
    reached = [ReachedServer(at, "a") for at in (1.0, 1.05, 3.0, 2.4, 3.1)]
    gap = connection_probe.longest_gap(reached)
    assert gap
    assert gap.began == 1.05
    assert gap.seconds == pytest.approx(1.35)
    assert connection_probe.longest_gap(reached[:1]) is None


def test_the_probe_waits_for_an_answer_of_the_new_primary() -> None:
    probe = connection_probe.Probe([ReachedServer(1.0, "a"), ReachedServer(2.0, "b")])
    assert probe.missing_answer("b", since=1.5) is None
    assert probe.missing_answer("b", since=2.0) == "the last answer came from b"
    assert connection_probe.Probe().missing_answer("b", since=0) == "the last answer came from no node"


@pytest.mark.parametrize("stamp", ["2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"])
def test_engine_time_stamps_are_read(stamp: str) -> None:
    at = events.read_time(stamp)
    assert at
    assert at.isoformat() == "2026-01-02T03:04:05.123456+00:00"
    assert events.read_time("") is None


def test_an_optional_precondition_forbids_nothing() -> None:
    for outcome in Outcome:
        assert allowed([Precondition("a", outcome, "", is_required=False)])
        assert allowed([Precondition("a", outcome, "")]) is (outcome is Outcome.PASS)
