"""What the keeper knows of the nodes' processes.

Purpose: the values that pass between the keeper's witnesses, its decisions and its reports. Invariant: a witness that
cannot tell says "unknown" with its reason; it is never read as dead, nor as alive. They say nothing about PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Life = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True)
class ProcessState:
    """What the witness knows of one node's supervisor process.

    `since` is in seconds of the monotonic clock: when this state was first seen. `reason` is a sentence for people.
    """

    node: str
    incarnation: str
    state: Life
    reason: str
    since: float
