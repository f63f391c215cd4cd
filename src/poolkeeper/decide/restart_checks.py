"""The order of a rolling restart, and what must hold before each node's turn.

Invariant: one node is out at a time, and none is taken out while another one is; the primary is restarted last, as the
standby that it has become.
"""

from __future__ import annotations

from poolkeeper.decide import preconditions as facts
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.spec import ClusterSpec


def order(spec: ClusterSpec, seen: Snapshot, node: str | None = None) -> tuple[str, ...]:
    """Whose turn it is, one after the other: the standbys as they are declared, then the leader; or that node alone."""
    if node is not None:
        return (node,)
    leader = facts.agreed_leader(seen)
    names = [declared.name for declared in spec.nodes]
    return tuple(sorted(names, key=lambda name: name == leader))


def check(spec: ClusterSpec, seen: Snapshot, node: str | None) -> tuple[Precondition, ...]:
    """May PostgreSQL on this node (None: on each, one after the other) be restarted now?"""
    return *facts.common(spec, seen), *facts.quorum_without(spec, seen, node)
