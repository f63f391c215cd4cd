"""The names of HAProxy's proxies, and the children of Pgpool-II that HAProxy keeps free."""

from __future__ import annotations

from poolkeeper.model import endpoint_keys
from poolkeeper.model.endpoint_keys import DIRECT_RO, DIRECT_RW
from poolkeeper.model.observed import HaproxyView
from poolkeeper.model.spec import ClusterSpec

PRIMARY = "primary"  # inner port that leads to the primary
STANDBYS = "standbys"  # inner port that spreads over the standbys
# The proxy whose servers a direct endpoint uses: whatever ends or delays a session there does so at the endpoint.
BEHIND = {DIRECT_RW: PRIMARY, DIRECT_RO: STANDBYS}

# Children of an endpoint's Pgpool-II that HAProxy keeps free: one for its own check, one for an administrator. With
# them, clients of a full endpoint queue in HAProxy, and the check still passes.
SPARE_CHILDREN = 2


def expected(spec: ClusterSpec) -> tuple[tuple[str, str], ...]:
    """Return every frontend and backend that must be up."""
    endpoints = (*endpoint_keys.POOLED_BEHIND_HAPROXY, *spec.direct_endpoints(), "stats", PRIMARY, STANDBYS)
    backends = ("endpoint_rw", "endpoint_ro", PRIMARY, STANDBYS)
    return (*((name, "FRONTEND") for name in endpoints), *((name, "BACKEND") for name in backends))


def fallback(node: str) -> str:
    """Return the server of the port `standbys` for this node as a primary while no standby is up.

    It differs from every node's own name, which has no dot.
    """
    return f"{node}.fallback"


def role_of(view: HaproxyView, node: str) -> str:
    """Return the role of a node at the two inner ports: primary, standby, both or out."""
    names = {PRIMARY: "primary", STANDBYS: "standby"}
    up = [role for proxy, role in names.items() if (row := view.row(proxy, node)) and row.is_up]
    return {0: "out", 1: up[0] if up else "", 2: "both"}[len(up)]
