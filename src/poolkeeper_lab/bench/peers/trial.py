"""One fault on one cluster, from nothing: up, writers at its endpoint, the fault, service again, the way back, the account.

The writers, the gap and the judgement are the drill's own (`drill/client.py`, `drill/ledger.py`). Invariant: the
cluster is taken down whatever happens. What was not served again within SERVED_SECONDS is told so: its gap is then a
least.
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

UP_SECONDS = 180  # until it is whole
SERVED_SECONDS = 120  # from the fault until both writers are served again
BACK_SECONDS = 60  # from the healing until it is whole again, by itself
LOOK_PAUSE = 1.0
_FIRST_SECONDS = 60


@dataclass(frozen=True)
class FailoverTrial:
    """What one fault did. Seconds; `back` is None where it did not become whole by itself within BACK_SECONDS."""

    gap: float
    is_open: bool  # it was not served again
    acknowledged: int
    judgement: LedgerVerdict | None  # None where nobody could be asked
    back: float | None
    foreign: float  # as in `meter.Usage`, shortly before the fault
    up: float
    problems: tuple[str, ...] = ()


@dataclass
class _Notes:
    """What is noted while it runs."""

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
    """`phase`: further seconds of service before the fault. Raises PoolkeeperError where nothing could be measured."""
    notes, writes = _Notes(), Ledger()
    try:
        with progress.step(f"{cluster.title}: up"):
            _up(cluster, notes)
        with progress.step(f"{cluster.title}: {fault}"):
            _measure(cluster, fault, phase, notes, writes)
            found = writes.attempts(notes.ended)
            judgement = _judge(cluster, found, notes)
    finally:
        with interrupts.signals_blocked():
            cluster.down()
    gap = ledger.longest_gap(found, notes.injected, notes.ended)
    acknowledged = sum(a.outcome is AttemptOutcome.ACKNOWLEDGED for a in found)
    return FailoverTrial(gap.seconds, not notes.served, acknowledged, judgement, notes.back, notes.foreign, notes.up,
                 tuple(notes.problems or ()))  # fmt: skip


def _up(cluster: TrialCluster, notes: _Notes) -> None:
    began = time.monotonic()
    cluster.up()
    _until(f"{cluster.title} whole", cluster.lacks, UP_SECONDS, LOOK_PAUSE)
    notes.up = time.monotonic() - began
    _prepare(cluster.endpoint())
    notes.victim = contenders.primary_of(cluster.states())


def _prepare(endpoint: drill_client.ClientEndpoint) -> None:
    """The table, by the endpoint, so that it is where the writers' database is. Raises Unreachable."""
    query = f"CREATE TABLE {contenders.TABLE} (id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
    connect = endpoint.connect or link.connect

    def attempt() -> str | None:
        try:
            opened = connect(endpoint.dsn, drill_client.CONNECT_SECONDS)
        except link.Failed as e:
            return e.text
        try:
            opened.ask(query, drill_client.STATEMENT_SECONDS)
        except link.Failed as e:
            raise errors.Unreachable(f"no table could be made at {endpoint.dsn.label}: {e.text}") from e
        finally:
            opened.close()
        return None

    _until(f"the endpoint {endpoint.dsn.where}", attempt, _FIRST_SECONDS, LOOK_PAUSE)


def _measure(cluster: TrialCluster, fault: str, phase: float, notes: _Notes, writes: Ledger) -> None:
    with drill_client.running(cluster.endpoint(), writes):
        try:
            _served(writes, time.monotonic(), _FIRST_SECONDS)
            notes.foreign = _look_around(cluster, WARM_UP + phase)
            notes.injected = time.monotonic()
            cluster.break_it(fault, notes.victim)
            _recover(notes, writes)
            _return(cluster, fault, notes)
        finally:
            notes.ended = time.monotonic()  # before the clients end, whose silence is no gap


def _look_around(cluster: TrialCluster, seconds: float) -> float:
    """Service for so long; the share of the machine that somebody else used meanwhile."""
    watch = meter.Meter(cluster.pids())
    before = watch.read()
    time.sleep(seconds)  # a measured time, not a wait for something
    return watch.since(before).foreign


def _recover(notes: _Notes, writes: Ledger) -> None:
    """Wait until both writers are served by statements that they began HOLD seconds after the fault's injection."""
    time.sleep(HOLD)  # the least that a fault lasts, as in the drill
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
        _until(f"{cluster.title} whole again", cluster.lacks, BACK_SECONDS, LOOK_PAUSE)
        notes.back = time.monotonic() - began
        time.sleep(TAIL)
    except errors.DeadlinePassed as e:
        notes.problem(f"not whole again by itself within {BACK_SECONDS} s: {e.message.rpartition('last seen: ')[2]}")


def _judge(cluster: TrialCluster, found: tuple[Attempt, ...], notes: _Notes) -> LedgerVerdict | None:
    """By what the node has that acknowledged last: the one that clients are led to in the end."""
    last = next((a.server for a in reversed(found) if a.outcome is AttemptOutcome.ACKNOWLEDGED), "")
    node = next((name for name, address in cluster.nodes.items() if address == last), "")
    query = f"SELECT id, count(*) FROM {contenders.TABLE} GROUP BY id"
    try:
        stored = contenders.counts(cluster.rows(node or contenders.primary_of(cluster.states()), query))
    except errors.PoolkeeperError as e:
        notes.problem(f"not judged: {e.message}")
        return None
    return ledger.evaluate(found, stored, None)


def _served(writes: Ledger, since: float, seconds: float) -> None:
    def look() -> str | None:
        return None if writes.served_since(since, drill_client.CLIENTS) else "the writers are not served"

    _until("service for the writers", look, seconds, wait.PAUSE)


def _until(what: str, look: Callable[[], str | None], seconds: float, pause: float) -> None:
    """As `wait.wait_for`, for what is not asynchronous."""

    async def looked() -> str | None:
        return await interrupts.in_thread(look)

    interrupts.run(wait.wait_until(what, looked, seconds=seconds, pause=pause))
