"""The agent's senses: etcd's keys, the processes of this machine, the holder of the lease, the balanced endpoint's endpoint.

Each runs for ever, keeps its part of the knowledge and wakes the loops when it changed. Invariant: a source that fails
is noted once, its part becomes unknown, and the sense begins again.
"""

from __future__ import annotations

import asyncio

from poolkeeper.core import errors
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState, wait_or_tick
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import Contradiction, Lease, Replayed
from poolkeeper.model.spec import PGPOOL_PORT
from poolkeeper.system import cluster_store, patroni, pgpool, postgres
from poolkeeper.system.etcd_kv import Store
from poolkeeper.system.etcd_wire import KeyValue
from poolkeeper.system.process_monitor import ProcessMonitor

AGAIN = 0.5  # seconds before a store that failed is read again
PROBE = 0.02  # seconds between two questions to a node that is being promoted
PROBE_TIMEOUT = 0.5  # seconds for one of them
PROBE_PATIENCE = 15.0  # seconds after which the questions become rare
PROBE_RARE = 0.5
BALANCED_TICKS = 5  # between two sessions through the balanced endpoint, each of which costs a session on every node
BALANCED_TIMEOUT = 3.0  # seconds for one of them
UNPOOLED = "postgres"  # Pgpool-II never keeps sessions with this database, so that each is new on every node
REPLAY_LOOKS = 5  # how often a standby is asked for what it shows while it may be stale


class StoreWatcher:
    """Both prefixes of the store, read once and then followed."""

    def __init__(self, known: KnownState, store: Store, journal: Journal) -> None:
        self._known, self._store, self._journal = known, store, journal
        cluster = known.spec.name
        self._parts: dict[str, dict[str, KeyValue] | None] = {
            cluster_store.patroni_prefix(cluster): None,
            cluster_store.own_prefix(cluster): None,
        }
        self._said = ""

    async def run(self) -> None:
        """Follow both, for ever."""
        async with asyncio.TaskGroup() as group:
            for prefix in self._parts:
                group.create_task(self._follow(prefix))

    async def _follow(self, prefix: str) -> None:
        while True:
            try:
                await self._read_and_watch(prefix)
            except errors.PoolkeeperError as e:
                self._lose(prefix, e.message)
            await asyncio.sleep(AGAIN)

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
        if self._said:
            self._said = ""
            self._journal.note("store", state="answers again")
        merged = [pair for part in parts for pair in part.values()]
        self._known.store = Seen(cluster_store.read_view(self._known.spec.name, revision, merged))
        self._known.wake()

    def _lose(self, prefix: str, reason: str) -> None:
        self._parts[prefix] = None
        self._known.store = Seen(error=reason)
        if not self._said:
            self._journal.note("store", state="unknown, so nothing is decided", why=reason)
        self._said = reason
        self._known.wake()


async def watch_deaths(known: KnownState, witness: ProcessMonitor, journal: Journal) -> None:
    """Attend every node that has a record; wake the loops the moment one dies."""
    while True:
        view = known.store.value
        for record in view.records.values() if view else ():
            before = known.sights.get(record.node)
            sight = witness.attend(record.node, record.incarnation, record.boot)
            known.sights[record.node] = sight
            if before is None or (before.state, before.incarnation) != (sight.state, sight.incarnation):
                _note(journal, sight.node, sight.state, sight.reason)
        died = await witness.next_death(known.spec.keeper.tick_ms / 1000)
        if died is not None:
            known.sights[died.node] = died
            known.wake()
            _note(journal, died.node, died.state, died.reason)


def _note(journal: Journal, node: str, state: str, reason: str) -> None:
    journal.note("seen", node=node, process=state, why=reason)


async def probe_lease_holder(known: KnownState) -> None:
    """Find out when the holder of a new lease accepts writes; Patroni's lease comes before the end of the promotion."""
    while True:
        lease = known.store.value.lease if known.store.value else None
        if lease is None or lease == known.opened:
            await wait_or_tick(known.wake_probe, known.spec.keeper.tick_ms / 1000)
            continue
        begun = known.clock()
        while _is_current(known, lease) and known.opened != lease:
            if await _is_open(known, lease.owner):
                known.opened = lease
                known.wake()
                break
            await asyncio.sleep(PROBE if known.clock() - begun < PROBE_PATIENCE else PROBE_RARE)


def _is_current(known: KnownState, lease: Lease) -> bool:
    return known.store.value is not None and known.store.value.lease == lease


async def _is_open(known: KnownState, node: str) -> bool:
    try:
        return await patroni.accepts_writes(known.address(node), PROBE_TIMEOUT)
    except (errors.Unreachable, errors.ServerRefused, KeyError):
        return False


async def watch_silence(known: KnownState) -> None:
    """Only where a fence is declared: since when has the holder's Patroni given no answer?"""
    while True:
        lease = known.store.value.lease if known.store.value else None
        if known.spec.keeper.fence_command and lease is not None:
            await _ask(known, lease.owner)
        await asyncio.sleep(known.spec.keeper.tick_ms / 1000)


async def _ask(known: KnownState, node: str) -> None:
    try:
        await patroni.observe_version(known.address(node), PROBE_TIMEOUT)
    except errors.ServerRefused:
        known.silent.pop(node, None)
    except errors.Unreachable:
        known.silent.setdefault(node, known.clock())
    else:
        known.silent.pop(node, None)


async def watch_replay(known: KnownState) -> None:
    """What each standby shows: what is in the store says only what it received."""
    pause = max(known.spec.keeper.max_read_staleness_seconds / REPLAY_LOOKS, known.spec.keeper.tick_ms / 1000)
    while True:
        view = known.store.value
        owner = view.lease.owner if view and view.lease else None
        names = [node.name for node in known.spec.nodes if view and node.name in view.members and node.name != owner]
        await asyncio.gather(*(_ask_replayed(known, name) for name in names))
        for gone in known.replayed.keys() - set(names):
            del known.replayed[gone]
        await asyncio.sleep(pause)


async def _ask_replayed(known: KnownState, node: str) -> None:
    try:
        position = await patroni.replayed(known.address(node), PROBE_TIMEOUT)
    except (errors.Unreachable, errors.ServerRefused):
        position = None
    if position is None:
        known.replayed.pop(node, None)
    else:
        known.replayed[node] = Replayed(known.clock(), position)


async def watch_balanced(known: KnownState, password: str) -> None:
    """Ask as a client would: a Pgpool-II that contradicts itself tells its control port that all is well."""
    endpoint, tick = known.spec.endpoints.balanced, known.spec.keeper.tick_ms / 1000
    dsn = Dsn(str(endpoint.address), PGPOOL_PORT, known.spec.roles.check, UNPOOLED, password)
    while True:
        refused = await _refused_by(dsn)
        known.contradiction = _next_contradiction(known.contradiction, refused, known.clock())
        if known.contradiction:
            known.wake_pool.set()
        await asyncio.sleep(tick if known.contradiction else BALANCED_TICKS * tick)


async def _refused_by(dsn: Dsn) -> int | None:
    """The backend that its refusal names; None where a session is let in, or not refused for this reason."""
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
