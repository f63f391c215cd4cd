"""The order of a rolling restart, and the checks before each node's restart.

Invariant: one node is out at a time, and none is taken out while another one is; the primary is restarted last, after
it has become a standby.
"""

from __future__ import annotations

from poolkeeper.decide import preconditions
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.precondition import Precondition
from poolkeeper.model.spec import ClusterSpec


def order(spec: ClusterSpec, seen: Snapshot, node: str | None = None) -> tuple[str, ...]:
    """Return the nodes to restart, in order: the standbys as declared, then the leader; or `node` alone."""
    if node is not None:
        return (node,)
    leader = preconditions.agreed_leader(seen)
    names = [declared.name for declared in spec.nodes]
    return tuple(sorted(names, key=lambda name: name == leader))


def check(spec: ClusterSpec, seen: Snapshot, node: str | None) -> tuple[Precondition, ...]:
    """Return every precondition of a restart of PostgreSQL on this node; None: on each, one after the other."""
    return *preconditions.common(spec, seen), *preconditions.quorum_without(spec, seen, node)
