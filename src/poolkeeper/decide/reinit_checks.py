"""Checks before a node's data is discarded and cloned again.

Invariant: never the leader's data, and never while another standby is out: the present copy may be the second one of
an acknowledged commit.
"""

from __future__ import annotations

from poolkeeper.decide import preconditions
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome


def check(spec: ClusterSpec, seen: Snapshot, node: str) -> tuple[Precondition, ...]:
    """Return every precondition of `reinit` on this node."""
    return (
        *preconditions.common(spec, seen),
        _is_standby(seen, node),
        _patroni_answers(seen, node),
        *preconditions.quorum_without(spec, seen, node),
    )


def _is_standby(seen: Snapshot, node: str) -> Precondition:
    name, leader = f"{node} is no leader", preconditions.agreed_leader(seen)
    if leader is None:
        return Precondition(name, Outcome.UNKNOWN, "there is no agreed leader")
    if node == leader:
        return Precondition(name, Outcome.FAIL, "it leads; run `poolkeeper switchover` first")
    return Precondition(name, Outcome.PASS, f"{leader} leads")


def _patroni_answers(seen: Snapshot, node: str) -> Precondition:
    """Check that its own Patroni, which does the work, answers."""
    answer = seen.patroni.get(node)
    if answer is None or answer.value is None:
        fact = f"it does not answer: {answer.error if answer else 'not asked'}"
        return Precondition(f"Patroni of {node}", Outcome.FAIL, fact)
    return Precondition(f"Patroni of {node}", Outcome.PASS, "it answers")
