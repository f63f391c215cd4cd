"""HAProxy's checks by their kind, and how to leave out those of one kind for a while.

Invariant: whatever ends a measurement, every check is asked for again; it is done on the bench's own cluster only, as a
server without checks counts as up (`haproxy_runtime.checks`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from poolkeeper.core import interrupts
from poolkeeper.model import proxies
from poolkeeper.model.spec import ClusterSpec
from poolkeeper.system import haproxy_runtime

ENDPOINTS, PRIMARY, STANDBYS = "the endpoints", "the primary's port", "the standbys' port"
KINDS = {
    ENDPOINTS: "a PostgreSQL start-up at each endpoint's Pgpool-II",
    PRIMARY: "two requests to each node's Patroni: who holds the lease, and has it left recovery",
    STANDBYS: "two requests to each node's Patroni: is it near enough, and does it not hold the lease",
}

Servers = tuple[tuple[str, str], ...]


def servers(spec: ClusterSpec) -> dict[str, Servers]:
    """Kind → (proxy, server) of each check."""
    nodes = [node.name for node in spec.nodes]
    endpoints = {"endpoint_rw": spec.endpoints.rw.service, "endpoint_ro": spec.endpoints.ro.service}
    return {
        ENDPOINTS: tuple(endpoints.items()),
        PRIMARY: tuple((proxies.PRIMARY, node) for node in nodes),
        STANDBYS: tuple((proxies.STANDBYS, node) for node in nodes),
    }


def a_second(spec: ClusterSpec) -> dict[str, float]:
    """Kind → checks a second."""
    return {kind: 1000 * len(found) / spec.haproxy.check_interval_ms for kind, found in servers(spec).items()}


@contextmanager
def without(spec: ClusterSpec, kinds: Sequence[str]) -> Iterator[None]:
    """No checks of these kinds for the length of the block. Raises Unreachable or ServerRefused."""
    found = [server for kind in kinds for server in servers(spec)[kind]]
    if not found:
        yield
        return
    try:
        _say(spec, found, on=False)
        yield
    finally:
        with interrupts.signals_blocked():
            _say(spec, found, on=True)


def _say(spec: ClusterSpec, found: Sequence[tuple[str, str]], *, on: bool) -> None:
    commands = [haproxy_runtime.checks(proxy, server, on=on) for proxy, server in found]
    address, port = str(spec.haproxy.address), spec.haproxy.runtime_port
    asyncio.run(haproxy_runtime.send(address, port, commands, spec.timeouts.query))
