"""Find cycles of dependencies, named as in the literature (Adya 1999; Cerone & Gotsman 2018; Elle 2020).

    G0            ww edges alone
    G1c           ww and wr, at least one wr
    G-single      exactly one rw                                             (a read skew, a lost update)
    G-nonadjacent several rw, no two of them next to each other
    G2-item       two rw next to each other                                  (a write skew)

A suffix `-process` or `-realtime` means that the cycle needs such an edge. A snapshot-isolated history can show G2-item
and no other: it has no cycle without two adjacent rw edges. The search for the other kinds uses a graph of twice the
nodes, in which an rw edge leads to a state that no rw edge leaves. Every search is therefore one for strongly connected
components, whose time is in proportion to the edges.

Invariant: where cycles of a kind exist, at least one is reported, strongest kind first; a component that holds a
reported cycle is not searched again. Not promised: all cycles. The search for the fewest rw edges tries a bounded
number of start edges, so a G-single in a large component may be called G-nonadjacent. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import networkx

from poolkeeper_lab.chaos.checkers.dependencies import DependencyKind, Edges

REPORTED = 8  # cycles of one name
_TRIES = 200_000  # about how many edges the search for a short cycle visits in one component
_DATA = (DependencyKind.WW, DependencyKind.WR)
_LAYERS: tuple[tuple[str, tuple[DependencyKind, ...]], ...] = (
    ("", ()),
    ("-process", (DependencyKind.PROCESS,)),
    ("-realtime", (DependencyKind.PROCESS, DependencyKind.REAL_TIME)),
)
_LONG = 1000  # the weight of an rw edge: any other way is shorter

Node = Hashable
Graph = Any  # networkx.DiGraph, which has no types


@dataclass(frozen=True)
class Cycle:
    """A cycle: its edges in order; the last edge ends where the first one begins."""

    name: str
    steps: tuple[tuple[int, DependencyKind, int], ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its transactions."""
        return tuple(begin for begin, _, _ in self.steps)


@dataclass(frozen=True)
class _Stage:
    name: str
    kinds: tuple[DependencyKind, ...]  # without restriction
    rw: str  # none | single (never two in a row) | all


_STAGES = (
    _Stage("G0", (DependencyKind.WW,), "none"),
    _Stage("G1c", _DATA, "none"),
    _Stage("G-nonadjacent", _DATA, "single"),
    _Stage("G2-item", _DATA, "all"),
)


def search(edges: Edges) -> tuple[Cycle, ...]:
    """Return the cycles of every kind that exists, at most REPORTED of each name."""
    edges = _cyclic(edges)
    found: list[Cycle] = []
    for stage in _STAGES:
        for suffix, extra in _LAYERS:
            if suffix and not any(set(extra) & set(kinds) for kinds in edges.values()):
                continue
            reported = {number for cycle in found for number in cycle.numbers}
            found += _named(edges, stage, extra, suffix, reported)
    return tuple(found)


def _cyclic(edges: Edges) -> Edges:
    """Return only the edges that may be in a cycle: in most histories, none."""
    graph = networkx.DiGraph()
    graph.add_edges_from(edges)
    component = {node: i for i, nodes in enumerate(_components(graph)) for node in nodes}
    return {(a, b): kinds for (a, b), kinds in edges.items() if a in component and component[a] == component.get(b)}


def _components(graph: Graph) -> Iterator[set[Node]]:
    return (nodes for nodes in networkx.strongly_connected_components(graph) if len(nodes) > 1)


def _named(
    edges: Edges, stage: _Stage, extra: tuple[DependencyKind, ...], suffix: str, reported: set[int]
) -> list[Cycle]:
    kinds = (*stage.kinds, *extra)
    graph = _graph(edges, kinds, stage.rw)
    found: list[Cycle] = []
    for nodes in sorted(_components(graph), key=lambda nodes: min(map(_number, nodes))):
        if len(found) < REPORTED and not reported & set(map(_number, nodes)):
            cycle = _shortest(graph.subgraph(nodes).copy())
            found.append(Cycle(_name(stage, cycle) + suffix, tuple(cycle)))
    return found


def _name(stage: _Stage, cycle: Iterable[tuple[int, DependencyKind, int]]) -> str:
    return "G-single" if stage.rw == "single" and _rws(cycle) == 1 else stage.name


def _rws(cycle: Iterable[tuple[int, DependencyKind, int]]) -> int:
    return sum(kind is DependencyKind.RW for _, kind, _ in cycle)


def _number(node: Any) -> int:
    """Return the number of a transaction from its node, or from a pair."""
    return int(node[0] if isinstance(node, tuple) else node)


def _graph(edges: Edges, kinds: tuple[DependencyKind, ...], rw: str) -> Graph:
    """Return the graph, whose edges have a kind and a weight.

    With rw "single" a node is a pair: the number, and whether an rw edge led there.
    """
    graph = networkx.DiGraph()
    for (begin, end), reasons in edges.items():
        kind = next((kind for kind in kinds if kind in reasons), None)
        if kind is not None:
            pairs = [((begin, after), (end, False)) for after in (False, True)] if rw == "single" else [(begin, end)]
            graph.add_edges_from(pairs, kind=kind, weight=1)
        elif rw != "none" and DependencyKind.RW in reasons:
            pair = ((begin, False), (end, True)) if rw == "single" else (begin, end)
            graph.add_edge(*pair, kind=DependencyKind.RW, weight=_LONG)
    return graph


def _shortest(graph: Graph) -> list[tuple[int, DependencyKind, int]]:
    """Return a cycle of a strongly connected graph with few rw edges, then few edges, as a bounded search finds it."""
    tries = max(1, min(64, _TRIES // graph.number_of_edges()))
    begins = sorted(
        graph.edges(data="kind"), key=lambda e: (e[2] is not DependencyKind.RW, _number(e[0]), _number(e[1]))
    )
    cycles = (_through(graph, begin, end) for begin, end, _ in begins[:tries])
    return min(cycles, key=lambda cycle: (_rws(cycle), len(cycle)))


def _through(graph: Graph, begin: Node, end: Node) -> list[tuple[int, DependencyKind, int]]:
    """Return the shortest cycle that has this edge."""
    nodes = [begin, *networkx.dijkstra_path(graph, end, begin)]
    return [(_number(a), graph.edges[a, b]["kind"], _number(b)) for a, b in itertools.pairwise(nodes)]


def reasons_of(
    cycle: Cycle, edges: Mapping[tuple[int, int], Mapping[DependencyKind, Any]]
) -> Iterator[tuple[int, DependencyKind, int, Any]]:
    """Yield each edge of the cycle with its reason."""
    for begin, kind, end in cycle.steps:
        yield begin, kind, end, edges[begin, end][kind]
