"""The names of HAProxy's proxies, and what an endpoint leaves free: rendered by one room, expected by others."""

from __future__ import annotations

from poolkeeper.model.observed import HaproxyView
from poolkeeper.model.spec import ClusterSpec

PRIMARY = "primary"  # inner port that leads to the primary
STANDBYS = "standbys"  # inner port that spreads over the standbys
# The proxy whose servers a direct endpoint shares: what ends a session there, or lets one wait, holds for the endpoint too.
BEHIND = {"direct_rw": PRIMARY, "direct_ro": STANDBYS}

# Children of an endpoint's Pgpool that HAProxy leaves free: one for its own check, one for somebody who looks after it.
# A full endpoint then queues at the endpoint instead of failing its check.
SPARE_CHILDREN = 2


def expected(spec: ClusterSpec) -> tuple[tuple[str, str], ...]:
    """Every frontend and backend that must be up."""
    endpoints = ("rw", "ro", *spec.direct_endpoints(), "stats", PRIMARY, STANDBYS)
    backends = ("endpoint_rw", "endpoint_ro", PRIMARY, STANDBYS)
    return (*((name, "FRONTEND") for name in endpoints), *((name, "BACKEND") for name in backends))


def fallback(node: str) -> str:
    """The server of the port `standbys` that leads to this node while it is the primary and no standby is up.

    No node's own name has a dot.
    """
    return f"{node}.fallback"


def role_of(view: HaproxyView, node: str) -> str:
    """primary, standby, both or out, as the two inner ports say of a node."""
    names = {PRIMARY: "primary", STANDBYS: "standby"}
    up = [role for proxy, role in names.items() if (row := view.row(proxy, node)) and row.is_up]
    return {0: "out", 1: up[0] if up else "", 2: "both"}[len(up)]
