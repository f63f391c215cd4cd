"""One fault on one cluster: start it, write at its endpoint, inject the fault, wait, heal, check the writes.

The writers, the gap and the verdict are the drill's own (`drill/drill_client.py`, `drill/ledger.py`). Invariant: the
cluster is removed in any case. If the writers are not served again within SERVED_SECONDS, the trial reports it, and its
gap is a lower bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from poolkeeper.core import errors, interrupts, wait
from poolkeeper.core.progress import Progress
from poolkeeper_lab.bench.measure import meter
from poolkeeper_lab.bench.peers import contenders
from poolkeeper_lab.bench.peers.contenders import TrialCluster
from poolkeeper_lab.drill import drill_client, ledger, link
from poolkeeper_lab.drill.drill_round import HOLD, TAIL, WARM_UP
from poolkeeper_lab.drill.ledger import Attempt, AttemptOutcome, Ledger, LedgerVerdict

UP_SECONDS = 180  # until it is healthy
SERVED_SECONDS = 120  # from the fault until both writers are served again
BACK_SECONDS = 60  # from the healing until it has recovered automatically
POLL_PAUSE = 1.0
_FIRST_SECONDS = 60


@dataclass(frozen=True)
class FailoverTrial:
    """The result of one fault, in seconds; `back` is None if it did not recover automatically within BACK_SECONDS."""

    gap: float
    is_open: bool  # the writers were not served again
    acknowledged: int
    verdict: LedgerVerdict | None  # None if no node could be queried
    back: float | None
    foreign: float  # as in `meter.Usage`, shortly before the fault
    up: float
    problems: tuple[str, ...] = ()


@dataclass
class _Notes:
    """The notes of a running trial."""

    victim: str = ""
    injected: float = 0.0
    ended: float = 0.0
    foreign: float = 0.0
    up: float = 0.0
    back: float | None = None
    served: bool = False
    problems: list[str] | None = None

    def problem(self, text: str) -> None:
        self.problems = [*(self.problems or []), text]


def perform(cluster: TrialCluster, fault: str, phase: float, progress: Progress) -> FailoverTrial:
    """Run a trial; `phase` adds seconds of service before the fault.

    Raises:
        PoolkeeperError: if the trial could not be measured.
    """
    notes, writes = _Notes(), Ledger()
    try:
        with progress.step(f"{cluster.title}: up"):
            _up(cluster, notes)
        with progress.step(f"{cluster.title}: {fault}"):
            _measure(cluster, fault, phase, notes, writes)
            found = writes.attempts(notes.ended)
            verdict = _check(cluster, found, notes)
    finally:
        with interrupts.signals_blocked():
            cluster.down()
    gap = ledger.longest_gap(found, notes.injected, notes.ended)
    acknowledged = sum(a.outcome is AttemptOutcome.ACKNOWLEDGED for a in found)
    return FailoverTrial(gap.seconds, not notes.served, acknowledged, verdict, notes.back, notes.foreign, notes.up,
                 tuple(notes.problems or ()))  # fmt: skip


def _up(cluster: TrialCluster, notes: _Notes) -> None:
    began = time.monotonic()
    cluster.up()
    _until(f"a healthy {cluster.title}", cluster.lacks, UP_SECONDS, POLL_PAUSE)
    notes.up = time.monotonic() - began
    _prepare(cluster.endpoint())
    notes.victim = contenders.primary_of(cluster.states())


def _prepare(endpoint: drill_client.ClientEndpoint) -> None:
    """Create the table through the endpoint, so that it is in the writers' database.

    Raises:
        Unreachable: if the endpoint accepts a connection and the statement fails.
    """
    query = f"CREATE TABLE {contenders.TABLE} (id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
    connect = endpoint.connect or link.connect

    def create() -> str | None:
        """Create the table, and return the reason if no connection is possible.

        Raises:
            Unreachable: if the statement fails.
        """
        try:
            opened = connect(endpoint.dsn, drill_client.CONNECT_SECONDS)
        except link.Failed as e:
            return e.text
        try:
            opened.ask(query, drill_client.STATEMENT_SECONDS)
        except link.Failed as e:
            raise errors.Unreachable(f"no table could be created at {endpoint.dsn.label}: {e.text}") from e
        finally:
            opened.close()
        return None

    _until(f"the endpoint {endpoint.dsn.where}", create, _FIRST_SECONDS, POLL_PAUSE)


def _measure(cluster: TrialCluster, fault: str, phase: float, notes: _Notes, writes: Ledger) -> None:
    with drill_client.running(cluster.endpoint(), writes):
        try:
            _served(writes, time.monotonic(), _FIRST_SECONDS)
            notes.foreign = _foreign_load(cluster, WARM_UP + phase)
            notes.injected = time.monotonic()
            cluster.break_it(fault, notes.victim)
            _recover(notes, writes)
            _return(cluster, fault, notes)
        finally:
            notes.ended = time.monotonic()  # before the clients end: their silence is no gap


def _foreign_load(cluster: TrialCluster, seconds: float) -> float:
    """Let the writers work for `seconds`, and return the foreign share of the machine meanwhile."""
    watch = meter.Meter(cluster.pids())
    before = watch.read()
    time.sleep(seconds)  # a measured time, not a wait for something
    return watch.since(before).foreign


def _recover(notes: _Notes, writes: Ledger) -> None:
    """Wait until both writers are served, by statements begun at least HOLD seconds after the injection."""
    time.sleep(HOLD)  # the least duration of a fault, as in the drill
    left = SERVED_SECONDS - (time.monotonic() - notes.injected)
    try:
        _served(writes, time.monotonic(), max(left, 1.0))
        notes.served = True
    except errors.DeadlinePassed:
        notes.problem(f"not served again within {SERVED_SECONDS} s")


def _return(cluster: TrialCluster, fault: str, notes: _Notes) -> None:
    cluster.heal(fault, notes.victim)
    began = time.monotonic()
    try:
        _until(f"the recovery of {cluster.title}", cluster.lacks, BACK_SECONDS, POLL_PAUSE)
        notes.back = time.monotonic() - began
        time.sleep(TAIL)
    except errors.DeadlinePassed as e:
        notes.problem(f"not recovered automatically within {BACK_SECONDS} s: {e.message.rpartition('last seen: ')[2]}")


def _check(cluster: TrialCluster, found: tuple[Attempt, ...], notes: _Notes) -> LedgerVerdict | None:
    """Compare the writes with the node that acknowledged last: clients are connected to it in the end."""
    last = next((a.server for a in reversed(found) if a.outcome is AttemptOutcome.ACKNOWLEDGED), "")
    node = next((name for name, address in cluster.nodes.items() if address == last), "")
    query = f"SELECT id, count(*) FROM {contenders.TABLE} GROUP BY id"
    try:
        stored = contenders.counts(cluster.rows(node or contenders.primary_of(cluster.states()), query))
    except errors.PoolkeeperError as e:
        notes.problem(f"not checked: {e.message}")
        return None
    return ledger.evaluate(found, stored, None)


def _served(writes: Ledger, since: float, seconds: float) -> None:
    def missing() -> str | None:
        return None if writes.served_since(since, drill_client.CLIENTS) else "the writers are not served"

    _until("service for the writers", missing, seconds, wait.PAUSE)


def _until(what: str, missing: Callable[[], str | None], seconds: float, pause: float) -> None:
    """Wait until `missing`, which blocks, returns None instead of the missing condition. Raises DeadlinePassed."""

    async def check() -> None:
        wait.require(await interrupts.in_thread(missing))

    interrupts.run(wait.wait_for(what, check, seconds=seconds, pause=pause))
