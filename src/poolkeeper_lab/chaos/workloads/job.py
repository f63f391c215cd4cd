"""The parts of a workload: its tables, its clients, their final operations, and its checker.

Invariant: the tables of one job are touched by no other, so a checker knows every possible change of them.
Statements contain only our own numbers and names, so nothing has to be escaped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from poolkeeper.model import endpoint_keys
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

SCHEMA = "poolkeeper_chaos"  # in the application's database; a run creates and drops it
ENDPOINTS = endpoint_keys.POOLED
# Two cores are shared with the cluster: all clients together run about 150 operations a second. This leaves the cluster
# time to fail over as it would beside an application. A statement costs well below 1 ms, a connection 5 to 10 ms.
STATEMENT_PACE = 0.125  # seconds between the beginnings of two operations of a client of single statements
TRANSACTION_PACE = 0.25  # the same of a client of transactions, each of which is four to six statements
RETRY_PACE = 0.25  # after a failed one; all clients of an endpoint lose their connections at the same moment

Operation = Callable[[WorkloadClient, random.Random], None]


@dataclass(frozen=True)
class ClientRole:
    """A client and its repeated operation. `endpoint`: rw, ro, balanced, or a node's name for its own port."""

    endpoint: str
    operation: Operation
    pace: float = STATEMENT_PACE
    refuses_writes: bool = False


@dataclass(frozen=True)
class WorkloadJob:
    """A workload. `finals` run once each, when no other operation is in progress and all nodes have replayed."""

    name: str
    declared: Workload
    tables: tuple[str, ...]  # statements that create them with their initial rows
    roles: tuple[ClientRole, ...]
    finals: tuple[ClientRole, ...] = field(default=())


def table(name: str) -> str:
    """Return the qualified name of a workload's table; `set` alone would be a keyword of SQL."""
    return f"{SCHEMA}.of_{name}"


def json_of(answer: Answer) -> Any:
    """Return the JSON value of an answer's only column; None without a row, or if it is null."""
    return json.loads(answer.row[0]) if answer.row and answer.row[0] else None
