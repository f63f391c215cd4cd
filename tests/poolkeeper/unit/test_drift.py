"""The sources side by side: each row shows their reports, and every disagreement is found once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.decide import drift
from poolkeeper.model import proxies
from poolkeeper.model.assessment import NodeRow
from poolkeeper.model.observed import PatroniView, Seen, Snapshot

HEALTHY = snapshots.healthy()
NAMES = [node.name for node in SPEC.nodes]
SWITCHED = snapshots.healthy(primary=STANDBY)


def _sentences(seen: Snapshot) -> list[str]:
    return [f"{finding.subject}: {finding.message}" for finding in drift.disagreements(SPEC, seen)]


def _row(seen: Snapshot, node: str) -> NodeRow:
    return drift.node_row(seen, node)


def test_the_rows_of_a_healthy_cluster() -> None:
    """Each column shows the report of one source."""
    assert _row(HEALTHY, PRIMARY) == NodeRow(
        node=PRIMARY,
        container="running",
        postgres="primary",
        patroni="leader, running",
        timeline="1",
        lag="-",
        slot="-",
        pgpool="primary, up",
        haproxy="primary",
        drift=False,
    )
    assert _row(HEALTHY, OTHER) == NodeRow(
        node=OTHER,
        container="running",
        postgres="standby",
        patroni="quorum_standby, streaming",
        timeline="1",
        lag="0",
        slot="active",
        pgpool="standby, up",
        haproxy="standby",
        drift=False,
    )


def test_a_row_without_any_answer_is_question_marks() -> None:
    """Without any answer a row shows no fact and no drift."""
    row = _row(Snapshot(at=""), PRIMARY)
    said = (row.container, row.postgres, row.patroni, row.timeline, row.lag, row.slot, row.pgpool, row.haproxy)
    assert set(said) == {"?"}
    assert not row.drift


@pytest.mark.parametrize(
    ("edit", "column", "shown"),
    [
        (lambda s: snapshots.edit_containers(s, {OTHER: None}), "container", "missing"),
        (lambda s: replace(s, containers=Seen({})), "container", "missing"),
        (lambda s: snapshots.silence(s, ("containers", "")), "container", "?"),
        (lambda s: snapshots.edit_containers(s, {OTHER: {"state": "exited"}}), "container", "exited"),
        (lambda s: snapshots.edit_members(s, {OTHER: {"lag_bytes": None}}), "lag", "?"),
        (lambda s: snapshots.edit_members(s, {OTHER: {"lag_bytes": 7}}), "lag", "7"),
        (lambda s: snapshots.edit_members(s, {OTHER: None}), "patroni", "?"),
        (lambda s: snapshots.edit_postgres(s, PRIMARY, slots=()), "slot", "missing"),
        (lambda s: snapshots.silence(s, ("postgres", PRIMARY)), "slot", "?"),
        (lambda s: snapshots.edit_backends(s, {OTHER: {"status": "down"}}), "pgpool", "standby, down"),
        (lambda s: snapshots.edit_backends(s, {OTHER: None}), "pgpool", "?"),
        (lambda s: snapshots.edit_proxy(s, proxies.PRIMARY, OTHER, "UP"), "haproxy", "both"),
        (lambda s: snapshots.edit_proxy(s, proxies.STANDBYS, OTHER, None), "haproxy", "out"),
    ],
)
def test_a_row_shows_each_report(edit: Callable[[Snapshot], Snapshot], column: str, shown: str) -> None:
    """A changed report about a standby appears in its column."""
    assert getattr(_row(edit(HEALTHY), OTHER), column) == shown


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (snapshots.edit_members(HEALTHY, {OTHER: None}), f"{OTHER}: Patroni does not know it"),
        (
            snapshots.edit_members(HEALTHY, {PRIMARY: {"role": "replica"}}),
            f"{PRIMARY}: PostgreSQL reports primary, Patroni reports replica",
        ),
        (
            snapshots.edit_postgres(HEALTHY, OTHER, in_recovery=False),
            f"{OTHER}: PostgreSQL reports primary, Patroni reports quorum_standby",
        ),
        (
            snapshots.edit_backends(HEALTHY, {PRIMARY: {"role": "standby"}}),
            f"{PRIMARY}: PostgreSQL reports primary, Pgpool-II reports standby",
        ),
        (
            snapshots.edit_proxy(HEALTHY, proxies.PRIMARY, OTHER, "UP"),
            f"{OTHER}: PostgreSQL reports standby, HAProxy reports both",
        ),
        (
            replace(HEALTHY, patroni={**HEALTHY.patroni, OTHER: Seen(snapshots.patroni_view(NAMES, OTHER))}),
            f"patroni: its members name different leaders: {PRIMARY}, {OTHER}",
        ),
        (
            replace(HEALTHY, patroni={**HEALTHY.patroni, OTHER: Seen(PatroniView(()))}),
            f"patroni: its members name different leaders: None, {PRIMARY}",
        ),
    ],
)
def test_a_disagreement_is_found(seen: Snapshot, sentence: str) -> None:
    """Two sources answered, and report different roles of one node."""
    assert sentence in _sentences(seen)


def test_a_switchover_that_the_others_missed_is_drift_on_both_nodes() -> None:
    """Pgpool-II and HAProxy still have the old primary: both are named for each of the two nodes."""
    seen = replace(SWITCHED, pgpool=HEALTHY.pgpool, haproxy=HEALTHY.haproxy)
    assert _sentences(seen) == [
        f"{PRIMARY}: PostgreSQL reports standby, Pgpool-II reports primary",
        f"{PRIMARY}: PostgreSQL reports standby, HAProxy reports primary",
        f"{STANDBY}: PostgreSQL reports primary, Pgpool-II reports standby",
        f"{STANDBY}: PostgreSQL reports primary, HAProxy reports standby",
    ]
    assert [_row(seen, name).drift for name in (PRIMARY, STANDBY, OTHER)] == [True, True, False]


def test_a_standby_that_is_down_everywhere_is_no_disagreement() -> None:
    """HAProxy takes out a node that does not answer, which agrees with the others."""
    seen = snapshots.silence(HEALTHY, ("postgres", OTHER))
    seen = snapshots.edit_proxy(seen, proxies.STANDBYS, OTHER, "DOWN")
    assert not _sentences(seen)
    assert not _row(seen, OTHER).drift


@given(st.sets(st.sampled_from(snapshots.sources(SPEC))))
def test_silence_is_no_disagreement(silent: set[snapshots.Source]) -> None:
    """The sources that answer agree, whichever are silent."""
    seen = snapshots.silence(HEALTHY, *silent)
    assert not _sentences(seen)
    assert not any(_row(seen, name).drift for name in NAMES)


def test_the_leaders_own_view_comes_first() -> None:
    """A Patroni that is behind does not count while the leader's own answers."""
    stale = Seen(snapshots.patroni_view(NAMES, PRIMARY))
    seen = replace(HEALTHY, patroni={PRIMARY: stale, STANDBY: Seen(snapshots.patroni_view(NAMES, STANDBY))})
    seen = snapshots.silence(seen, ("patroni", PRIMARY))
    view = drift.patroni_view(replace(seen, patroni={OTHER: stale, **seen.patroni}))
    assert view
    assert view.leader == STANDBY


def test_two_primaries_are_none() -> None:
    """There is no agreed primary while two nodes report that they are."""
    assert drift.primary_by_postgres(snapshots.edit_postgres(HEALTHY, OTHER, in_recovery=False)) is None
    assert drift.primary_by_postgres(HEALTHY) == PRIMARY
