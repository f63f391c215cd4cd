"""HAProxy's inner ports: what its own checks will find in a second or three, set by the keeper at once.

Invariant: a decision here only anticipates a check of HAProxy, so a keeper that is absent, late or wrong for a moment
leaves nothing behind. Only the closures of the read-only endpoint last until they are lifted. A node that holds the
lease, or is known to be too old, serves no reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from poolkeeper.keeper.decide import eligibility
from poolkeeper.model.decision import Decision, Memory, Verb
from poolkeeper.model.observed_state import ObservedState, Route
from poolkeeper.model.proxies import PRIMARY, STANDBYS
from poolkeeper.model.spec import ClusterSpec


def decide(spec: ClusterSpec, observed: ObservedState, memory: Memory) -> tuple[Decision, ...]:
    """Return the actions on every route that differs from Patroni's state."""
    view, routes = observed.store.value, observed.routes.value
    if view is None or view.paused or routes is None:
        return ()
    known = {node.name for node in spec.nodes}
    return tuple(
        decision
        for route in routes
        if route.node in known
        for decision in (_primary(observed, route) if route.proxy == PRIMARY else _reads(spec, observed, memory, route))
    )


def _primary(observed: ObservedState, route: Route) -> Iterator[Decision]:
    if route.is_up and observed.is_dead(route.node):
        yield Decision(Verb.CUT, route.node, "it is dead", proxy=PRIMARY)
    elif route.is_up and observed.primary and observed.primary != route.node:
        yield Decision(Verb.CUT, route.node, f"{observed.primary} is the primary", proxy=PRIMARY)
    elif (
        not route.is_up
        and not route.in_maintenance
        and observed.primary == route.node
        and not observed.is_dead(route.node)
    ):
        yield Decision(Verb.OPEN, route.node, "it is the primary and accepts writes", proxy=PRIMARY)


def _reads(spec: ClusterSpec, observed: ObservedState, memory: Memory, route: Route) -> Iterator[Decision]:
    if route.proxy != STANDBYS:
        return
    why = closed_because(spec, observed, memory, route.node)
    if route.is_up and observed.is_dead(route.node):
        yield Decision(Verb.CUT, route.node, "it is dead", proxy=STANDBYS)
    elif why and not route.in_maintenance:
        yield Decision(Verb.CLOSE_READS, route.node, why, proxy=STANDBYS)
    elif not why and route.in_maintenance and _is_reader(spec, observed, memory, route.node):
        cause = "it streams from the primary again"
        yield Decision(Verb.OPEN_READS, route.node, cause, proxy=STANDBYS)


def closed_because(spec: ClusterSpec, observed: ObservedState, memory: Memory, node: str) -> str | None:
    """Return why the node must not serve reads whatever HAProxy's own check finds; None if that check may decide."""
    view = observed.store.value
    if view is None or view.lease is None:
        return None
    if node == view.lease.owner:
        return "it holds the lease"
    member = view.members.get(node)
    if member is None:
        return None
    age = eligibility.seconds_behind(observed, memory, member)
    bound = spec.keeper.max_read_staleness_seconds
    return f"it is {age:.0f} s behind, the bound is {bound} s" if age > bound else None


def _is_reader(spec: ClusterSpec, observed: ObservedState, memory: Memory, node: str) -> bool:
    return eligibility.ineligible_because(spec, observed, memory, node) is None
