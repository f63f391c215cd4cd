"""Cycles of dependencies, named as in the literature (Adya 1999; Cerone & Gotsman 2018; Elle 2020).

    G0            ww edges alone
    G1c           ww and wr, at least one wr
    G-single      exactly one rw                                             (a read skew, a lost update)
    G-nonadjacent several rw, no two of them next to each other
    G2-item       two rw next to each other                                  (a write skew)

With `-process` or `-realtime` behind it the cycle needs such an edge. A snapshot-isolated history can show G2-item and
no other: it has no cycle without two adjacent rw edges. That is looked for in a graph of twice the nodes, in which an
rw edge leads to a state that no rw edge leaves, so every search is one for strongly connected components, whose time is
in proportion to the edges.

Invariant: where there is a cycle of a kind, one is found and told, strongest kind first; a component that holds a told
one is not searched again. Not promised: all cycles. Of several rw edges the fewest are looked for among a bounded
number of beginnings, so a G-single in a great tangle may be called G-nonadjacent. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import networkx

from poolkeeper_lab.chaos.checkers.dependencies import DependencyKind, Edges

TOLD = 8  # cycles of one name
_TRIES = 200_000  # edges to be looked at for a short cycle in one component, about
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
    """Its edges in order; the last one ends where the first one begins."""

    name: str
    steps: tuple[tuple[int, DependencyKind, int], ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Its transactions."""
        return tuple(begin for begin, _, _ in self.steps)


@dataclass(frozen=True)
class _Stage:
    name: str
    kinds: tuple[DependencyKind, ...]  # that lead anywhere
    rw: str  # none | single (never two in a row) | all


_STAGES = (
    _Stage("G0", (DependencyKind.WW,), "none"),
    _Stage("G1c", _DATA, "none"),
    _Stage("G-nonadjacent", _DATA, "single"),
    _Stage("G2-item", _DATA, "all"),
)


def search(edges: Edges) -> tuple[Cycle, ...]:
    """All names for which there is a cycle, each with at most TOLD of them."""
    edges = _tangled(edges)
    told: list[Cycle] = []
    for stage in _STAGES:
        for suffix, extra in _LAYERS:
            if suffix and not any(set(extra) & set(kinds) for kinds in edges.values()):
                continue
            blamed = {number for cycle in told for number in cycle.numbers}
            told += _named(edges, stage, extra, suffix, blamed)
    return tuple(told)


def _tangled(edges: Edges) -> Edges:
    """Only the edges that may be in any cycle: in most histories that is none."""
    graph = networkx.DiGraph()
    graph.add_edges_from(edges)
    component = {node: i for i, nodes in enumerate(_components(graph)) for node in nodes}
    return {(a, b): kinds for (a, b), kinds in edges.items() if a in component and component[a] == component.get(b)}


def _components(graph: Graph) -> Iterator[set[Node]]:
    return (nodes for nodes in networkx.strongly_connected_components(graph) if len(nodes) > 1)


def _named(
    edges: Edges, stage: _Stage, extra: tuple[DependencyKind, ...], suffix: str, blamed: set[int]
) -> list[Cycle]:
    kinds = (*stage.kinds, *extra)
    graph = _graph(edges, kinds, stage.rw)
    found: list[Cycle] = []
    for nodes in sorted(_components(graph), key=lambda nodes: min(map(_number, nodes))):
        if len(found) < TOLD and not blamed & set(map(_number, nodes)):
            cycle = _shortest(graph.subgraph(nodes).copy())
            found.append(Cycle(_name(stage, cycle) + suffix, tuple(cycle)))
    return found


def _name(stage: _Stage, cycle: Iterable[tuple[int, DependencyKind, int]]) -> str:
    return "G-single" if stage.rw == "single" and _rws(cycle) == 1 else stage.name


def _rws(cycle: Iterable[tuple[int, DependencyKind, int]]) -> int:
    return sum(kind is DependencyKind.RW for _, kind, _ in cycle)


def _number(node: Any) -> int:
    """Of a transaction's node, or of a pair's."""
    return int(node[0] if isinstance(node, tuple) else node)


def _graph(edges: Edges, kinds: tuple[DependencyKind, ...], rw: str) -> Graph:
    """An edge has its kind and weight. With rw "single" a node is a pair: the number, and did an rw edge lead there?"""
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
    """A cycle of a strongly connected graph: the fewest rw edges, then the fewest edges, that a few tries find."""
    tries = max(1, min(64, _TRIES // graph.number_of_edges()))
    begins = sorted(
        graph.edges(data="kind"), key=lambda e: (e[2] is not DependencyKind.RW, _number(e[0]), _number(e[1]))
    )
    cycles = (_through(graph, begin, end) for begin, end, _ in begins[:tries])
    return min(cycles, key=lambda cycle: (_rws(cycle), len(cycle)))


def _through(graph: Graph, begin: Node, end: Node) -> list[tuple[int, DependencyKind, int]]:
    """The shortest cycle that has this edge."""
    nodes = [begin, *networkx.dijkstra_path(graph, end, begin)]
    return [(_number(a), graph.edges[a, b]["kind"], _number(b)) for a, b in itertools.pairwise(nodes)]


def reasons_of(
    cycle: Cycle, edges: Mapping[tuple[int, int], Mapping[DependencyKind, Any]]
) -> Iterator[tuple[int, DependencyKind, int, Any]]:
    """Each edge with its reason."""
    for begin, kind, end in cycle.steps:
        yield begin, kind, end, edges[begin, end][kind]
