"""Single statements that read, write, and compare and set variables at the read-write endpoint.

A key takes about OPERATIONS operations and is then retired: an operation that a fault left open stays possible forever,
and a search over few operations stays short. They are counted and not timed, so keys in use continue after a pause.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

from poolkeeper.model.endpoint_keys import RW
from poolkeeper_lab.chaos.checkers import register_checker
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

CLIENTS = 3
KEYS = 3  # in use at a time
OPERATIONS = 150  # of a key, about
VALUES = 5  # few, so that a compare-and-set often succeeds


def read(table: str, key: int) -> str:
    """Return the SQL of a read."""
    return f"SELECT value FROM {table} WHERE key = {key:d}"


def write(table: str, key: int, value: int) -> str:
    """Return the SQL of a write, which inserts the row if there is none."""
    values = f"VALUES ({key:d}, {value:d})"
    return f"INSERT INTO {table} (key, value) {values} ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def compare_and_set(table: str, key: int, old: int, new: int) -> str:
    """Return the SQL of a compare-and-set: at READ COMMITTED the row is checked again once it is locked."""
    return f"UPDATE {table} SET value = {new:d} WHERE key = {key:d} AND value = {old:d}"


def value_of(answer: Answer) -> int | None:
    """Return the result of a read; None without a row."""
    return int(answer.row[0]) if answer.row else None


def was_set(answer: Answer) -> bool:
    """Return whether a compare-and-set succeeded, by the tag: UPDATE 1 or UPDATE 0."""
    return answer.tag == "UPDATE 1"


def made(name: str) -> WorkloadJob:
    """Return the job."""
    table, count = job.table(name), itertools.count()

    def operate(client: WorkloadClient, chance: random.Random) -> None:
        key = KEYS * (next(count) // (KEYS * OPERATIONS)) + chance.randrange(KEYS)
        old, new = chance.randrange(VALUES), chance.randrange(VALUES)
        match chance.choice(
            (register_checker.READ, register_checker.READ, register_checker.WRITE, register_checker.CAS)
        ):
            case register_checker.READ:
                client.single(register_checker.READ, [key, None], read(table, key), value_of)
            case register_checker.WRITE:
                client.single(register_checker.WRITE, [key, new], write(table, key, new))
            case _:
                asked: list[Any] = [key, [old, new]]
                client.single(register_checker.CAS, asked, compare_and_set(table, key, old, new), was_set)

    return WorkloadJob(
        name,
        Workload("register"),
        (f"CREATE TABLE {table} (key bigint PRIMARY KEY, value bigint NOT NULL)",),
        tuple(ClientRole(RW, operate) for _ in range(CLIENTS)),
    )
