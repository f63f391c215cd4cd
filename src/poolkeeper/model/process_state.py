"""The observed states of the nodes' supervisor processes.

The process monitor produces these values; the keeper's decisions and reports use them. Invariant: a state that cannot
be determined is "unknown" with a reason, never dead or alive. Not covered: the state of PostgreSQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Life = Literal["alive", "dead", "unknown"]


@dataclass(frozen=True)
class Sight:
    """The observed state of one node's supervisor process.

    `since` is the time of the first observation of this state, in seconds of the monotonic clock. `reason` is a
    sentence for the reader.
    """

    node: str
    incarnation: str
    state: Life
    reason: str
    since: float
