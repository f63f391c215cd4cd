"""A counter beats at the read-write endpoint; the read-only endpoint shows it, and refuses every write.

A beat takes the greater of what is there and its own number, so that one that takes effect late, after the client had
given it up, cannot turn the counter back: a read that goes back is then the endpoint's doing.
"""

from __future__ import annotations

import itertools
import random

from poolkeeper_lab.chaos.checkers import read_only_checker
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

READERS = 2
BEAT_PACE = 0.1  # seconds: how finely the age of a read is known
WRITE_PACE = 0.5  # a write that has to be refused
SLACK = 5.0  # seconds that looking and acting may take beyond the bound: keeper's tick, and a standby's own progress


def beat(table: str, number: int) -> str:
    """The SQL of a beat."""
    return f"UPDATE {table} SET number = greatest(number, {number:d})"


def number_of(answer: Answer) -> int:
    """What a read saw; there always is a row."""
    return int(answer.row[0])


def made(name: str, bound: float | None) -> WorkloadJob:
    """The job. `bound`: the seconds that a read may be old, None where nothing holds them in this run."""
    table, numbers = job.table(name), itertools.count(1)

    def act(client: WorkloadClient, _: random.Random) -> None:
        number = next(numbers)
        client.single(read_only_checker.BEAT, number, beat(table, number))

    def read(client: WorkloadClient, _: random.Random) -> None:
        client.single(read_only_checker.READ, None, f"SELECT number FROM {table}", number_of)

    def write(client: WorkloadClient, _: random.Random) -> None:
        client.single(read_only_checker.WRITE, None, beat(table, 0))  # changes nothing, and is a write all the same

    return WorkloadJob(
        name,
        Workload("read_only", {"bound": bound, "slack": SLACK}),
        (f"CREATE TABLE {table} (number bigint NOT NULL)", f"INSERT INTO {table} VALUES (0)"),
        (
            ClientRole(job.RW, act, BEAT_PACE),
            *(ClientRole(job.RO, read) for _ in range(READERS)),
            ClientRole(job.RO, write, WRITE_PACE, refuses_writes=True),
        ),
    )
