"""The balanced endpoint's Pgpool-II: the actions that make its view of the nodes equal to Patroni's.

Order matters. A wrong primary comes first, by a promotion, which ends every session and marks all other nodes down. A
session that survived could begin on one node, write on another and roll back nothing. Pgpool-II promotes only a node
that it has as up. Where the true primary is down in its view, it is restarted. Only then are standbys touched.

A view that is right on the control port can still contradict itself (pool_connection_pool.c, new_connection). A process
that was connecting to a backend while that was detached marks it up afterwards, when the main backend was chosen
without it. From then on every new session is refused. A detach makes Pgpool-II choose its main backend again, and so
does the attach that follows.

Invariants: no action on an unknown view, none without a primary that accepts writes; never an attach or a detach of a
standby while the primary is wrong; only a node that has been eligible for `attach_after_seconds` is attached; a view
that is right gives no decision.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Decision, Memory, Verb
from poolkeeper.model.observed_state import ObservedState, PoolNode
from poolkeeper.model.spec import ClusterSpec

CERTAIN = 2  # refusals in a row that show a contradiction: a single one may come from a failover in progress
DETACH_LIMIT = 20.0  # seconds of refusals after which a detach has not helped


def decide(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> tuple[Decision, ...]:
    """Return the actions on Pgpool-II's view now; the next iteration finds whether more are needed."""
    view, pool, primary = observed.store.value, observed.pool.value, observed.primary
    if view is None or view.paused or not pool or primary is None:
        return ()
    backends = {backend.name: backend for backend in pool}
    if primary not in backends or observed.is_dead(primary):
        return ()
    wrong = _correction(backends, primary)
    if wrong:
        return (wrong,)
    return tuple(_standbys(spec, observed, memory, backends, primary)) or tuple(_contradiction(observed, pool, primary))


def _correction(backends: dict[str, PoolNode], primary: str) -> Decision | None:
    """Return the one step that brings Pgpool-II's primary nearer to the truth; None if it is right."""
    true, claimed = backends[primary], [name for name, b in backends.items() if b.role == "primary" and b.is_up]
    if claimed == [primary]:
        return None
    if not true.is_up and not claimed:
        return Decision(Verb.ATTACH, primary, "it is the primary, and Pgpool-II has none", index=true.index)
    found = f"has {', '.join(claimed)} as primary" if claimed else "has no primary"
    if not true.is_up:  # after a detach of the false primary Pgpool-II searches for another one and ignores an attach
        return Decision(Verb.RESTART, primary, f"Pgpool-II {found}, and the true one as down", index=true.index)
    return Decision(Verb.PROMOTE, primary, f"Pgpool-II {found}", index=true.index)


def _standbys(
    spec: ClusterSpec, observed: ObservedState, memory: Memory, backends: dict[str, PoolNode], primary: str
) -> Iterator[Decision]:
    for name, backend in backends.items():
        if name == primary or name not in {node.name for node in spec.nodes}:
            continue
        gone = _gone_because(observed, name)
        if backend.is_up and gone:
            yield Decision(Verb.DETACH, name, gone, index=backend.index)
        elif not backend.is_up and _is_attachable(spec, observed, memory, name):
            cause = "it streams from the primary, and Pgpool-II has it as down"
            yield Decision(Verb.ATTACH, name, cause, index=backend.index)


def _contradiction(observed: ObservedState, pool: tuple[PoolNode, ...], primary: str) -> Iterator[Decision]:
    """Detach a standby, which costs only its own sessions; the primary cannot be detached, so restart for it."""
    found = observed.contradiction
    backend = next((b for b in pool if found and b.index == found.index), None)
    if found is None or backend is None or found.refusals < CERTAIN:
        return
    cause = f"Pgpool-II has {backend.name} as up, chose its main node without it, and so refuses every new session"
    if backend.name == primary or observed.at - found.since > DETACH_LIMIT:
        yield Decision(Verb.RESTART, primary, cause, index=backend.index)
    elif backend.is_up:
        yield Decision(Verb.DETACH, backend.name, cause, index=backend.index)


def _gone_because(observed: ObservedState, name: str) -> str | None:
    """Return why a node cannot answer a session; None for a late standby: Pgpool-II balances around it."""
    member = observed.store.value.members.get(name) if observed.store.value else None
    if observed.is_dead(name):
        return "it is dead"
    if member is None:
        return "Patroni does not know it any more"
    return None if member.is_running else f"Patroni reports {member.state}"


def _is_attachable(spec: ClusterSpec, observed: ObservedState, memory: Memory, name: str) -> bool:
    """Return whether it is eligible now, and has been without a break for long enough."""
    since = memory.eligible_since.get(name)
    if since is None or eligibility.ineligible_because(spec, observed, memory, name) is not None:
        return False
    return observed.at - since >= spec.keeper.attach_after_seconds
