"""The clients of a run at work: a thread each, from a beginning to an end, and then the final reads.

Invariant: when `working` has ended, no operation is under way any more, or it is left without a completion. A client
that ends by an error of its own is told, for a workload that fell silent proves less than it seems.
Not promised: the order in which clients act; only what each of them asks follows from the seed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from poolkeeper.cluster.handle import Cluster
from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.chaos.history.recorder import Recorder
from poolkeeper_lab.chaos.workloads.job import ENDPOINTS, RETRY_PACE, ClientRole, WorkloadJob
from poolkeeper_lab.chaos.workloads.workload_client import CONNECT_SECONDS, STATEMENT_SECONDS, WorkloadClient

FINAL_SECONDS = 60.0  # for all final reads together; the cluster is whole by then
FINAL_PACE = 1.0  # seconds between two tries of one, which is a new operation each time
_JOIN_SECONDS = CONNECT_SECONDS + 2 * STATEMENT_SECONDS + 2.0  # of the longest wait of a client, and some


def dsn_of(cluster: Cluster, endpoint: str) -> Dsn:
    """An endpoint's port, or a node's own one, as the application's role."""
    database = cluster.spec.roles.app_database
    return (
        cluster.endpoint(endpoint, "app", database)
        if endpoint in ENDPOINTS
        else cluster.node(endpoint, "app", database)
    )


@dataclass
class RunClients:
    """Makes clients, numbers them, and hears of those that failed."""

    recorder: Recorder
    cluster: Cluster
    seed: int
    problems: list[str] = field(default_factory=list)
    _count: int = 0

    def hire(self, job: WorkloadJob, role: ClientRole) -> Worker:
        """A client for a role."""
        self._count += 1
        dsn = dsn_of(self.cluster, role.endpoint)
        client = WorkloadClient(self.recorder, self._count, job.name, role.endpoint, dsn, role.refuses_writes)
        return Worker(client, role, random.Random(f"{self.seed}/{self._count}"), lambda e: self._complain(job.name, e))

    def _complain(self, workload: str, error: Exception) -> None:
        self.problems.append(f"a client of {workload} ended: {type(error).__name__}: {error}")


class Worker(threading.Thread):
    """One client at work."""

    def __init__(
        self, client: WorkloadClient, role: ClientRole, chance: random.Random, complain: Callable[[Exception], None]
    ) -> None:
        super().__init__(name=f"chaos {role.endpoint}", daemon=True)
        self.client = client
        self._role, self._chance, self._complain = role, chance, complain
        self._end = threading.Event()

    def run(self) -> None:
        """Act until told to end; the one that is under way ends first."""
        try:
            while not self._end.is_set():
                began = time.monotonic()
                self._role.operation(self.client, self._chance)
                pace = self._role.pace if self.client.is_open else max(self._role.pace, RETRY_PACE)
                self._end.wait(max(0.001, began + pace - time.monotonic()))
        except Exception as e:  # noqa: BLE001 (whatever it is, it has to be told; the other clients go on)
            self._complain(e)
        finally:
            self.client.end()

    def end(self) -> None:
        """Ask it to end."""
        self._end.set()

    def try_once(self) -> bool:
        """One operation in the caller's thread; was it answered in order?"""
        self._role.operation(self.client, self._chance)
        return self.client.is_open


@contextmanager
def working(crew: RunClients, jobs: Sequence[WorkloadJob]) -> Iterator[None]:
    """All clients of all jobs, for the length of the block."""
    workers = [crew.hire(job, role) for job in jobs for role in job.roles]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.end()
        deadline = time.monotonic() + _JOIN_SECONDS
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        left = sum(worker.is_alive() for worker in workers)
        if left:
            crew.problems.append(f"{left} clients did not end, so the final reads are not the last operations")


def read_finals(
    crew: RunClients, jobs: Sequence[WorkloadJob], stop: threading.Event, seconds: float = FINAL_SECONDS
) -> None:
    """Every final read, each once at the least and until it is answered, but not beyond the time that all have."""
    deadline = time.monotonic() + seconds
    for job in jobs:
        for role in job.finals:
            worker = crew.hire(job, role)
            try:
                while not (stop.is_set() or worker.try_once() or time.monotonic() > deadline):
                    stop.wait(FINAL_PACE)
            finally:
                worker.client.end()
