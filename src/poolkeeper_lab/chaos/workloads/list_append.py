"""Transactions of two to four statements that append to lists and read them, all at one isolation level.

A list takes ELEMENTS elements, and then its key is retired: a read returns the complete list, so long lists would make
the history long and the reads slow. A few keys are in use at a time, so that transactions meet.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

from poolkeeper.model.endpoint_keys import RW
from poolkeeper_lab.chaos.checkers import appends
from poolkeeper_lab.chaos.history.history import Workload
from poolkeeper_lab.chaos.workloads import job
from poolkeeper_lab.chaos.workloads.job import ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import WorkloadClient
from poolkeeper_lab.drill.link import Answer

CLIENTS = 2
KEYS = 4  # in use at a time
ELEMENTS = 40  # of a list, about
STATEMENTS = (2, 4)
LEVELS = {"serializable": "SERIALIZABLE", "repeatable-read": "REPEATABLE READ"}  # the checker's word → PostgreSQL's

Step = list[Any]  # ["append", key, element] or ["r", key, None]


def statement(table: str, step: Step) -> str:
    """Return the SQL of a step of a transaction."""
    what, key, element = step
    if what == appends.READ:
        return f"SELECT array_to_json(elements) FROM {table} WHERE key = {key:d}"
    return (
        f"INSERT INTO {table} AS kept (key, elements) VALUES ({key:d}, ARRAY[{element:d}]) "
        f"ON CONFLICT (key) DO UPDATE SET elements = kept.elements || {element:d}"
    )


def everything(table: str) -> str:
    """Return the SQL of the final read: all lists in one snapshot."""
    return f"SELECT json_object_agg(key, elements) FROM {table}"


def seen(steps: Sequence[Step], answers: Sequence[Answer]) -> list[Step]:
    """Return the steps with the results of the reads; a list without a row is empty."""
    pairs = zip(steps, answers, strict=True)
    return [[w, k, job.json_of(a) or [] if w == appends.READ else e] for (w, k, e), a in pairs]


class AppendSteps:
    """A maker of transactions; threads may share it."""

    def __init__(self) -> None:
        self._elements = 0
        self._lock = threading.Lock()

    def transaction(self, chance: random.Random) -> list[Step]:
        """Return some steps on the keys in use; every element is new."""
        return [self._step(chance) for _ in range(chance.randint(*STATEMENTS))]

    def _step(self, chance: random.Random) -> Step:
        with self._lock:
            key = self.keys[-KEYS:][chance.randrange(KEYS)]
            if chance.random() < 0.5:
                return [appends.READ, key, None]
            self._elements += 1
            return [appends.APPEND, key, self._elements]

    @property
    def keys(self) -> range:
        """All keys that were ever used; the last KEYS of them are in use."""
        return range(KEYS * (self._elements // (KEYS * ELEMENTS) + 1))


def made(name: str, level: str) -> WorkloadJob:
    """Return the job at an isolation level, at the read-write endpoint."""
    table, steps, isolation = job.table(name), AppendSteps(), LEVELS[level]

    def operate(client: WorkloadClient, chance: random.Random) -> None:
        asked = steps.transaction(chance)
        sql = [statement(table, step) for step in asked]
        client.transaction(appends.TRANSACTION, asked, isolation, sql, lambda answers: seen(asked, answers))

    def final(client: WorkloadClient, _: random.Random) -> None:
        def read(answers: Sequence[Answer]) -> list[Step]:
            lists = job.json_of(answers[0]) or {}
            return [[appends.READ, key, lists.get(str(key), [])] for key in steps.keys]

        asked = [[appends.READ, key, None] for key in steps.keys]
        client.transaction(appends.FINAL, asked, isolation, [everything(table)], read)

    return WorkloadJob(
        name,
        Workload("list_append", {"level": level}),
        (f"CREATE TABLE {table} (key bigint PRIMARY KEY, elements bigint[] NOT NULL)",),
        tuple(ClientRole(RW, operate, job.TRANSACTION_PACE) for _ in range(CLIENTS)),
        (ClientRole(RW, final),),
    )
