"""The agent's watchers: etcd's keys, this machine's processes, the lease holder, the standbys, the balanced endpoint.

Each runs until it is cancelled, keeps its part of the known state and wakes the loops when that part changed.
Invariant: when a source fails, the watcher notes it once, makes its part unknown, and begins again.
"""

from __future__ import annotations

import asyncio

from poolkeeper.core import errors
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState, wait_or_tick
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import Contradiction, Lease
from poolkeeper.model.process_state import ProcessState
from poolkeeper.model.spec import PGPOOL_PORT
from poolkeeper.system import cluster_store, patroni, pgpool, postgres
from poolkeeper.system.etcd_kv import Store
from poolkeeper.system.etcd_wire import KeyValue
from poolkeeper.system.process_monitor import ProcessMonitor

STORE_RETRY = 0.5  # seconds before a store that failed is read again
PROBE = 0.02  # seconds between two requests to a node that is being promoted
PROBE_TIMEOUT = 0.5  # seconds for one of them
PROBE_PATIENCE = 15.0  # seconds after which the requests become rare
PROBE_RARE = 0.5
BALANCED_TICKS = 5  # between two sessions through the balanced endpoint, each of which costs a session on every node
BALANCED_TIMEOUT = 3.0  # seconds for one of them
UNPOOLED = "postgres"  # Pgpool-II never keeps sessions with this database, so that each is new on every node
REPLAY_CHECKS = 5  # how often a standby's replayed position is read within the staleness bound


class StoreWatcher:
    """Follows both prefixes of the store: it reads them once and then watches their changes."""

    def __init__(self, known: KnownState, store: Store, journal: Journal) -> None:
        self._known, self._store, self._journal = known, store, journal
        cluster = known.spec.name
        self._parts: dict[str, dict[str, KeyValue] | None] = {
            cluster_store.patroni_prefix(cluster): None,
            cluster_store.own_prefix(cluster): None,
        }
        self._reported_error = ""

    async def run(self) -> None:
        """Follow both prefixes until cancelled."""
        async with asyncio.TaskGroup() as group:
            for prefix in self._parts:
                group.create_task(self._follow(prefix))

    async def _follow(self, prefix: str) -> None:
        while True:
            try:
                await self._read_and_watch(prefix)
            except errors.PoolkeeperError as e:
                self._lose(prefix, e.message)
            await asyncio.sleep(STORE_RETRY)

    async def _read_and_watch(self, prefix: str) -> None:
        revision, pairs = await self._store.read(prefix)
        keys = {pair.key: pair for pair in pairs}
        self._take(prefix, keys, revision)
        async for change in self._store.watch(prefix, after=revision):
            for key in change.deletes:
                keys.pop(key, None)
            keys.update({pair.key: pair for pair in change.puts})
            self._take(prefix, keys, change.revision)

    def _take(self, prefix: str, keys: dict[str, KeyValue], revision: int) -> None:
        self._parts[prefix] = keys
        parts = [part for part in self._parts.values() if part is not None]
        if len(parts) < len(self._parts):
            return
        if self._reported_error:
            self._reported_error = ""
            self._journal.note("store", state="answers again")
        merged = [pair for part in parts for pair in part.values()]
        self._known.update(store=Seen(cluster_store.read_view(self._known.spec.name, revision, merged)))
        self._known.wake()

    def _lose(self, prefix: str, reason: str) -> None:
        self._parts[prefix] = None
        self._known.update(store=Seen(error=reason))
        if not self._reported_error:
            self._journal.note("store", state="unknown, so nothing is decided", why=reason)
        self._reported_error = reason
        self._known.wake()


async def watch_deaths(known: KnownState, monitor: ProcessMonitor, journal: Journal) -> None:
    """Monitor the supervisor of every node that has a record; wake the loops the moment one dies."""
    while True:
        view = known.observed.store.value
        for record in view.records.values() if view else ():
            before = known.observed.processes.get(record.node)
            process = monitor.attend(record.node, record.incarnation, record.boot)
            known.set_process(process)
            if before is None or (before.state, before.incarnation) != (process.state, process.incarnation):
                _note(journal, process)
        died = await monitor.next_death(_tick(known))
        if died is not None:
            known.set_process(died)
            known.wake()
            _note(journal, died)


def _note(journal: Journal, process: ProcessState) -> None:
    journal.note("seen", node=process.node, process=process.state, why=process.reason)


def _tick(known: KnownState) -> float:
    return known.spec.keeper.tick_ms / 1000


async def probe_lease_holder(known: KnownState) -> None:
    """Find out when the holder of a new lease accepts writes: Patroni takes the lease before it ends the promotion."""
    while True:
        lease = known.observed.lease
        if lease is None or lease == known.observed.opened:
            await wait_or_tick(known.wake_probe, _tick(known))
            continue
        begun = known.clock()
        while known.observed.lease == lease and known.observed.opened != lease:
            if await _accepts_writes(known, lease):
                known.update(opened=lease)
                known.wake()
                break
            await asyncio.sleep(PROBE if known.clock() - begun < PROBE_PATIENCE else PROBE_RARE)


async def _accepts_writes(known: KnownState, lease: Lease) -> bool:
    try:
        return await patroni.accepts_writes(known.address(lease.owner), PROBE_TIMEOUT)
    except (errors.Unreachable, errors.ServerRefused, KeyError):
        return False


async def watch_silence(known: KnownState) -> None:
    """Note since when the lease holder's Patroni has not answered. Only where a fence command is declared."""
    while True:
        lease = known.observed.lease
        if known.spec.keeper.fence_command and lease is not None:
            await _check_silence(known, lease.owner)
        await asyncio.sleep(_tick(known))


async def _check_silence(known: KnownState, node: str) -> None:
    try:
        await patroni.observe_version(known.address(node), PROBE_TIMEOUT)
    except errors.Unreachable:
        known.set_silent(node, True)
        return
    except errors.ServerRefused:
        pass  # a refusal is an answer
    known.set_silent(node, False)


async def watch_replay(known: KnownState) -> None:
    """Read from each standby the position that it has replayed: the store holds only what it has received."""
    pause = max(known.spec.keeper.max_read_staleness_seconds / REPLAY_CHECKS, _tick(known))
    while True:
        view, lease = known.observed.store.value, known.observed.lease
        owner = lease.owner if lease else None
        names = [node.name for node in known.spec.nodes if view and node.name in view.members and node.name != owner]
        await asyncio.gather(*(_read_replayed(known, name) for name in names))
        for gone in known.observed.replayed.keys() - set(names):
            known.set_replayed(gone, None)
        await asyncio.sleep(pause)


async def _read_replayed(known: KnownState, node: str) -> None:
    try:
        position = await patroni.replayed(known.address(node), PROBE_TIMEOUT)
    except (errors.Unreachable, errors.ServerRefused):
        position = None
    known.set_replayed(node, position)


async def watch_balanced(known: KnownState, password: str) -> None:
    """Connect as a client does: a Pgpool-II that contradicts itself reports no fault on its control port."""
    endpoint, tick = known.spec.endpoints.balanced, _tick(known)
    dsn = Dsn(str(endpoint.address), PGPOOL_PORT, known.spec.roles.check, UNPOOLED, password)
    while True:
        index = await _contradicted_backend(dsn)
        contradiction = _next_contradiction(known.observed.contradiction, index, known.clock())
        known.update(contradiction=contradiction)
        if contradiction:
            known.wake_pool.set()
        await asyncio.sleep(tick if contradiction else BALANCED_TICKS * tick)


async def _contradicted_backend(dsn: Dsn) -> int | None:
    """Return the backend that the refusal names; None if the session is accepted, or refused for another reason."""
    try:
        await postgres.query(dsn, "SELECT 1", BALANCED_TIMEOUT)
    except errors.ServerRefused as e:
        return pgpool.contradicted_by(e.message)
    except errors.PoolkeeperError:
        return None  # no answer is no contradiction: the endpoint may be full, or starting
    return None


def _next_contradiction(before: Contradiction | None, index: int | None, now: float) -> Contradiction | None:
    if index is None:
        return None
    if before is None or before.index != index:
        return Contradiction(index, now)
    return Contradiction(index, before.since, before.refusals + 1)
