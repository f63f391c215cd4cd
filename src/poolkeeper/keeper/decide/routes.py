"""HAProxy's inner ports: what its own checks will find in a second or three, told to it now.

Invariant: a decision here only says what a check of HAProxy would say itself, so a keeper that is absent, late or wrong
for a moment leaves nothing behind. The read-only endpoint's closures alone last until they are lifted: a node that holds
the lease, or is known to be too old, serves no reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Decision, Memory, Verb
from poolkeeper.model.observed_state import ObservedState, Route
from poolkeeper.model.proxies import PRIMARY, STANDBYS
from poolkeeper.model.spec import ClusterSpec


def decide(spec: ClusterSpec, scene: ObservedState, memory: Memory) -> tuple[Decision, ...]:
    """Every route that is not where Patroni's word puts it."""
    view, routes = scene.store.value, scene.routes.value
    if view is None or view.paused or routes is None:
        return ()
    known = {node.name for node in spec.nodes}
    return tuple(
        decision
        for route in routes
        if route.node in known
        for decision in (_primary(scene, route) if route.proxy == PRIMARY else _reads(spec, scene, memory, route))
    )


def _primary(scene: ObservedState, route: Route) -> Iterator[Decision]:
    if route.is_up and scene.is_dead(route.node):
        yield Decision(Verb.CUT, route.node, "it is dead", proxy=PRIMARY)
    elif route.is_up and scene.primary and scene.primary != route.node:
        yield Decision(Verb.CUT, route.node, f"{scene.primary} is the primary", proxy=PRIMARY)
    elif not route.is_up and not route.in_maintenance and scene.primary == route.node and not scene.is_dead(route.node):
        yield Decision(Verb.OPEN, route.node, "it is the primary and accepts writes", proxy=PRIMARY)


def _reads(spec: ClusterSpec, scene: ObservedState, memory: Memory, route: Route) -> Iterator[Decision]:
    if route.proxy != STANDBYS:
        return
    why = closed_because(spec, scene, memory, route.node)
    if route.is_up and scene.is_dead(route.node):
        yield Decision(Verb.CUT, route.node, "it is dead", proxy=STANDBYS)
    elif why and not route.in_maintenance:
        yield Decision(Verb.CLOSE_READS, route.node, why, proxy=STANDBYS)
    elif not why and route.in_maintenance and _is_reader(spec, scene, memory, route.node):
        cause = "it streams from the primary again"
        yield Decision(Verb.OPEN_READS, route.node, cause, proxy=STANDBYS)


def closed_because(spec: ClusterSpec, scene: ObservedState, memory: Memory, node: str) -> str | None:
    """Why the node must not serve reads whatever HAProxy's own check says; None if that check may decide."""
    view = scene.store.value
    if view is None or view.lease is None:
        return None
    if node == view.lease.owner:
        return "it holds the lease"
    member = view.members.get(node)
    if member is None:
        return None
    old = eligibility.behind(scene, memory, member)
    bound = spec.keeper.max_read_staleness_seconds
    return f"it is {old:.0f} s behind, the bound is {bound} s" if old > bound else None


def _is_reader(spec: ClusterSpec, scene: ObservedState, memory: Memory, node: str) -> bool:
    return eligibility.ineligible_because(spec, scene, memory, node) is None
