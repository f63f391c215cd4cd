"""The names of HAProxy's proxies, and what a lane leaves free: rendered by one room, expected by others."""

from __future__ import annotations

from poolkeeper.model.observed import HaproxyView

PRIMARY = "primary"  # inner port that leads to the primary
STANDBYS = "standbys"  # inner port that spreads over the standbys

# Children of a lane's Pgpool that HAProxy leaves free: one for its own check, one for somebody who looks after it.
# A full lane then queues at the door instead of failing its check.
SPARE_CHILDREN = 2

# Every frontend and backend that must be up.
EXPECTED = (
    *((name, "FRONTEND") for name in ("rw", "ro", "stats", PRIMARY, STANDBYS)),
    *((name, "BACKEND") for name in ("lane_rw", "lane_ro", PRIMARY, STANDBYS)),
)


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
