"""A client of an endpoint: one statement after the other, each in the ledger before it is sent and after it is answered.

Invariant: no attempt outlives its deadline, and a client whose connection hangs hides nothing from another one: the
kept connection and the fresh ones are threads of their own. Why the paces are as they are: two cores are shared with
the cluster, a fresh connection costs 5 to 10 ms of CPU (SCRAM at two hops), a statement on a kept one well below 1 ms.
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
STATEMENT_SECONDS = 3.0  # then the connection is given up, and the statement is ambiguous
_MARGIN = 2.0


@dataclass(frozen=True)
class ClientEndpoint:
    """An endpoint and what is asked there: `statement` makes the statement of an id; its first column is who answered."""

    key: str  # rw | ro
    dsn: Dsn
    statement: Callable[[int], str]
    kept_pace: float = KEPT_PACE
    fresh_pace: float = FRESH_PACE
    connect: Callable[[Dsn, float], link.Link] | None = None  # where there is no one port to go to; else link.connect


class DrillClient(threading.Thread):
    """Asks until it is told to end."""

    def __init__(self, name: str, endpoint: ClientEndpoint, account: ledger.Ledger) -> None:
        super().__init__(name=f"drill {endpoint.key} {name}", daemon=True)
        self._client = name
        self._endpoint = endpoint
        self._account = account
        self._kept: link.Link | None = None
        self._end = threading.Event()

    def run(self) -> None:
        """The loop."""
        while not self._end.is_set():
            began = time.monotonic()
            pace = self._pace(self._attempt(began))
            self._end.wait(max(0.001, began + pace - time.monotonic()))
        self._drop()

    def end(self) -> None:
        """Ask it to end; the attempt that is under way ends first."""
        self._end.set()

    def _pace(self, went_well: bool) -> float:
        if self._client == FRESH:
            return self._endpoint.fresh_pace
        return self._endpoint.kept_pace if went_well else RETRY_PACE

    def _attempt(self, began: float) -> bool:
        """One statement, told to the account; did it go well?"""
        number = self._account.open(self._client, began)
        try:
            answer = self._connected().ask(self._endpoint.statement(number), STATEMENT_SECONDS)
        except link.Failed as e:
            self._drop()
            self._account.close(number, time.monotonic(), ledger.outcome_of(e.code, e.sent), e.code)
            return False
        outcome = ledger.AttemptOutcome.AMBIGUOUS if answer.warning else ledger.AttemptOutcome.ACKNOWLEDGED
        server = answer.row[0] if answer.row else ""
        self._account.close(number, time.monotonic(), outcome, answer.warning, server)
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
def running(endpoint: ClientEndpoint, account: ledger.Ledger) -> Iterator[None]:
    """Both clients of an endpoint, for the length of the block."""
    clients = [DrillClient(name, endpoint, account) for name in CLIENTS]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.end()
        for client in clients:
            client.join(CONNECT_SECONDS + STATEMENT_SECONDS + _MARGIN)
