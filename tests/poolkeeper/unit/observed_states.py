"""Observed states for the keeper's tests: a healthy cluster to edit, and any cluster at all for properties.

Nothing here simulates a server; `keeper_world.py` does, as far as the effects of decisions go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots

from poolkeeper.model import pool_node_states, proxies
from poolkeeper.model.decision import Memory
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import (
    Lease,
    Member,
    NodeRecord,
    ObservedState,
    PoolNode,
    Replayed,
    Route,
    StoreView,
)
from poolkeeper.model.process_state import ProcessState
from poolkeeper.model.spec import ClusterSpec, Keeper

AT = 1000.0
LSN = 2**30
STRANGER = "former_node"  # in the store or in a server's view, and no longer declared
UNKNOWN: Seen[Any] = Seen(error="connection refused")
INCARNATIONS = ("first", "second")


def names_of(spec: ClusterSpec) -> list[str]:
    """Return the names of the declared nodes."""
    return [node.name for node in spec.nodes]


# A healthy cluster, and edits of it.


def healthy(spec: ClusterSpec = snapshots.SPEC) -> ObservedState:
    """Return the state of a healthy cluster whose first node is the primary."""
    first, *others = names_of(spec)
    lease = Lease(first, 10)
    members = {first: Member(first, "primary", "running", 1, LSN)}
    members |= {name: Member(name, "replica", "streaming", 1, LSN) for name in others}
    records = {name: NodeRecord(name, INCARNATIONS[0], "boot", 3) for name in names_of(spec)}
    backends = (
        PoolNode(i, n, pool_node_states.UP, "primary" if n == first else "standby")
        for i, n in enumerate(names_of(spec))
    )
    return ObservedState(
        AT,
        store=Seen(StoreView(20, lease, members, records, LSN)),
        processes={
            name: ProcessState(name, INCARNATIONS[0], "alive", "its supervisor runs", 0.0) for name in names_of(spec)
        },
        pool=Seen(tuple(backends)),
        routes=Seen(
            tuple(_route(proxy, n, n == first) for proxy in (proxies.PRIMARY, proxies.STANDBYS) for n in members)
        ),
        opened=lease,
    )


def _route(proxy: str, node: str, is_primary: bool) -> Route:
    """Return a route: the primary is up for writers and closed for readers; the others the other way round."""
    return Route(proxy, node, (proxy == proxies.PRIMARY) is is_primary, is_primary and proxy == proxies.STANDBYS)


def steady(spec: ClusterSpec = snapshots.SPEC) -> Memory:
    """Return the memory in which every standby has always been eligible."""
    return Memory(dict.fromkeys(names_of(spec)[1:], 0.0), None, ((0.0, LSN),))


def edit_store(observed: ObservedState, **changes: Any) -> ObservedState:
    """Change what the store holds."""
    assert observed.store.value
    return replace(observed, store=Seen(replace(observed.store.value, **changes)))


def edit_member(observed: ObservedState, name: str, **changes: Any) -> ObservedState:
    """Change what a node's Patroni published."""
    assert observed.store.value
    members = observed.store.value.members
    return edit_store(observed, members={**members, name: replace(members[name], **changes)})


def edit_process(observed: ObservedState, name: str, **changes: Any) -> ObservedState:
    """Change what the process monitor reports of a node."""
    return replace(observed, processes={**observed.processes, name: replace(observed.processes[name], **changes)})


def dead(observed: ObservedState, name: str) -> ObservedState:
    """Report the death of a node's supervisor."""
    return edit_process(observed, name, state="dead", reason="its supervisor ended")


def edit_backend(observed: ObservedState, name: str, **changes: Any) -> ObservedState:
    """Change what Pgpool-II reports of a backend."""
    assert observed.pool.value is not None
    return replace(
        observed, pool=Seen(tuple(replace(b, **changes) if b.name == name else b for b in observed.pool.value))
    )


def edit_route(observed: ObservedState, proxy: str, node: str, **changes: Any) -> ObservedState:
    """Change what HAProxy reports of a server."""
    assert observed.routes.value is not None
    mine = (proxy, node)
    routes = tuple(replace(r, **changes) if (r.proxy, r.node) == mine else r for r in observed.routes.value)
    return replace(observed, routes=Seen(routes))


# Any cluster.


@st.composite
def specs(draw: st.DrawFn) -> ClusterSpec:
    """Draw a cluster of two to five nodes and a keeper with any of its options."""
    keeper = Keeper(
        attach_after_seconds=draw(st.integers(0, 4)),
        early_release=draw(st.sampled_from([True, True, False])),
        release_interval_seconds=draw(st.sampled_from([0, 30])),
        fence_command=draw(st.sampled_from(["", "off {node}"])),
        max_read_staleness_seconds=draw(st.sampled_from([5, 7])),
    )
    return snapshots.spec_of(draw(st.integers(2, 5)), keeper=keeper)


REPLAYED = st.sampled_from([LSN, LSN, LSN - 1, 0])
POSITIONS = st.sampled_from([LSN, LSN, LSN - 1, LSN - 2**24 - 1, 0, None])


def _members(name: str) -> st.SearchStrategy[Member]:
    return st.builds(
        Member,
        st.just(name),
        st.sampled_from(["replica", "replica", "primary"]),
        st.sampled_from(["streaming", "streaming", "running", "starting", "stopped", "crashed"]),
        st.sampled_from([1, 1, 2, None]),
        POSITIONS,
        st.sampled_from(["", "streaming", "in archive recovery"]),
    )


def _processes(name: str) -> st.SearchStrategy[ProcessState]:
    states = st.sampled_from(["alive", "alive", "dead", "unknown"])
    return st.builds(
        ProcessState, st.just(name), st.sampled_from(INCARNATIONS), states, st.just("a reason"), st.just(0.0)
    )


@st.composite
def stores(draw: st.DrawFn, names: list[str]) -> StoreView:
    """Draw any content of the store."""
    leases = st.none() | st.builds(Lease, st.sampled_from([*names, STRANGER]), st.integers(1, 2))
    members = {name: draw(_members(name)) for name in [*names, STRANGER] if draw(st.integers(0, 5))}
    records = {
        name: NodeRecord(name, draw(st.sampled_from(INCARNATIONS)), "boot", draw(st.integers(1, 2)))
        for name in [*names, STRANGER]
        if draw(st.integers(0, 5))
    }
    paused = st.sampled_from([False] * 5 + [True])
    return StoreView(20, draw(leases), members, records, draw(POSITIONS), draw(paused))


@st.composite
def pools(draw: st.DrawFn, names: list[str]) -> tuple[PoolNode, ...]:
    """Draw any view of Pgpool-II with at most one primary."""
    claimed = draw(st.sampled_from([*names, ""]))
    statuses = st.sampled_from(
        [pool_node_states.UP, pool_node_states.UP, pool_node_states.WAITING, pool_node_states.DOWN]
    )
    known = [name for name in [*names, STRANGER] if draw(st.integers(0, 9))]
    roles = {True: "primary", False: "standby"}
    return tuple(PoolNode(i, name, draw(statuses), roles[name == claimed]) for i, name in enumerate(known))


def _routes(names: list[str]) -> st.SearchStrategy[tuple[Route, ...]]:
    places = [(proxy, name) for proxy in (proxies.PRIMARY, proxies.STANDBYS) for name in [*names, STRANGER]]
    bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=len(places), max_size=len(places))
    return bits.map(
        lambda drawn: tuple(
            Route(*place, is_up=up and not maint, in_maintenance=maint)
            for place, (up, maint) in zip(places, drawn, strict=True)
        )
    )


@st.composite
def states(draw: st.DrawFn, spec: ClusterSpec, at: float = AT) -> ObservedState:
    """Draw any observed state, in which any source may be unknown."""
    names = names_of(spec)
    often = st.integers(0, 7)  # 0 is the case in which the source does not answer
    store = draw(stores(names))
    opened = draw(st.sampled_from([store.lease, store.lease, None, Lease(names[0], 9)]))
    return ObservedState(
        at,
        store=Seen(store) if draw(often) else UNKNOWN,
        processes={name: draw(_processes(name)) for name in [*names, STRANGER] if draw(often)},
        pool=Seen(draw(pools(names))) if draw(often) else UNKNOWN,
        routes=Seen(draw(_routes(names))) if draw(often) else UNKNOWN,
        opened=opened,
        silent={name: at - draw(st.integers(0, 20)) for name in names if not draw(st.integers(0, 2))},
        replayed={
            name: Replayed(at - draw(st.integers(0, 3)), draw(REPLAYED))
            for name in names
            if not draw(st.integers(0, 2))
        },
    )


@st.composite
def memories(draw: st.DrawFn, spec: ClusterSpec, at: float = AT) -> Memory:
    """Draw any memory that a keeper may have by then."""
    ages = st.integers(0, 60)
    seen = sorted(at - draw(ages) for _ in range(draw(st.integers(0, 3))))
    return Memory(
        {name: at - draw(ages) for name in names_of(spec) if draw(st.booleans())},
        draw(st.none() | ages.map(lambda age: at - age)),
        tuple((when, LSN + step - 1) for step, when in enumerate(seen)),
    )


@st.composite
def situations(draw: st.DrawFn) -> tuple[ClusterSpec, ObservedState, Memory]:
    """Draw a cluster, its observed state, and a memory."""
    spec = draw(specs())
    return spec, draw(states(spec)), draw(memories(spec))
