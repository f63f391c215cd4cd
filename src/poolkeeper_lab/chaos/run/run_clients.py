"""Run the clients of all workloads, a thread each, and then the final reads.

Invariant: after `working` has ended, no operation is in progress, or it stays without a completion. A client that ends
by an error is reported, because a silent workload proves less than it seems to.
Not promised: the order of operations across clients; only the operations of each client follow from the seed.
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

FINAL_SECONDS = 60.0  # for all final reads together; the cluster is healthy by then
FINAL_PACE = 1.0  # seconds between two tries of a final read; each try is a new operation
_JOIN_SECONDS = CONNECT_SECONDS + 2 * STATEMENT_SECONDS + 2.0  # the longest wait of a client, and a margin


def dsn_of(cluster: Cluster, endpoint: str) -> Dsn:
    """Return the connection to an endpoint's port, or to a node's own port, as the application's role."""
    database = cluster.spec.roles.app_database
    return (
        cluster.endpoint(endpoint, "app", database)
        if endpoint in ENDPOINTS
        else cluster.node(endpoint, "app", database)
    )


@dataclass
class RunClients:
    """Creates and numbers clients, and collects the problems of those that failed."""

    recorder: Recorder
    cluster: Cluster
    seed: int
    problems: list[str] = field(default_factory=list)
    _count: int = 0

    def create(self, job: WorkloadJob, role: ClientRole) -> Worker:
        """Create a client for a role."""
        self._count += 1
        dsn = dsn_of(self.cluster, role.endpoint)
        client = WorkloadClient(self.recorder, self._count, job.name, role.endpoint, dsn, role.refuses_writes)
        return Worker(client, role, random.Random(f"{self.seed}/{self._count}"), lambda e: self._note(job.name, e))

    def _note(self, workload: str, error: Exception) -> None:
        self.problems.append(f"a client of {workload} ended: {type(error).__name__}: {error}")


class Worker(threading.Thread):
    """One client at work."""

    def __init__(
        self, client: WorkloadClient, role: ClientRole, chance: random.Random, on_error: Callable[[Exception], None]
    ) -> None:
        super().__init__(name=f"chaos {role.endpoint}", daemon=True)
        self.client = client
        self._role, self._chance, self._on_error = role, chance, on_error
        self._end = threading.Event()

    def run(self) -> None:
        """Run operations until `end` is called; an operation in progress ends first."""
        try:
            while not self._end.is_set():
                began = time.monotonic()
                self._role.operation(self.client, self._chance)
                pace = self._role.pace if self.client.is_open else max(self._role.pace, RETRY_PACE)
                self._end.wait(max(0.001, began + pace - time.monotonic()))
        except Exception as e:  # noqa: BLE001 (every error is reported, and the other clients continue)
            self._on_error(e)
        finally:
            self.client.end()

    def end(self) -> None:
        """Request the end; does not wait."""
        self._end.set()

    def try_once(self) -> bool:
        """Run one operation in the caller's thread; return whether it was answered in order."""
        self._role.operation(self.client, self._chance)
        return self.client.is_open


@contextmanager
def working(clients: RunClients, jobs: Sequence[WorkloadJob]) -> Iterator[None]:
    """Run all clients of all jobs during the block."""
    workers = [clients.create(job, role) for job in jobs for role in job.roles]
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
            clients.problems.append(f"{left} clients did not end, so the final reads are not the last operations")


def read_finals(
    clients: RunClients, jobs: Sequence[WorkloadJob], stop: threading.Event, seconds: float = FINAL_SECONDS
) -> None:
    """Run every final read at least once and until it is answered, within `seconds` for all of them."""
    deadline = time.monotonic() + seconds
    for job in jobs:
        for role in job.finals:
            worker = clients.create(job, role)
            try:
                while not (stop.is_set() or worker.try_once() or time.monotonic() > deadline):
                    stop.wait(FINAL_PACE)
            finally:
                worker.client.end()
