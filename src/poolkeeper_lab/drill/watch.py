"""Watch the cluster from the host while a fault lasts: the owner of the leader key, and the nodes' recovery states.

Invariant: every time is `time.monotonic()` of this process at the arrival of the event. It is therefore late by the
delay of the source (etcd's watch: a few ms; the poll of a node: up to POLL_PACE and one query), and never early.
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

POLL_PACE = 0.02  # seconds between two queries to a node
RETRY_PACE = 0.1  # seconds between two connections to a node that does not answer
ASK_SECONDS = 1.0  # a node without an answer for this time is silent
PRIMARY, STANDBY, SILENT = "primary", "standby", "silent"


class LeaseJournal(Protocol):
    """A receiver of the changes of the leader key."""

    def note_owner(self, owner: str | None, revision: int) -> None:
        """Note the key's owner since this revision of the store; None and 0: the key is absent."""

    def note_blind(self, reason: str) -> None:
        """Note that the key could not be watched for a while."""


class WatchLog:
    """The observed changes in their order; threads may share it. It keeps only changes."""

    def __init__(self) -> None:
        self.leases: list[LeaseTimes] = []
        self.recoveries: list[Recovery] = []
        self.blind: list[str] = []  # why the leader key could not be watched for a while

    def note_owner(self, owner: str | None, revision: int) -> None:
        """Note the owner of the leader key; the same owner's next revision is not a change here."""
        del revision
        if not self.leases or self.leases[-1].owner != owner:
            self.leases.append(LeaseTimes(time.monotonic(), owner))

    def note_blind(self, reason: str) -> None:
        """Note that the leader key could not be watched for a while."""
        self.blind.append(reason)

    def note_state(self, node: str, state: str) -> None:
        """Note the state that the node reports now."""
        if self.state(node) != state:
            self.recoveries.append(Recovery(time.monotonic(), node, state))

    def state(self, node: str) -> str:
        """Return the last state of the node; "" if it was not queried yet."""
        return next((seen.state for seen in reversed(self.recoveries) if seen.node == node), "")


class _Poller(threading.Thread):
    """Queries one node's own port whether it is in recovery."""

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
        """Query until the connection fails or `end` is called."""
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
        """Request the end; does not wait."""
        self._end.set()


@contextmanager
def nodes(cluster: Cluster, journal: WatchLog) -> Iterator[None]:
    """Poll every node during the block."""
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
    """Watch Patroni's leader key during the block; raises the error that ended the watch early, if any."""
    spec = cluster.spec
    store = etcd_kv.Store([str(spec.addresses()[m.name]) for m in spec.etcd.members], spec.timeouts.query)
    watching = asyncio.create_task(_follow(store, cluster_store.leader_key(spec.name), journal))
    try:
        yield
        if watching.done():
            watching.result()  # it ends only by an error, and a missed change must not pass for a calm time
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await store.close()


async def _follow(store: etcd_kv.Store, key: str, journal: LeaseJournal) -> None:
    """Read the key, then watch it; start again with the read when the connection to the member ends."""
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
