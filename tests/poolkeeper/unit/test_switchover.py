"""A switchover begins only if every precondition was checked and holds; each has an injected fault that forbids it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.poolkeeper.unit import snapshots
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.decide import preconditions, switchover_checks
from poolkeeper.model.observed import PatroniView, Seen, Snapshot, WalSender
from poolkeeper.model.precondition import allowed
from poolkeeper.model.spec_postgresql import Replication
from poolkeeper.model.verdict import Outcome

HEALTHY = snapshots.healthy()
FAIL, UNKNOWN = Outcome.FAIL, Outcome.UNKNOWN
MEMBERS = [member.name for member in SPEC.etcd.members]
NODES = [node.name for node in SPEC.nodes]


def _senders(**lags: int | None) -> Snapshot:
    senders = tuple(WalSender(name, "streaming", "quorum", lag) for name, lag in lags.items())
    return snapshots.edit_postgres(HEALTHY, PRIMARY, senders=senders)


def _views(**changes: Any) -> Snapshot:
    """Return a snapshot in which every Patroni reports something else about the cluster."""
    views = {name: replace(answer.value, **changes) for name, answer in HEALTHY.patroni.items() if answer.value}
    return replace(HEALTHY, patroni={name: Seen(view) for name, view in views.items()})


def _split() -> Snapshot:
    other = Seen(snapshots.patroni_view(NODES, STANDBY))
    return replace(HEALTHY, patroni={**HEALTHY.patroni, OTHER: other})


def _etcd(*ill: str, silent: tuple[str, ...] = ()) -> Snapshot:
    seen = HEALTHY
    for name in ill:
        seen = snapshots.edit_etcd(seen, name, healthy=False)
    return snapshots.silence(seen, *(("etcd", name) for name in silent))


def _stopped(node: str) -> Snapshot:
    """Return a snapshot of a standby whose container has ended: it does not stream, and it does not answer."""
    seen = snapshots.edit_containers(HEALTHY, {node: {"state": "exited"}})
    seen = snapshots.silence(seen, ("postgres", node), ("patroni", node))
    left = [name for name in NODES if name not in (PRIMARY, node)]
    return snapshots.edit_postgres(seen, PRIMARY, senders=tuple(WalSender(n, "streaming", "quorum", 0) for n in left))


# Name: the injected fault, the requested standby, the precondition that must forbid, and its outcome.
FAULTS: dict[str, tuple[Snapshot, str | None, str, Outcome]] = {
    "no Patroni answers": (
        snapshots.silence(HEALTHY, *(("patroni", name) for name in NODES)), None, "leader", UNKNOWN,
    ),
    "two leaders": (_split(), None, "leader", FAIL),
    "no node leads": (_views(members=snapshots.patroni_view(NODES, "").members), None, "leader", FAIL),
    "the leader is in recovery": (snapshots.edit_postgres(HEALTHY, PRIMARY, in_recovery=True), None, "leader", FAIL),
    "the leader's PostgreSQL is silent": (snapshots.silence(HEALTHY, ("postgres", PRIMARY)), None, "leader", UNKNOWN),
    "the leader's Patroni is silent": (snapshots.silence(HEALTHY, ("patroni", PRIMARY)), None, "leader", UNKNOWN),
    "a second primary": (
        snapshots.edit_postgres(HEALTHY, OTHER, in_recovery=False), None, "no second primary", FAIL,
    ),
    "a node that might be one": (
        snapshots.silence(HEALTHY, ("postgres", OTHER)), None, "no second primary", UNKNOWN,
    ),
    "a frozen node": (
        snapshots.silence(snapshots.edit_containers(HEALTHY, {OTHER: {"state": "paused"}}), ("postgres", OTHER)),
        STANDBY, "no second primary", UNKNOWN,
    ),
    "maintenance mode": (_views(paused=True), None, "no maintenance mode", FAIL),
    "etcd has no quorum": (_etcd(*MEMBERS[:2]), None, "etcd has its quorum", FAIL),
    "etcd is silent": (_etcd(silent=tuple(MEMBERS[:2])), None, "etcd has its quorum", UNKNOWN),
    "HAProxy is silent": (snapshots.silence(HEALTHY, ("haproxy", "")), None, "the endpoint", UNKNOWN),
    "the endpoint does not answer": (snapshots.silence(HEALTHY, ("endpoints", "rw")), None, "the endpoint", FAIL),
    "the endpoint leads elsewhere": (snapshots.edit_endpoint(HEALTHY, "rw", node=OTHER), None, "the endpoint", FAIL),
    "the named one leads": (HEALTHY, PRIMARY, "candidate", FAIL),
    "the named one has stopped": (_stopped(OTHER), OTHER, f"{OTHER} streams", FAIL),
    "it does not stream": (_senders(**{STANDBY: 0}), OTHER, f"{OTHER} streams", FAIL),
    "Patroni does not call it streaming": (
        snapshots.edit_members(HEALTHY, {OTHER: {"state": "running"}}), OTHER, f"{OTHER} streams", FAIL,
    ),
    "it is on another timeline": (
        snapshots.edit_postgres(HEALTHY, OTHER, timeline=7), OTHER, f"{OTHER} streams", FAIL,
    ),
    "it does not answer itself": (
        snapshots.silence(HEALTHY, ("postgres", OTHER)), OTHER, f"{OTHER} streams", UNKNOWN,
    ),
    "it is too far behind": (
        _senders(**{STANDBY: 0, OTHER: SPEC.patroni.maximum_lag_on_failover + 1}), OTHER, f"lag of {OTHER}", FAIL,
    ),
    "its lag is unknown": (_senders(**{STANDBY: 0, OTHER: None}), OTHER, f"lag of {OTHER}", UNKNOWN),
    "it is not in the quorum": (
        snapshots.edit_members(HEALTHY, {OTHER: {"role": "replica"}}), OTHER, f"{OTHER} is in the quorum", FAIL,
    ),
    "no standby is eligible": (snapshots.edit_postgres(HEALTHY, PRIMARY, senders=()), None, "candidate", FAIL),
    "no standby's lag is known": (_senders(**{STANDBY: None, OTHER: None}), None, "candidate", UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_an_injected_fault_forbids(case: str) -> None:
    """A precondition finds the fault, and the switchover is not allowed."""
    seen, to, name, outcome = FAULTS[case]
    verdict = switchover_checks.check(SPEC, seen, to)
    assert not verdict.is_allowed
    assert {p.name: p.outcome for p in verdict.preconditions}[name] is outcome
    assert name in preconditions.lines(verdict.preconditions)


@pytest.mark.parametrize("to", [None, STANDBY, OTHER])
def test_a_healthy_cluster_may_switch_over(to: str | None) -> None:
    verdict = switchover_checks.check(SPEC, HEALTHY, to)
    assert verdict.is_allowed
    assert (verdict.leader, verdict.candidate) == (PRIMARY, to or STANDBY)
    assert all(precondition.holds for precondition in verdict.preconditions)


@pytest.mark.parametrize("source", snapshots.sources(SPEC))
def test_silence_is_never_a_fact(source: snapshots.Source) -> None:
    """Silence of the candidate's or the leader's own sources forbids; silence of any other source does not."""
    verdict = switchover_checks.check(SPEC, snapshots.silence(HEALTHY, source), STANDBY)
    needed = {
        ("haproxy", ""), ("endpoints", "rw"), ("patroni", PRIMARY), *(("postgres", node) for node in NODES),
    }  # fmt: skip
    assert verdict.is_allowed is (source not in needed)


def test_a_stopped_standby_does_not_forbid_the_other() -> None:
    """The engine reports that it does not run, so its silence cannot hide a second primary."""
    verdict = switchover_checks.check(SPEC, _stopped(OTHER))
    assert verdict.is_allowed
    assert verdict.candidate == STANDBY


def test_the_standby_with_the_least_lag_is_expected() -> None:
    assert switchover_checks.choose(SPEC, _senders(**{STANDBY: 100, OTHER: 99})) == OTHER
    assert switchover_checks.choose(SPEC, _senders(**{STANDBY: 100, OTHER: None})) == STANDBY


@pytest.mark.parametrize("change", [None, {"state": "exited"}, {"health": "unhealthy"}])
def test_an_absent_keeper_only_warns(change: dict[str, str] | None) -> None:
    seen = snapshots.edit_containers(HEALTHY, {SPEC.keeper.service: change})
    verdict = switchover_checks.check(SPEC, seen)
    assert verdict.is_allowed
    assert [p.name for p in verdict.preconditions if not p.holds] == ["keeper"]


def test_an_asynchronous_cluster_needs_no_quorum_member() -> None:
    spec = SPEC.model_copy(update={"replication": Replication(synchronous_mode="off")})
    seen = snapshots.edit_members(snapshots.healthy(spec), {STANDBY: {"role": "replica"}, OTHER: {"role": "replica"}})
    assert switchover_checks.check(spec, seen, OTHER).is_allowed


def test_a_leader_is_agreed_only_if_its_own_patroni_reports_it() -> None:
    assert preconditions.agreed_leader(HEALTHY) == PRIMARY
    assert preconditions.agreed_leader(_split()) is None
    unknown = replace(HEALTHY, patroni={STANDBY: Seen(PatroniView(()))})
    assert preconditions.agreed_leader(unknown) is None
    assert not allowed([preconditions.leader(unknown)])
