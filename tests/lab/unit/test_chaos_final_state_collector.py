"""The collection of the final state: timelines, slots and drift of a snapshot, and the fields that stay unknown."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.poolkeeper.unit import snapshots

from poolkeeper.cluster import snapshot
from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model.observed import Seen, Slot, Snapshot
from poolkeeper.model.verdict import Outcome, Verdict
from poolkeeper.suite import test
from poolkeeper_lab.chaos.checkers import final_state_checker
from poolkeeper_lab.chaos.history import final_state
from poolkeeper_lab.chaos.history.final_state import FinalState
from poolkeeper_lab.chaos.run import final_state_collector

NODES = tuple(node.name for node in snapshots.SPEC.nodes)


def edited(seen: Snapshot, node: str, slot: Slot) -> Snapshot:
    """Return a snapshot in which a node has one more slot."""
    server = seen.postgres[node].value
    assert server is not None
    changed = Seen(replace(server, slots=(*server.slots, slot)))
    return replace(seen, postgres={**seen.postgres, node: changed})


def test_a_healthy_cluster_has_no_orphaned_slot_and_no_drift() -> None:
    seen = snapshots.healthy()
    assert final_state_collector.orphaned(seen, NODES) == ()
    assert final_state_collector.drift(snapshots.SPEC, seen) == ()
    assert len(set(final_state_collector.timelines(seen, NODES).values())) == 1
    assert None not in final_state_collector.timelines(seen, NODES).values()


def test_a_slot_without_a_node_is_orphaned_and_a_nodes_slot_is_not() -> None:
    seen = edited(snapshots.healthy(), NODES[1], Slot("left_over", "physical", False, 9))
    assert final_state_collector.orphaned(seen, NODES) == (f"left_over on {NODES[1]}",)
    seen = edited(snapshots.healthy(), NODES[1], Slot("my_node_1", "physical", False, 9))
    assert final_state_collector.orphaned(seen, NODES) == (f"my_node_1 on {NODES[1]}",)
    assert final_state_collector.slot_of("My-node.1") == "my_node_1"


def test_a_node_that_does_not_answer_is_unknown() -> None:
    seen = snapshots.healthy()
    silent = replace(seen, postgres={**seen.postgres, NODES[0]: Seen(error="refused")})
    assert final_state_collector.orphaned(silent, NODES) is None
    assert final_state_collector.timelines(silent, NODES)[NODES[0]] is None


def test_a_failed_query_is_reported() -> None:
    said: list[str] = []

    async def refused(node: str) -> int:
        if node == NODES[0]:
            raise errors.Unreachable("gone")
        return 0

    found = asyncio.run(final_state_collector._of_each(NODES, refused, "the pages of", said.append))
    assert found == {NODES[0]: None, **dict.fromkeys(NODES[1:], 0)}
    assert said == [f"the pages of {NODES[0]} could not be checked: gone"]


def test_an_unhealthy_cluster_has_its_drift_and_the_rest_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = snapshots.healthy()
    server = healthy.postgres[NODES[1]].value
    assert server is not None
    split = {**healthy.postgres, NODES[1]: Seen(replace(server, timeline=99))}

    async def observe(_: object) -> Snapshot:
        return replace(healthy, postgres=split)

    monkeypatch.setattr(snapshot, "take_snapshot", observe)
    state = asyncio.run(final_state_collector.collect_unhealthy(Cluster(snapshots.SPEC, secrets={}), 61.0))
    assert any("timeline 99" in text for text in state.drift or ())
    assert (state.rows, state.suite, state.heal_seconds) == (None, None, 61.0)
    assert final_state_checker.check(state).names("drift")


def test_each_check_of_the_suite_that_did_not_pass_is_kept_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    good = Verdict("node_status.pg_node1", 1, "pg_node1", Outcome.PASS, "up")
    bad = Verdict("load_balancing.spread", 7, "spread", Outcome.FAIL, "one standby answered all")
    said: list[str] = []

    async def run_suite(*_: object) -> SimpleNamespace:
        return SimpleNamespace(verdicts=(good, bad), outcome=Outcome.FAIL)

    monkeypatch.setattr(test, "run_suite", run_suite)
    monkeypatch.setattr(test, "own_target", lambda _: None)
    outcome, failed = asyncio.run(final_state_collector._suite(Cluster(snapshots.SPEC, secrets={}), said.append))
    assert (outcome, failed) == ("fail", ("load_balancing.spread: fail: one standby answered all",))
    assert said == [f"the validation suite: {failed[0]}"]
    for suite in ("fail", "unknown"):
        state = FinalState(suite=suite, suite_complaints=failed)
        assert final_state.of_document(json.loads(json.dumps(final_state.document(state)))) == state
        finding = final_state_checker.check(state)
        texts = [*(anomaly.text for anomaly in finding.anomalies), *finding.unknowns]
        assert any(text.endswith(f": {failed[0]}") for text in texts)
