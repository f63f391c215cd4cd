"""Elements are added, and in the end every node has to have all that were acknowledged.

The table has no constraint, so a statement that was executed twice is visible as a duplicate and not an error.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from poolkeeper.model.endpoint_keys import RW
from poolkeeper_lab.chaos.checkers import grow_set_checker
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient

READ_PACE = 10.0  # seconds: a read returns the complete set, which is long in the end


def insert(table: str, element: int) -> str:
    """Return the SQL of an add."""
    return f"INSERT INTO {table} (element) VALUES ({element:d})"


def select(table: str) -> str:
    """Return the SQL of a read: one row for a set of any length."""
    return f"SELECT coalesce(json_agg(element), '[]') FROM {table}"


def made(name: str, endpoint: str, nodes: Sequence[str]) -> WorkloadJob:
    """Return the job at an endpoint; its final reads are at the read-write endpoint and at the nodes' own ports."""
    table, elements = job.table(name), itertools.count(1)

    def add(client: WorkloadClient, _: random.Random) -> None:
        element = next(elements)  # never used again, whatever its outcome
        client.single(grow_set_checker.ADD, element, insert(table, element))

    def read(client: WorkloadClient, _: random.Random) -> None:
        client.single(grow_set_checker.READ, None, select(table), job.json_of)

    def final(client: WorkloadClient, _: random.Random) -> None:
        client.single(grow_set_checker.READ, grow_set_checker.FINAL, select(table), job.json_of)

    return WorkloadJob(
        name,
        Workload("set"),
        (f"CREATE TABLE {table} (element bigint NOT NULL)",),
        (ClientRole(endpoint, add), ClientRole(endpoint, add), ClientRole(endpoint, read, READ_PACE)),
        tuple(ClientRole(target, final) for target in (RW, *nodes)),
    )
