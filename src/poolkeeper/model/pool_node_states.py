"""The states of a node in Pgpool-II, under the names that `SHOW POOL_NODES` prints.

Pgpool-II's control port (PCP) sends the same states as numbers: `system/pcp.py` translates them.
"""

from __future__ import annotations

from typing import Final, Literal

PoolNodeState = Literal["up", "waiting", "down", "unused"]

UP: Final = "up"  # Pgpool-II uses the node and has connections to it
WAITING: Final = "waiting"  # Pgpool-II uses the node and has no connection to it yet
DOWN: Final = "down"  # Pgpool-II has detached the node
UNUSED: Final = "unused"  # the backend number has no node

IN_USE: Final = (UP, WAITING)


def is_in_use(state: str) -> bool:
    """Return whether Pgpool-II sends sessions to a node in this state."""
    return state in IN_USE
