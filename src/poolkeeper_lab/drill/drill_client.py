"""A client of an endpoint: it sends one statement after the other, and records each in the ledger before and after.

Invariant: no attempt exceeds its deadline, and a hanging connection delays no other client: the kept connection and the
fresh ones have separate threads. The paces respect that the clients share two cores with the cluster: a fresh
connection costs 5 to 10 ms of CPU (SCRAM at two hops), a statement on a kept one well below 1 ms.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from poolkeeper.model.dsn import Dsn
from poolkeeper_lab.drill import ledger, link

KEPT, FRESH = "kept", "fresh"
CLIENTS = (KEPT, FRESH)
KEPT_PACE = 0.005  # seconds between two statements on the kept connection
FRESH_PACE = 0.1  # seconds between two connections; each takes one statement
RETRY_PACE = 0.05  # seconds between two tries of a lost kept connection
CONNECT_SECONDS = 4.0  # an endpoint may hold a new session while there is no server for it
STATEMENT_SECONDS = 3.0  # after that the client closes the connection, and the statement is ambiguous
_MARGIN = 2.0


@dataclass(frozen=True)
class ClientEndpoint:
    """An endpoint and its statements: `statement` returns the statement of an id; its first column names the server."""

    key: str  # rw | ro
    dsn: Dsn
    statement: Callable[[int], str]
    kept_pace: float = KEPT_PACE
    fresh_pace: float = FRESH_PACE
    connect: Callable[[Dsn, float], link.Link] | None = None  # for an endpoint without a single port; else link.connect


class DrillClient(threading.Thread):
    """Sends statements until `end` is called."""

    def __init__(self, name: str, endpoint: ClientEndpoint, record: ledger.Ledger) -> None:
        super().__init__(name=f"drill {endpoint.key} {name}", daemon=True)
        self._client = name
        self._endpoint = endpoint
        self._record = record
        self._kept: link.Link | None = None
        self._end = threading.Event()

    def run(self) -> None:
        """Send statements in a loop, at the client's pace."""
        while not self._end.is_set():
            began = time.monotonic()
            pace = self._pace(self._attempt(began))
            self._end.wait(max(0.001, began + pace - time.monotonic()))
        self._drop()

    def end(self) -> None:
        """Request the end; an attempt in progress ends first."""
        self._end.set()

    def _pace(self, went_well: bool) -> float:
        if self._client == FRESH:
            return self._endpoint.fresh_pace
        return self._endpoint.kept_pace if went_well else RETRY_PACE

    def _attempt(self, began: float) -> bool:
        """Send one statement and record its result; return whether it was answered without an error."""
        number = self._record.open(self._client, began)
        try:
            answer = self._connected().ask(self._endpoint.statement(number), STATEMENT_SECONDS)
        except link.Failed as e:
            self._drop()
            self._record.close(number, time.monotonic(), ledger.outcome_of(e.code, e.sent), e.code)
            return False
        outcome = ledger.AttemptOutcome.AMBIGUOUS if answer.warning else ledger.AttemptOutcome.ACKNOWLEDGED
        server = answer.row[0] if answer.row else ""
        self._record.close(number, time.monotonic(), outcome, answer.warning, server)
        if self._client == FRESH:
            self._drop()
        return True

    def _connected(self) -> link.Link:
        if self._kept is None:
            connect = self._endpoint.connect or link.connect
            self._kept = connect(self._endpoint.dsn, CONNECT_SECONDS)
        return self._kept

    def _drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


@contextmanager
def running(endpoint: ClientEndpoint, record: ledger.Ledger) -> Iterator[None]:
    """Run both clients of an endpoint during the block."""
    clients = [DrillClient(name, endpoint, record) for name in CLIENTS]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.end()
        for client in clients:
            client.join(CONNECT_SECONDS + STATEMENT_SECONDS + _MARGIN)
