"""HAProxy's checks by their kind, and a way to disable one kind for a period.

Invariant: however a measurement ends, every check is enabled again. Only the bench's own cluster is changed, because a
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

ENDPOINTS, PRIMARY, STANDBYS = "the pooled endpoints", "the primary's port", "the standbys' port"
KINDS = {
    ENDPOINTS: "a PostgreSQL start-up at each one's Pgpool-II",
    PRIMARY: "two requests to each node's Patroni: does it hold the lease, and has it left recovery",
    STANDBYS: "two requests to each node's Patroni: is it near enough, and does it not hold the lease",
}

Servers = tuple[tuple[str, str], ...]


def servers(spec: ClusterSpec) -> dict[str, Servers]:
    """Map each kind to the (proxy, server) of its checks."""
    nodes = [node.name for node in spec.nodes]
    endpoints = {"endpoint_rw": spec.endpoints.rw.service, "endpoint_ro": spec.endpoints.ro.service}
    return {
        ENDPOINTS: tuple(endpoints.items()),
        PRIMARY: tuple((proxies.PRIMARY, node) for node in nodes),
        STANDBYS: tuple((proxies.STANDBYS, node) for node in nodes),
    }


def a_second(spec: ClusterSpec) -> dict[str, float]:
    """Map each kind to its checks a second."""
    return {kind: 1000 * len(found) / spec.haproxy.check_interval_ms for kind, found in servers(spec).items()}


@contextmanager
def without(spec: ClusterSpec, kinds: Sequence[str]) -> Iterator[None]:
    """Disable the checks of these kinds for the length of the block.

    Raises:
        Unreachable: if HAProxy does not answer.
        ServerRefused: if HAProxy refuses a command.
    """
    found = [server for kind in kinds for server in servers(spec)[kind]]
    if not found:
        yield
        return
    try:
        _switch(spec, found, on=False)
        yield
    finally:
        with interrupts.signals_blocked():
            _switch(spec, found, on=True)


def _switch(spec: ClusterSpec, found: Sequence[tuple[str, str]], *, on: bool) -> None:
    commands = [haproxy_runtime.checks(proxy, server, on=on) for proxy, server in found]
    address, port = str(spec.haproxy.address), spec.haproxy.runtime_port
    asyncio.run(haproxy_runtime.send(address, port, commands, spec.timeouts.query))
