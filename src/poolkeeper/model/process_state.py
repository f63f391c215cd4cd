"""The observed states of the nodes' supervisor processes.

Purpose: the values that pass between the keeper's watchers, its decisions and its reports. Invariant: a monitor that
cannot decide reports "unknown" with its reason; "unknown" is never read as dead, nor as alive. These values say nothing
about PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Life = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True)
class ProcessState:
    """The state of one node's supervisor process, as the process monitor knows it.

    `since` is when this state was first observed, in seconds of the monotonic clock. `reason` is a sentence for people.
    """

    node: str
    incarnation: str
    state: Life
    reason: str
    since: float
