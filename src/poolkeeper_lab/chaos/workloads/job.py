"""What a workload is made of: its tables, its clients, what they do in the end, and who judges it.

Invariant: the tables of one job are touched by no other, so that a checker knows all that can have changed them.
Statements hold numbers and names of ours only, so that nothing has to be escaped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

SCHEMA = "poolkeeper_chaos"  # in the application's database; made and dropped by a run
ENDPOINTS = RW, RO, POOL = "rw", "ro", "balanced"
# Two cores are shared with the cluster: all paces together ask about 150 operations a second, which leaves the cluster
# the time to fail over as it would beside an application. A statement costs well below 1 ms, a connection 5 to 10 ms.
ACT_PACE = 0.125  # seconds between the beginnings of two operations of a client of single statements
TRANSACTION_PACE = 0.25  # the same of a client of transactions, each of which is four to six statements
RETRY_PACE = 0.25  # after a failed one; all clients of an endpoint lose their connections at the same moment

Act = Callable[[WorkloadClient, random.Random], None]  # one operation


@dataclass(frozen=True)
class ClientRole:
    """A client by what it does again and again. `endpoint`: rw, ro, pool, or a node's name for its own port."""

    endpoint: str
    act: Act
    pace: float = ACT_PACE
    refuses_writes: bool = False


@dataclass(frozen=True)
class WorkloadJob:
    """A workload. `finals` are asked once each when no other operation is under way and all nodes have replayed."""

    name: str
    declared: Workload
    tables: tuple[str, ...]  # statements that make them, with what is in them at first
    roles: tuple[ClientRole, ...]
    finals: tuple[ClientRole, ...] = field(default=())


def table(name: str) -> str:
    """The qualified name of a workload's table; `set` by itself would be a word of SQL."""
    return f"{SCHEMA}.of_{name}"


def json_of(answer: Answer) -> Any:
    """The JSON value of an answer's only column; None where there is no row or it is null."""
    return json.loads(answer.row[0]) if answer.row and answer.row[0] else None
