"""The balanced endpoint's Pgpool-II: is its view of the nodes Patroni's, and what makes it so?

Order matters. A wrong primary comes first, by a promotion, which ends every session and marks all other nodes down: a
session that survived could begin on one node, write on another and roll back nothing. Pgpool-II promotes only a node
that it has as up; where the true primary is down in its view, it is restarted. Only then are standbys touched.

A view that is right by the control port can still contradict itself (pool_connection_pool.c, new_connection): a
process that was connecting to a backend while that was detached marks it up afterwards, when the main backend was
chosen without it, and from then on every new session is refused. A detach makes Pgpool-II choose anew, and so does the
attach that follows.

Invariants: nothing on unknown, nothing without a primary that is open; never an attach or a detach of a standby while
the primary is wrong; only a node that has been fit for `attach_after_seconds` is attached; a view that is right gives
no decision.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Decision, Memory, Verb
from poolkeeper.model.observed_state import ObservedState, PoolNode
from poolkeeper.model.spec import ClusterSpec

CERTAIN = 2  # refusals in a row that show a contradiction: a single one may be of a failover that is under way
IN_VAIN = 20.0  # seconds of refusals after which choosing anew was of no use


def decide(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> tuple[Decision, ...]:
    """What to do about Pgpool's view now; the next look tells whether more is needed."""
    view, pool, primary = scene.store.value, scene.pool.value, scene.primary
    if view is None or view.paused or not pool or primary is None:
        return ()
    backends = {backend.name: backend for backend in pool}
    if primary not in backends or scene.is_dead(primary):
        return ()
    wrong = _correction(backends, primary)
    if wrong:
        return (wrong,)
    return tuple(_standbys(spec, scene, memory, backends, primary)) or tuple(_contradiction(scene, pool, primary))


def _correction(backends: dict[str, PoolNode], primary: str) -> Decision | None:
    """The one step that brings Pgpool's primary nearer to the truth; None if it is right."""
    true, claimed = backends[primary], [name for name, b in backends.items() if b.role == "primary" and b.is_up]
    if claimed == [primary]:
        return None
    if not true.is_up and not claimed:
        return Decision(Verb.ATTACH, primary, "it is the primary, and Pgpool-II has none", index=true.index)
    said = f"has {', '.join(claimed)} as primary" if claimed else "has no primary"
    if not true.is_up:  # a detached false primary would leave Pgpool looking for another one, deaf to an attach
        return Decision(Verb.RESTART, primary, f"Pgpool-II {said}, and the true one as down", index=true.index)
    return Decision(Verb.PROMOTE, primary, f"Pgpool-II {said}", index=true.index)


def _standbys(
    spec: ClusterSpec, scene: ObservedState, memory: Memory, backends: dict[str, PoolNode], primary: str
) -> Iterator[Decision]:
    for name, backend in backends.items():
        if name == primary or name not in {node.name for node in spec.nodes}:
            continue
        gone = _gone_because(scene, name)
        if backend.is_up and gone:
            yield Decision(Verb.DETACH, name, gone, index=backend.index)
        elif not backend.is_up and _is_steady(spec, scene, memory, name):
            cause = "it streams from the primary, and Pgpool-II has it as down"
            yield Decision(Verb.ATTACH, name, cause, index=backend.index)


def _contradiction(scene: ObservedState, pool: tuple[PoolNode, ...], primary: str) -> Iterator[Decision]:
    """A standby is detached, which costs only its own sessions; the primary cannot be, so there it is a restart."""
    found = scene.contradiction
    backend = next((b for b in pool if found and b.index == found.index), None)
    if found is None or backend is None or found.refusals < CERTAIN:
        return
    cause = f"Pgpool-II has {backend.name} as up, chose its main node without it, and so refuses every new session"
    if backend.name == primary or scene.at - found.since > IN_VAIN:
        yield Decision(Verb.RESTART, primary, cause, index=backend.index)
    elif backend.is_up:
        yield Decision(Verb.DETACH, backend.name, cause, index=backend.index)


def _gone_because(scene: ObservedState, name: str) -> str | None:
    """Dead, or no server that could answer a session; a late standby stays, for Pgpool balances around it."""
    member = scene.store.value.members.get(name) if scene.store.value else None
    if scene.is_dead(name):
        return "it is dead"
    if member is None:
        return "Patroni does not know it any more"
    return None if member.is_running else f"Patroni says {member.state}"


def _is_steady(spec: ClusterSpec, scene: ObservedState, memory: Memory, name: str) -> bool:
    """Fit now, and without a break for long enough."""
    since = memory.fit_since.get(name)
    if since is None or eligibility.ineligible_because(spec, scene, memory, name) is not None:
        return False
    return scene.at - since >= spec.keeper.attach_after_seconds
