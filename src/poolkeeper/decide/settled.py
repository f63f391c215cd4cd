"""The state that must be reached after a role change or a restart, and what is still missing from it.

Four sources are checked: PostgreSQL with Patroni, Pgpool-II, HAProxy, and keeper where it answers. Only the nodes that
take part count, so that a node that was out before delays no operation. Invariant: a source that does not answer counts
as missing, except keeper, which the cluster can do without.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from poolkeeper.decide import drift, preconditions
from poolkeeper.model import pool_node_states
from poolkeeper.model.decision import Verb
from poolkeeper.model.endpoint_keys import RW
from poolkeeper.model.observed import Snapshot
from poolkeeper.model.spec import ClusterSpec

# Pgpool-II answers a detach at once, and carries it out about a second later.
DETACHES_WITHIN = timedelta(seconds=5)
_OF_A_BACKEND = (Verb.ATTACH.value, Verb.DETACH.value)


def missing(spec: ClusterSpec, seen: Snapshot, primary: str, nodes: Sequence[str]) -> str | None:
    """Return the first fact that is still missing, as a sentence; None when `primary` leads and all others follow."""
    standbys = [name for name in nodes if name != primary]
    found = (
        _servers(spec, seen, primary, standbys),
        _pgpool(seen, primary, standbys),
        _detaching(seen, standbys),
        _endpoint(seen, primary, standbys),
    )
    return next((sentence for sentences in found for sentence in sentences), None)


def _servers(spec: ClusterSpec, seen: Snapshot, primary: str, standbys: Sequence[str]) -> Iterator[str]:
    if preconditions.agreed_leader(seen) != primary:
        yield preconditions.leader(seen).fact
        return
    for name in standbys:
        for precondition in (preconditions.streams(seen, name), preconditions.synchronous(spec, seen, name)):
            if precondition.forbids:
                yield f"{name}: {precondition.fact}"


def _pgpool(seen: Snapshot, primary: str, standbys: Sequence[str]) -> Iterator[str]:
    if seen.pgpool.value is None:
        yield f"Pgpool-II does not answer: {seen.pgpool.error}"
        return
    for name in (primary, *standbys):
        wanted = "primary" if name == primary else "standby"
        backend = seen.pgpool.value.node(name)
        if backend is None:
            yield f"Pgpool-II does not have {name}"
        elif backend.role != wanted or not pool_node_states.is_in_use(backend.status):
            yield f"Pgpool-II has {name} as {backend.role}, {backend.status}"


def _detaching(seen: Snapshot, standbys: Sequence[str]) -> Iterator[str]:
    """Find the nodes that keeper had detached a moment ago: Pgpool-II reports them as up until it has done that."""
    if seen.keeper.value is None:
        return
    last = {event.get("node"): event for event in seen.keeper.value.last if event.get("what") in _OF_A_BACKEND}
    now = datetime.fromisoformat(seen.at)
    for name in standbys:
        event = last.get(name, {})
        if event.get("what") == Verb.DETACH.value and now - datetime.fromisoformat(event["at"]) < DETACHES_WITHIN:
            yield f"keeper has just detached {name} from Pgpool-II"


def _endpoint(seen: Snapshot, primary: str, standbys: Sequence[str]) -> Iterator[str]:
    answer = seen.endpoints.get(RW)
    if answer is None or answer.value is None or answer.value.node != primary:
        yield f"the read-write port was answered by {answer.value.node if answer and answer.value else 'no node'}"
    for name in (primary, *standbys):
        wanted = "primary" if name == primary else "standby"
        role = drift.role_by_haproxy(seen, name)
        if role != wanted:
            yield f"HAProxy reports {role or 'nothing'} of {name}"
