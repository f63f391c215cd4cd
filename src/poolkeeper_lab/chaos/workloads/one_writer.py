"""Clients write at every node's own port, all the time; only one node may ever accept it.

The timeline is the one of the WAL that is being written. `pg_control_checkpoint()` would show the former one until the
first checkpoint after a promotion has ended.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from poolkeeper_lab.chaos.checkers import one_writer_checker
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer


def insert(table: str) -> str:
    """Return the SQL of a write; its answer is the name of the WAL file that it is written to."""
    return f"INSERT INTO {table} DEFAULT VALUES RETURNING pg_walfile_name(pg_current_wal_insert_lsn())"


def timeline(answer: Answer) -> dict[str, int]:
    """Return the timeline: the first eight hexadecimal digits of a WAL file's name."""
    return {one_writer_checker.TIMELINE: int(answer.row[0][:8], 16)}


def made(name: str, nodes: Sequence[str]) -> WorkloadJob:
    """Return the job, with a client for each node."""
    table = job.table(name)

    def write(client: WorkloadClient, _: random.Random) -> None:
        client.single(one_writer_checker.WRITE, None, insert(table), timeline)

    return WorkloadJob(
        name,
        Workload("one_writer"),
        (f"CREATE TABLE {table} (at timestamptz NOT NULL DEFAULT clock_timestamp())",),
        tuple(ClientRole(node, write, refuses_writes=True) for node in nodes),
    )
