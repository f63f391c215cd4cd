"""A counter beats at the read-write endpoint; the read-only endpoint returns it, and refuses every write.

A beat writes the greater of the stored and its own number. So a beat that takes effect late, after the client had given
it up, cannot turn the counter back: a read that goes back is then the fault of the endpoint.
"""

from __future__ import annotations

import itertools
import random

from poolkeeper.model.endpoint_keys import RO, RW
from poolkeeper_lab.chaos.checkers import read_only_checker
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

READERS = 2
BEAT_PACE = 0.1  # seconds: the resolution of a read's age
WRITE_PACE = 0.5  # a write that has to be refused
SLACK = 5.0  # seconds beyond the bound for the check and the action: keeper's tick, and a standby's own progress


def beat(table: str, number: int) -> str:
    """Return the SQL of a beat."""
    return f"UPDATE {table} SET number = greatest(number, {number:d})"


def number_of(answer: Answer) -> int:
    """Return the result of a read; there always is a row."""
    return int(answer.row[0])


def made(name: str, bound: float | None) -> WorkloadJob:
    """Return the job. `bound`: the maximal age of a read in seconds; None if nothing enforces it in this run."""
    table, numbers = job.table(name), itertools.count(1)

    def operate(client: WorkloadClient, _: random.Random) -> None:
        number = next(numbers)
        client.single(read_only_checker.BEAT, number, beat(table, number))

    def read(client: WorkloadClient, _: random.Random) -> None:
        client.single(read_only_checker.READ, None, f"SELECT number FROM {table}", number_of)

    def write(client: WorkloadClient, _: random.Random) -> None:
        client.single(read_only_checker.WRITE, None, beat(table, 0))  # a write, although it changes no value

    return WorkloadJob(
        name,
        Workload("read_only", {"bound": bound, "slack": SLACK}),
        (f"CREATE TABLE {table} (number bigint NOT NULL)", f"INSERT INTO {table} VALUES (0)"),
        (
            ClientRole(RW, operate, BEAT_PACE),
            *(ClientRole(RO, read) for _ in range(READERS)),
            ClientRole(RO, write, WRITE_PACE, refuses_writes=True),
        ),
    )
