"""What is seen from the host while a fault runs: who owns the leader key, and who has left recovery.

Invariant: every time is `time.monotonic()` of this process at the moment at which the news arrived; so each is late by
the way of the news (etcd's watch: a few ms; the poll of a node: up to POLL_PACE and one query), and never early.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Protocol

from poolkeeper.cluster.handle import Cluster
from poolkeeper.core import errors
from poolkeeper.model.dsn import Dsn
from poolkeeper.system import cluster_store, etcd_kv, etcd_wire
from poolkeeper_lab.drill import link
from poolkeeper_lab.drill.split import LeaseTimes, Recovery

POLL_PACE = 0.02  # seconds between two questions to a node
RETRY_PACE = 0.1  # seconds between two connections to a node that does not answer
ASK_SECONDS = 1.0  # a node that gives no answer for so long is silent
PRIMARY, STANDBY, SILENT = "primary", "standby", "silent"


class LeaseJournal(Protocol):
    """Who wants to hear of the leader key."""

    def note_owner(self, owner: str | None, revision: int) -> None:
        """The leader key has this owner since this revision of the store; None and 0: there is none."""

    def note_blind(self, reason: str) -> None:
        """It could not be watched for a while."""


class WatchLog:
    """What was seen, in the order in which it was; threads may share it. Only changes are kept."""

    def __init__(self) -> None:
        self.leases: list[LeaseTimes] = []
        self.recoveries: list[Recovery] = []
        self.blind: list[str] = []  # why the leader key could not be watched for a while

    def note_owner(self, owner: str | None, revision: int) -> None:
        """The leader key has this owner now; the same owner's next revision is no news here."""
        del revision
        if not self.leases or self.leases[-1].owner != owner:
            self.leases.append(LeaseTimes(time.monotonic(), owner))

    def note_blind(self, reason: str) -> None:
        """The leader key could not be watched for a while."""
        self.blind.append(reason)

    def note_state(self, node: str, state: str) -> None:
        """The node says this now."""
        if self.state(node) != state:
            self.recoveries.append(Recovery(time.monotonic(), node, state))

    def state(self, node: str) -> str:
        """What the node said last; "" if it was not asked yet."""
        return next((seen.state for seen in reversed(self.recoveries) if seen.node == node), "")


class _Poller(threading.Thread):
    """Asks one node's own port whether it is in recovery."""

    def __init__(self, node: str, dsn: Dsn, journal: WatchLog) -> None:
        super().__init__(name=f"drill poll {node}", daemon=True)
        self._node, self._dsn, self._journal = node, dsn, journal
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            try:
                opened = link.connect(self._dsn, ASK_SECONDS)
            except link.Failed:
                self._journal.note_state(self._node, SILENT)
                self._end.wait(RETRY_PACE)
                continue
            self._poll(opened)

    def _poll(self, opened: link.Link) -> None:
        """Until the connection fails or the end is asked for."""
        try:
            while not self._end.is_set():
                in_recovery = opened.ask("SELECT pg_is_in_recovery()", ASK_SECONDS).row == ("t",)
                self._journal.note_state(self._node, STANDBY if in_recovery else PRIMARY)
                self._end.wait(POLL_PACE)
        except link.Failed:
            self._journal.note_state(self._node, SILENT)
        finally:
            opened.close()

    def end(self) -> None:
        """Ask it to end."""
        self._end.set()


@contextmanager
def nodes(cluster: Cluster, journal: WatchLog) -> Iterator[None]:
    """Every node is asked for the length of the block."""
    pollers = [_Poller(node.name, cluster.node(node.name), journal) for node in cluster.spec.nodes]
    for poller in pollers:
        poller.start()
    try:
        yield
    finally:
        for poller in pollers:
            poller.end()
        for poller in pollers:
            poller.join(3 * ASK_SECONDS)


@asynccontextmanager
async def leader_key(cluster: Cluster, journal: LeaseJournal) -> AsyncIterator[None]:
    """Patroni's leader key is watched for the length of the block."""
    spec = cluster.spec
    store = etcd_kv.Store([str(spec.addresses()[m.name]) for m in spec.etcd.members], spec.timeouts.query)
    watching = asyncio.create_task(_follow(store, cluster_store.leader_key(spec.name), journal))
    try:
        yield
        if watching.done():
            watching.result()  # it ends only by an error, and what it did not see must not pass for calm
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await store.close()


async def _follow(store: etcd_kv.Store, key: str, journal: LeaseJournal) -> None:
    """Read, then watch; again from the reading when the member that told goes away."""
    while True:
        try:
            revision, found = await store.read(key)
            held = next((kv for kv in found if kv.key == key), None)
            journal.note_owner(held.value if held else None, held.revision if held else 0)
            async with aclosing(store.watch(key, revision)) as changes:
                async for change in changes:
                    _note(change, key, journal)
        except (errors.Unreachable, errors.ServerRefused) as e:
            journal.note_blind(e.message)
            await asyncio.sleep(RETRY_PACE)


def _note(change: etcd_wire.KeyChange, key: str, journal: LeaseJournal) -> None:
    if key in change.deletes:
        journal.note_owner(None, 0)
    for kv in change.puts:
        if kv.key == key:
            journal.note_owner(kv.value, kv.revision)
