"""May a node's data be thrown away and cloned anew?

Invariant: never the leader's, and never while another standby is out: the copy in place may be the second one of an
acknowledged commit.
"""

from __future__ import annotations

from poolkeeper.decide import preconditions as facts
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.model.verdict import Outcome


def check(spec: ClusterSpec, seen: Snapshot, node: str) -> tuple[Precondition, ...]:
    """Look at everything."""
    return (
        *facts.common(spec, seen),
        _is_standby(seen, node),
        _listens(seen, node),
        *facts.quorum_without(spec, seen, node),
    )


def _is_standby(seen: Snapshot, node: str) -> Precondition:
    name, leader = f"{node} is no leader", facts.agreed_leader(seen)
    if leader is None:
        return Precondition(name, Outcome.UNKNOWN, "there is no agreed leader")
    if node == leader:
        return Precondition(name, Outcome.FAIL, "it leads; `poolkeeper switchover` first")
    return Precondition(name, Outcome.PASS, f"{leader} leads")


def _listens(seen: Snapshot, node: str) -> Precondition:
    """Its own Patroni does the work, so it must answer."""
    answer = seen.patroni.get(node)
    if answer is None or answer.value is None:
        fact = f"it does not answer: {answer.error if answer else 'not asked'}"
        return Precondition(f"Patroni of {node}", Outcome.FAIL, fact)
    return Precondition(f"Patroni of {node}", Outcome.PASS, "it answers")
