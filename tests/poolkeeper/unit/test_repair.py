"""Repairs of Pgpool-II's view: never on unknown, never an ineligible node, never beside a wrong primary, only once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.decide import repair
from poolkeeper.model.observed import PatroniView, PgpoolNode, Seen, Snapshot, WalSender
from poolkeeper.model.plan import Action, PlanStep

HEALTHY = snapshots.healthy()
NAMES = [node.name for node in SPEC.nodes]
POOL = SPEC.endpoints.balanced.service


def _down(*names: str) -> Snapshot:
    return snapshots.edit_backends(HEALTHY, {name: {"status": "down"} for name in names})


def _did(step: PlanStep | None) -> tuple[Action, tuple[str, ...]] | None:
    return (step.action, step.services) if step else None


ATTACH, RESTART = Action.ATTACH, (Action.RESTART, (POOL,))
STALE = replace(snapshots.healthy(primary=STANDBY), pgpool=_down(OTHER).pgpool)  # pgpool still has the old primary
NO_LEADER = Seen(PatroniView(snapshots.patroni_view(NAMES, "").members))

CASES: dict[str, tuple[Snapshot, tuple[Action, tuple[str, ...]] | None]] = {
    "all is well": (HEALTHY, None),
    "an eligible standby is down": (_down(OTHER), (ATTACH, (OTHER,))),
    "both are": (_down(OTHER, STANDBY), (ATTACH, (STANDBY, OTHER))),
    "it waits for its first session": (snapshots.edit_backends(HEALTHY, {OTHER: {"status": "waiting"}}), None),
    "the primary itself is down": (_down(PRIMARY), (ATTACH, (PRIMARY,))),
    "it does not stream": (snapshots.edit_postgres(_down(OTHER), PRIMARY, senders=()), None),
    "it catches up": (
        snapshots.edit_postgres(_down(OTHER), PRIMARY, senders=(WalSender(OTHER, "catchup", "async", 9),)),
        None,
    ),
    "Patroni does not call it streaming": (snapshots.edit_members(_down(OTHER), {OTHER: {"state": "starting"}}), None),
    "Patroni does not know it": (snapshots.edit_members(_down(OTHER), {OTHER: None}), None),
    "it is on another timeline": (snapshots.edit_postgres(_down(OTHER), OTHER, timeline=2), None),
    "it is silent": (snapshots.silence(_down(OTHER), ("postgres", OTHER)), None),
    "Pgpool has the old primary": (STALE, RESTART),
    "Pgpool has no primary": (snapshots.edit_backends(HEALTHY, {PRIMARY: {"role": "standby"}}), RESTART),
    "Pgpool has two primaries": (snapshots.edit_backends(HEALTHY, {OTHER: {"role": "primary"}}), RESTART),
    "Pgpool lacks the primary": (snapshots.edit_backends(HEALTHY, {PRIMARY: None}), RESTART),
    "Pgpool is silent": (snapshots.silence(HEALTHY, ("pgpool", "")), RESTART),
    "no node is primary": (snapshots.edit_postgres(_down(OTHER), PRIMARY, in_recovery=True), None),
    "two are primary": (snapshots.edit_postgres(STALE, PRIMARY, in_recovery=False), None),
    "no Patroni answers": (snapshots.silence(STALE, *(("patroni", name) for name in NAMES)), None),
    "Patroni has no leader": (replace(STALE, patroni=dict.fromkeys(NAMES, NO_LEADER)), None),
    "Patroni names another leader": (replace(STALE, patroni=HEALTHY.patroni), None),
    "one Patroni names another leader": (
        replace(STALE, patroni={**STALE.patroni, OTHER: HEALTHY.patroni[OTHER]}),
        None,
    ),
}


@pytest.mark.parametrize(("seen", "wanted"), CASES.values(), ids=CASES.keys())
def test_the_next_repair(seen: Snapshot, wanted: tuple[Action, tuple[str, ...]] | None) -> None:
    """Each view, and its repair or none."""
    assert _did(repair.pgpool_repair(SPEC, seen)) == wanted


def test_a_backend_that_is_not_declared_is_not_attached() -> None:
    """A foreign backend has no index here, so it cannot be attached; it stays unchanged."""
    seen = snapshots.edit_postgres(_down(OTHER), PRIMARY, senders=tuple(_senders([STANDBY, "stranger"])))
    assert seen.pgpool.value
    stranger = PgpoolNode(3, "stranger", "down", "up", "standby", "standby", 0)
    view = replace(seen.pgpool.value, nodes=(*seen.pgpool.value.nodes, stranger))
    assert repair.pgpool_repair(SPEC, replace(seen, pgpool=Seen(view))) is None


def _senders(names: list[str]) -> list[WalSender]:
    return [WalSender(name, "streaming", "quorum", 0) for name in names]


@st.composite
def worlds(draw: st.DrawFn) -> Snapshot:
    """Draw a snapshot: each source draws its own report, so that they agree or not, and some are silent."""
    names = st.sampled_from(NAMES)
    subsets = st.sets(names)
    seen = snapshots.healthy(primary=draw(names))
    primaries = draw(st.one_of(st.sets(names, min_size=1, max_size=1), subsets))
    streaming = _senders(draw(st.permutations(sorted(draw(subsets)))))
    for name in NAMES:
        seen = snapshots.edit_postgres(
            seen,
            name,
            in_recovery=name not in primaries,
            timeline=draw(st.sampled_from([1, 1, 1, 2])),
            senders=tuple(streaming) if name in primaries else (),
        )
    leaders = draw(
        st.one_of(st.lists(st.sampled_from([*NAMES, ""]), min_size=3, max_size=3), names.map(lambda n: [n] * 3))
    )
    views = (snapshots.patroni_view(NAMES, leader) for leader in leaders)
    seen = replace(seen, patroni={name: Seen(view) for name, view in zip(NAMES, views, strict=True)})
    for name in draw(subsets):
        seen = snapshots.edit_members(seen, {name: draw(st.sampled_from([None, {"state": "starting"}]))})
    for name in NAMES:
        words = {
            "role": draw(st.sampled_from(["primary" if name in primaries else "standby", "primary", "standby"])),
            "status": draw(st.sampled_from(["up", "down", "waiting", "quarantine"])),
        }
        seen = snapshots.edit_backends(seen, {name: words})
    silent = draw(st.sets(st.sampled_from(snapshots.sources(SPEC)), max_size=3))
    return snapshots.silence(seen, *silent)


def _truth(seen: Snapshot) -> str | None:
    """The primary, where PostgreSQL and every Patroni that answers agree; written independently of the code."""
    primaries = {name for name, answer in seen.postgres.items() if answer.value and not answer.value.in_recovery}
    leaders = {answer.value.leader for answer in seen.patroni.values() if answer.value}
    return next(iter(primaries)) if len(primaries) == 1 and primaries == leaders else None


@given(worlds())
def test_nothing_is_done_without_an_agreed_primary(seen: Snapshot) -> None:
    """An unknown primary never leads to a repair."""
    if _truth(seen) is None:
        assert repair.pgpool_repair(SPEC, seen) is None


@given(worlds())
def test_only_eligible_nodes_are_attached_and_only_beside_the_right_primary(seen: Snapshot) -> None:
    """Before an attach Pgpool-II has the right primary, and each attached node streams from it on its timeline."""
    step = repair.pgpool_repair(SPEC, seen)
    if step is None or step.action is not Action.ATTACH:
        return
    primary, pool = _truth(seen), seen.pgpool.value
    assert primary
    assert pool
    assert {node.hostname for node in pool.nodes if node.role == "primary"} == {primary}
    server = seen.postgres[primary].value
    assert server
    for name in set(step.services) - {primary}:
        own = seen.postgres[name].value
        assert own
        assert own.in_recovery
        assert own.timeline == server.timeline
        assert (name, "streaming") in {(sender.application, sender.state) for sender in server.senders}
        for answer in seen.patroni.values():
            member = answer.value.member(name) if answer.value else None
            assert not answer.value or (member and member.state == "streaming")


@given(worlds())
def test_one_repair_is_enough(seen: Snapshot) -> None:
    """After a repair, the next check finds no other repair."""
    step = repair.pgpool_repair(SPEC, seen)
    if step is None:
        return
    primary = _truth(seen)
    assert primary
    if step.action is Action.RESTART:
        pool = snapshots.healthy(primary=primary).pgpool
        after = replace(seen, pgpool=pool)
    else:
        after = snapshots.edit_backends(seen, {name: {"status": "up"} for name in step.services})
    assert repair.pgpool_repair(SPEC, after) is None
