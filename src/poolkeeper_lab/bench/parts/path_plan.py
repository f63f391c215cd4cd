"""The plan of `bench path`: the loads of each endpoint, and their goals. Pure.

The core selection contains the loads of the goals and an overview of the others. The full matrix is every workload,
protocol, number of clients and kind of connection. A load that an endpoint cannot serve is left out with a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from poolkeeper.core import errors
from poolkeeper.model.spec import ClusterSpec
from poolkeeper_lab.bench.load.bench_endpoints import DIRECT, BenchEndpoint
from poolkeeper_lab.bench.load.pgbench import (
    EXTENDED,
    PREPARED,
    PROTOCOLS,
    READ_MOSTLY,
    READ_ONLY,
    SIMPLE,
    TPC_B,
    WORKLOADS,
    PgbenchLoad,
)

CLIENTS = (1, 16, 64, 256)
PEER = "PgBouncer"  # the name, or its beginning, of the endpoints that 9999 is compared with


@dataclass(frozen=True)
class Wanted:
    """A goal: numerator ÷ denominator under a load is at least `least`."""

    numerator: str
    denominator: str
    load: PgbenchLoad
    least: float

    @property
    def sentence(self) -> str:
        """A sentence such as "5100 ÷ direct: read-only, simple, 16 clients"."""
        return f"{self.numerator} ÷ {self.denominator}: {self.load.title}"


@dataclass(frozen=True)
class Planned:
    """A load and its endpoints; the first endpoint is the yardstick."""

    load: PgbenchLoad
    endpoints: tuple[BenchEndpoint, ...]

    def pairs(self, wanted: Sequence[Wanted]) -> list[tuple[str, str]]:
        """Return (numerator, denominator): each endpoint against the yardstick, and the further pairs of the goals."""
        keys = [endpoint.key for endpoint in self.endpoints]
        usual = [(key, keys[0]) for key in keys[1:]] if keys[0] == DIRECT else []
        asked = [(w.numerator, w.denominator) for w in wanted if w.load == self.load]
        return list(dict.fromkeys([*usual, *(pair for pair in asked if set(pair) <= set(keys))]))


def goals(spec: ClusterSpec, peers: Sequence[BenchEndpoint] = ()) -> tuple[Wanted, ...]:
    """Return the goals of this part, by the endpoints' names, with one goal for each compared endpoint of a peer."""
    rw, pool, direct = (
        str(spec.endpoints.rw.port),
        str(spec.endpoints.balanced.port),
        str(spec.endpoints.direct_rw.port),
    )
    sixteen = PgbenchLoad(READ_ONLY, SIMPLE, 16)
    prepared = PgbenchLoad(READ_ONLY, PREPARED, 16)
    others = [endpoint.key for endpoint in peers if endpoint.key.startswith(PEER)] or [PEER]
    return (
        Wanted(rw, DIRECT, sixteen, 0.60),
        *(Wanted(pool, other, sixteen, 1.1) for other in others),
        Wanted(rw, DIRECT, PgbenchLoad(TPC_B, SIMPLE, 8), 0.75),
        Wanted(rw, DIRECT, prepared, 0.30),
        Wanted(direct, DIRECT, prepared, 0.70),
        Wanted(rw, DIRECT, PgbenchLoad(READ_ONLY, SIMPLE, 16, is_fresh=True), 4.0),
    )


def core(spec: ClusterSpec) -> Iterator[tuple[PgbenchLoad, tuple[str, ...]]]:
    """Yield the loads of the short run, each with the names of the cluster's endpoints."""
    endpoints = spec.endpoints
    rw, ro, pool = str(endpoints.rw.port), str(endpoints.ro.port), str(endpoints.balanced.port)
    direct, direct_ro = str(endpoints.direct_rw.port), str(endpoints.direct_ro.port)
    yield PgbenchLoad(READ_ONLY, SIMPLE, 16), (DIRECT, rw, ro, direct, direct_ro, pool)
    yield PgbenchLoad(READ_ONLY, PREPARED, 16), (DIRECT, rw, direct, direct_ro, pool)
    yield PgbenchLoad(READ_ONLY, EXTENDED, 16), (DIRECT, rw, direct)
    yield PgbenchLoad(READ_ONLY, SIMPLE, 1), (DIRECT, rw, direct, pool)
    yield PgbenchLoad(READ_ONLY, SIMPLE, 16, is_fresh=True), (DIRECT, rw, ro, direct, pool)
    yield PgbenchLoad(READ_MOSTLY, SIMPLE, 16), (DIRECT, rw, direct, pool)
    yield PgbenchLoad(TPC_B, SIMPLE, 8), (DIRECT, rw, direct, pool)


def matrix(endpoints: Sequence[BenchEndpoint]) -> Iterator[tuple[PgbenchLoad, tuple[str, ...]]]:
    """Yield every load with every endpoint."""
    names = tuple(endpoint.key for endpoint in endpoints)
    for workload, protocol, clients, is_fresh in product(WORKLOADS, PROTOCOLS, CLIENTS, (False, True)):
        yield PgbenchLoad(workload, protocol, clients, is_fresh), names


def plan(
    spec: ClusterSpec, endpoints: Sequence[BenchEndpoint], is_full: bool, only: str = ""
) -> tuple[list[Planned], list[str]]:
    """Return the planned loads, and a sentence for each omission. Peers take part in every load that they can serve.

    `only` selects the loads whose title contains it.

    Raises:
        UsageError: if there is no such load.
    """
    chosen = [*core(spec), *(_beyond(spec, endpoints) if is_full else ())]
    if not (chosen := [(load, names) for load, names in chosen if only in load.title]):
        hint = "Titles are as: " + "; ".join(load.title for load, _ in core(spec))
        raise errors.UsageError(f"no load contains {only!r} in its title", hint=hint)
    planned: list[Planned] = []
    left_out: dict[str, list[str]] = {}
    for load, names in chosen:
        able = []
        for endpoint in (endpoint for endpoint in endpoints if endpoint.key in names or endpoint.is_peer):
            if why := endpoint.refuses(load):
                left_out.setdefault(why, []).append(load.title)
            else:
                able.append(endpoint)
        if len(able) > 1:
            planned.append(Planned(load, tuple(able)))
        elif able:
            left_out.setdefault("no two endpoints can serve it", []).append(load.title)
    notes = [f"{why}: left out of {_few(titles)}" for why, titles in left_out.items()]
    return planned, notes


def _beyond(spec: ClusterSpec, endpoints: Sequence[BenchEndpoint]) -> Iterator[tuple[PgbenchLoad, tuple[str, ...]]]:
    known = {load for load, _ in core(spec)}
    yield from ((load, names) for load, names in matrix(endpoints) if load not in known)


def _few(titles: Sequence[str]) -> str:
    """Return the titles if they are few, else their number."""
    return "; ".join(titles) if len(titles) <= 3 else f"{len(titles)} loads"
