"""What the keeper may see: a healthy cluster to edit, and any cluster at all for properties.

Nothing here stands for a server; `keeper_world.py` does, as far as the decisions' effects go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.poolkeeper.unit import snapshots

from poolkeeper.model import proxies
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
STRANGER = "former_node"  # in the store or in a server's view, and declared no more
UNKNOWN: Seen[Any] = Seen(error="connection refused")
INCARNATIONS = ("first", "second")


def names_of(spec: ClusterSpec) -> list[str]:
    """The declared nodes."""
    return [node.name for node in spec.nodes]


# A healthy cluster, and edits of it.


def healthy(spec: ClusterSpec = snapshots.SPEC) -> ObservedState:
    """All is well, and has been; the first node is the primary."""
    first, *others = names_of(spec)
    lease = Lease(first, 10)
    members = {first: Member(first, "primary", "running", 1, LSN)}
    members |= {name: Member(name, "replica", "streaming", 1, LSN) for name in others}
    records = {name: NodeRecord(name, INCARNATIONS[0], "boot", 3) for name in names_of(spec)}
    backends = (PoolNode(i, n, "up", "primary" if n == first else "standby") for i, n in enumerate(names_of(spec)))
    return ObservedState(
        AT,
        Seen(StoreView(20, lease, members, records, LSN)),
        {name: ProcessState(name, INCARNATIONS[0], "alive", "its supervisor runs", 0.0) for name in names_of(spec)},
        Seen(tuple(backends)),
        Seen(tuple(_route(proxy, n, n == first) for proxy in (proxies.PRIMARY, proxies.STANDBYS) for n in members)),
        opened=lease,
    )


def _route(proxy: str, node: str, is_primary: bool) -> Route:
    """The primary is up for writers and shut for readers; the others the other way round."""
    return Route(proxy, node, (proxy == proxies.PRIMARY) is is_primary, is_primary and proxy == proxies.STANDBYS)


def steady(spec: ClusterSpec = snapshots.SPEC) -> Memory:
    """Every standby has been fit for ever."""
    return Memory(dict.fromkeys(names_of(spec)[1:], 0.0), None, ((0.0, LSN),))


def edit_store(scene: ObservedState, **changes: Any) -> ObservedState:
    """The store says something else."""
    assert scene.store.value
    return replace(scene, store=Seen(replace(scene.store.value, **changes)))


def edit_member(scene: ObservedState, name: str, **changes: Any) -> ObservedState:
    """A node's Patroni published something else."""
    assert scene.store.value
    members = scene.store.value.members
    return edit_store(scene, members={**members, name: replace(members[name], **changes)})


def edit_sight(scene: ObservedState, name: str, **changes: Any) -> ObservedState:
    """The witness says something else of a node."""
    return replace(scene, sights={**scene.sights, name: replace(scene.sights[name], **changes)})


def dead(scene: ObservedState, name: str) -> ObservedState:
    """A node that was seen alive, and its end too."""
    return edit_sight(scene, name, state="dead", reason="its supervisor ended")


def edit_backend(scene: ObservedState, name: str, **changes: Any) -> ObservedState:
    """Pgpool-II says something else of a backend."""
    assert scene.pool.value is not None
    return replace(scene, pool=Seen(tuple(replace(b, **changes) if b.name == name else b for b in scene.pool.value)))


def edit_route(scene: ObservedState, proxy: str, node: str, **changes: Any) -> ObservedState:
    """HAProxy says something else of a server."""
    assert scene.routes.value is not None
    mine = (proxy, node)
    routes = tuple(replace(r, **changes) if (r.proxy, r.node) == mine else r for r in scene.routes.value)
    return replace(scene, routes=Seen(routes))


# Any cluster.


@st.composite
def specs(draw: st.DrawFn) -> ClusterSpec:
    """Two to five nodes, and a keeper with any of its choices."""
    keeper = Keeper(
        attach_after_seconds=draw(st.integers(0, 4)),
        early_release=draw(st.sampled_from([True, True, False])),
        release_interval_seconds=draw(st.sampled_from([0, 30])),
        fence_command=draw(st.sampled_from(["", "off {node}"])),
        max_read_staleness_seconds=draw(st.sampled_from([5, 7])),
    )
    return snapshots.spec_of(draw(st.integers(2, 5)), keeper=keeper)


SHOWN = st.sampled_from([LSN, LSN, LSN - 1, 0])
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


def _sights(name: str) -> st.SearchStrategy[ProcessState]:
    states = st.sampled_from(["alive", "alive", "dead", "unknown"])
    return st.builds(ProcessState, st.just(name), st.sampled_from(INCARNATIONS), states, st.just("told"), st.just(0.0))


@st.composite
def stores(draw: st.DrawFn, names: list[str]) -> StoreView:
    """Any content of the store."""
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
    """Any view of Pgpool-II's, of which one backend at most is the primary."""
    claimed = draw(st.sampled_from([*names, ""]))
    statuses = st.sampled_from(["up", "up", "waiting", "down"])
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
def scenes(draw: st.DrawFn, spec: ClusterSpec, at: float = AT) -> ObservedState:
    """Whatever may be seen of a cluster, and whatever may not."""
    names = names_of(spec)
    often = st.integers(0, 7)  # nought is the case in which nobody answers
    store = draw(stores(names))
    opened = draw(st.sampled_from([store.lease, store.lease, None, Lease(names[0], 9)]))
    return ObservedState(
        at,
        Seen(store) if draw(often) else UNKNOWN,
        {name: draw(_sights(name)) for name in [*names, STRANGER] if draw(often)},
        Seen(draw(pools(names))) if draw(often) else UNKNOWN,
        Seen(draw(_routes(names))) if draw(often) else UNKNOWN,
        opened,
        {name: at - draw(st.integers(0, 20)) for name in names if not draw(st.integers(0, 2))},
        {name: Replayed(at - draw(st.integers(0, 3)), draw(SHOWN)) for name in names if not draw(st.integers(0, 2))},
    )


@st.composite
def memories(draw: st.DrawFn, spec: ClusterSpec, at: float = AT) -> Memory:
    """Whatever a keeper may remember by then."""
    ages = st.integers(0, 60)
    seen = sorted(at - draw(ages) for _ in range(draw(st.integers(0, 3))))
    return Memory(
        {name: at - draw(ages) for name in names_of(spec) if draw(st.booleans())},
        draw(st.none() | ages.map(lambda age: at - age)),
        tuple((when, LSN + step - 1) for step, when in enumerate(seen)),
    )


@st.composite
def looks(draw: st.DrawFn) -> tuple[ClusterSpec, ObservedState, Memory]:
    """A cluster, what is seen of it, and what is remembered."""
    spec = draw(specs())
    return spec, draw(scenes(spec)), draw(memories(spec))
