"""The watchers and loops: a lost source is unknown at once, and an action is done only when its effect shows."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.poolkeeper.unit import observed_states
from tests.poolkeeper.unit.snapshots import OTHER, PRIMARY, SPEC, STANDBY

from poolkeeper.core import errors
from poolkeeper.keeper import pool_loop, watchers
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState, wait_or_tick
from poolkeeper.model.decision import Decision, Verb
from poolkeeper.model.dsn import Dsn
from poolkeeper.model.observed_state import Contradiction, Lease, NodeRecord, ObservedState, PoolNode, Replayed
from poolkeeper.model.process_state import ProcessState
from poolkeeper.system import cluster_store, fence, patroni, postgres
from poolkeeper.system.etcd_wire import KeyChange, KeyValue

LEADER = cluster_store.leader_key(SPEC.name)
LOST = errors.Unreachable("etcd: no member answers")


async def _until(condition: Callable[[], object], *parts: Any) -> None:
    """Run the parts until the condition holds, at most ten seconds."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        async with asyncio.timeout(10):
            while not condition():
                assert not any(task.done() for task in tasks)
                await asyncio.sleep(0.005)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ScriptedStore:
    """A store whose reads and changes the test scripts; a scripted error is raised."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {LEADER: PRIMARY}
        self.revision = 5
        self.silent = False
        self.queues: list[asyncio.Queue[KeyChange | errors.PoolkeeperError]] = []

    async def read(self, prefix: str) -> tuple[int, tuple[KeyValue, ...]]:
        if self.silent:
            raise LOST
        mine = ((k, v) for k, v in self.keys.items() if k.startswith(prefix))
        return self.revision, tuple(KeyValue(k, v, self.revision, "0") for k, v in mine)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[KeyChange]:
        assert after == self.revision
        assert prefix in (cluster_store.patroni_prefix(SPEC.name), cluster_store.own_prefix(SPEC.name))
        queue: asyncio.Queue[KeyChange | errors.PoolkeeperError] = asyncio.Queue()
        self.queues.append(queue)
        while True:
            news = await queue.get()
            if isinstance(news, errors.PoolkeeperError):
                raise news
            yield news

    def send(self, news: KeyChange | errors.PoolkeeperError) -> None:
        for queue in self.queues:
            queue.put_nowait(news)


STORE_ONLY = ObservedState(0.0, observed_states.healthy().store)


def _owner(known: KnownState) -> str | None:
    return known.observed.lease.owner if known.observed.lease else None


def test_the_store_is_followed_and_its_loss_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is known at once; after a loss nothing is known, until both prefixes were read again."""
    monkeypatch.setattr(watchers, "STORE_RETRY", 0.01)

    async def play() -> Journal:
        known, store, kept = KnownState(SPEC), ScriptedStore(), Journal(lambda _: None)
        part = asyncio.ensure_future(watchers.StoreWatcher(known, store, kept).run())  # type: ignore[arg-type]
        await _until(lambda: _owner(known) == PRIMARY and len(store.queues) == 2)
        store.send(KeyChange(6, (KeyValue(LEADER, STANDBY, 6, "0"),), ()))
        await _until(lambda: known.observed.lease == Lease(STANDBY, 6))
        store.send(KeyChange(7, (), (LEADER,)))
        await _until(lambda: known.observed.store.is_known and _owner(known) is None)
        store.silent = True
        store.send(LOST)
        await _until(lambda: known.observed.store.error == LOST.message)
        assert known.wake_routes.is_set()
        await asyncio.sleep(0.05)
        store.silent = False
        await _until(lambda: _owner(known) == PRIMARY)
        part.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await part
        return kept

    kept = asyncio.run(play())
    assert [event["state"] for event in kept.events] == ["unknown, so nothing is decided", "answers again"]


class ScriptedMonitor:
    """Reports every process as alive, and the death of one."""

    def __init__(self, dies: str) -> None:
        self.dead: ProcessState | None = None
        self.dies = dies
        self.death = asyncio.Event()

    def attend(self, node: str, incarnation: str, boot: str) -> ProcessState:
        assert boot == "boot"
        known = self.dead if self.dead and self.dead.node == node else None
        return known or ProcessState(node, incarnation, "alive", "its supervisor runs", 0.0)

    async def next_death(self, timeout: float) -> ProcessState | None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.death.wait(), timeout)
            self.death.clear()
            self.dead = ProcessState(self.dies, observed_states.INCARNATIONS[0], "dead", "its supervisor ended", 1.0)
            return self.dead
        return None


def test_a_death_wakes_the_loops_and_is_noted_once() -> None:
    """The loops wake at once, not at the next tick."""

    async def play() -> tuple[KnownState, Journal]:
        known, kept = KnownState(SPEC, observed=STORE_ONLY), Journal(lambda _: None)
        monitor = ScriptedMonitor(PRIMARY)
        part = asyncio.ensure_future(watchers.watch_deaths(known, monitor, kept))  # type: ignore[arg-type]
        await _until(lambda: len(known.observed.processes) == 3)
        assert not known.wake_routes.is_set()
        monitor.death.set()
        await _until(known.wake_routes.is_set)
        await asyncio.sleep(0.02)
        part.cancel()
        return known, kept

    known, kept = asyncio.run(play())
    assert known.current().is_dead(PRIMARY)
    assert [event["process"] for event in kept.events] == ["alive"] * 3 + ["dead"]


@pytest.mark.parametrize("writable", [False, True])
def test_the_holder_is_open_when_it_accepts_writes(monkeypatch: pytest.MonkeyPatch, writable: bool) -> None:
    """The holder is open under the very lease for which it was probed, and is probed until then."""
    probes = itertools.count(1)
    asked: list[int] = []

    async def accepts(address: str, timeout: float) -> bool:
        assert (address, timeout) == ("10.8.0.11", watchers.PROBE_TIMEOUT)
        asked.append(next(probes))
        if asked[-1] == 1:
            raise errors.Unreachable("refused")
        return writable and asked[-1] > 3

    monkeypatch.setattr(patroni, "accepts_writes", accepts)
    known = KnownState(SPEC, observed=STORE_ONLY)
    asyncio.run(
        _until(
            lambda: known.observed.opened is not None if writable else len(asked) > 5,
            watchers.probe_lease_holder(known),
        )
    )
    assert known.current().primary == (PRIMARY if writable else None)
    assert known.wake_pool.is_set() is writable


def test_each_standby_is_asked_for_its_replayed_position(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease holder is not asked. The position of a standby that stops answering is unknown."""
    asked: list[str] = []
    replayed = {STANDBY: Replayed(0.0, 1), "gone": Replayed(0.0, 1)}
    known = KnownState(SPEC, observed=replace(STORE_ONLY, replayed=replayed))

    async def position(address: str, timeout: float) -> int | None:
        assert timeout == watchers.PROBE_TIMEOUT
        asked.append(address)
        if address == known.address(STANDBY):
            raise errors.Unreachable("silent")
        return 7

    monkeypatch.setattr(patroni, "replayed", position)
    asyncio.run(_until(lambda: known.observed.replayed.keys() == {OTHER}, watchers.watch_replay(known)))
    assert set(asked) == {known.address(STANDBY), known.address(OTHER)}
    assert {node: shown.lsn for node, shown in known.observed.replayed.items()} == {OTHER: 7}


REFUSAL = "check@pool: ERROR: unable to read message kind DETAIL: kind does not match between main({}) slot[{}] (52)"
UNASKED = errors.ServerRefused(REFUSAL.format(0, 1), code="XX000")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        errors.ServerRefused(REFUSAL.format(52, 1), code="XX000"),  # one node refused: no fault of Pgpool-II
        errors.ServerRefused("FATAL: sorry, too many clients already", code="53300"),
        errors.Unreachable("refused"),
        errors.DeadlinePassed("silent"),
    ],
)
def test_an_endpoint_that_contradicts_itself_is_checked_until_it_accepts(
    monkeypatch: pytest.MonkeyPatch, answer: errors.PoolkeeperError | None
) -> None:
    """Each refusal counts, from the first one; any other answer ends the count."""
    seen: list[Contradiction | None] = []
    script = [UNASKED, UNASKED, UNASKED, answer]
    spec = SPEC.model_copy(update={"keeper": SPEC.keeper.model_copy(update={"tick_ms": 1})})
    known = KnownState(spec, clock=lambda: float(len(seen)))

    async def query(dsn: Dsn, statement: str, timeout: float) -> list[Any]:
        assert (dsn.host, dsn.port, dsn.user) == (known.address("pgpool"), 9999, SPEC.roles.check)
        assert (statement, timeout) == ("SELECT 1", watchers.BALANCED_TIMEOUT)
        seen.append(known.observed.contradiction)
        reply = script[min(len(seen) - 1, 3)]
        if reply is not None:
            raise reply
        return []

    monkeypatch.setattr(postgres, "query", query)
    asyncio.run(_until(lambda: len(seen) > 4, watchers.watch_balanced(known, "secret")))
    assert seen[:5] == [None, *(Contradiction(index=1, since=1.0, refusals=n) for n in (1, 2, 3)), None]
    assert known.wake_pool.is_set()


def test_an_event_wakes_and_a_tick_passes() -> None:
    """An event wakes once."""

    async def play() -> list[bool]:
        event = asyncio.Event()
        event.set()
        return [await wait_or_tick(event, 5.0), await wait_or_tick(event, 0.01)]

    assert asyncio.run(play()) == [True, False]


def test_the_memory_is_kept_between_iterations() -> None:
    """The pause includes the observed state that the iteration decides on."""
    times = iter((1.0, 4.0))
    known = KnownState(SPEC, lambda: next(times), STORE_ONLY)
    known.refresh()
    observed, memory = known.refresh()
    assert observed.at == 4.0
    assert dict(memory.eligible_since) == {STANDBY: 1.0, "pg_node3": 1.0}


UP, DOWN = PoolNode(1, STANDBY, "up", "standby"), PoolNode(1, STANDBY, "down", "standby")
WAITING, LEADS = PoolNode(1, STANDBY, "waiting", "standby"), PoolNode(1, STANDBY, "up", "primary")
LED = PoolNode(1, STANDBY, "down", "primary")


@pytest.mark.parametrize(
    ("verb", "done", "not_done"),
    [
        (Verb.PROMOTE, [LEADS], [UP, DOWN, LED, WAITING]),
        (Verb.ATTACH, [UP, WAITING, LEADS], [DOWN, LED]),
        (Verb.DETACH, [DOWN, LED], [UP, WAITING, LEADS]),
    ],
)
def test_an_action_is_done_when_the_view_shows_it(verb: Verb, done: list[PoolNode], not_done: list[PoolNode]) -> None:
    """Pgpool-II's answer does not count; nor does a view that is not known or lacks the node."""
    decision = Decision(verb, STANDBY, "", index=1)
    assert all(pool_loop.is_done(decision, (node,)) for node in done)
    assert not any(pool_loop.is_done(decision, (node,)) for node in not_done)
    assert not pool_loop.is_done(decision, None)
    assert not pool_loop.is_done(decision, (PoolNode(0, PRIMARY, "up", "primary"),))


# The fence, with real programs.


def _fence(command: str, timeout: float = 10.0) -> None:
    async def run() -> None:
        try:
            await fence.run(command, "pg_node1", timeout)
        finally:
            await asyncio.sleep(0.05)  # the agent's loop continues, and closes the pipes

    asyncio.run(run())


def test_a_fence_that_exits_with_0_is_a_proof() -> None:
    """The script receives the node as one word."""
    _fence('sh -c \'test "$1" = "--node=pg_node1"\' sh --node={node}')
    assert fence.argv("off --node '{node}' \"a b\"", "pg_node1") == ["off", "--node", "pg_node1", "a b"]


def test_a_fence_that_fails_proves_nothing() -> None:
    """The error has its exit code and its last line."""
    with pytest.raises(errors.ServerRefused, match="ended with 1: no such plug") as caught:
        _fence("sh -c 'echo no such plug >&2; exit 1'")
    assert caught.value.code == "1"


@pytest.mark.parametrize("command", ["/no/such/program {node}", "/", "''"])
def test_a_fence_that_cannot_be_run_proves_nothing(command: str) -> None:
    """The error names that as the reason."""
    with pytest.raises(errors.Unreachable, match="cannot be run"):
        _fence(command)


@pytest.mark.parametrize("command", ["sleep 60", "sh -c 'sleep 60 & wait'", "sh -c 'sleep 60 & exit 0'"])
def test_a_fence_that_hangs_is_ended_and_proves_nothing(command: str) -> None:
    """All processes that it started end with it, soon after the deadline."""
    begun = time.monotonic()
    with pytest.raises(errors.Unreachable, match="did not end within"):
        _fence(command, timeout=0.2)
    assert time.monotonic() - begun < 10


def test_the_death_of_a_former_incarnation_is_no_death() -> None:
    """The record in the store is of the incarnation that runs now."""
    observed = observed_states.dead(observed_states.healthy(), PRIMARY)
    assert observed.is_dead(PRIMARY)
    newer = {PRIMARY: NodeRecord(PRIMARY, observed_states.INCARNATIONS[1], "boot", 4)}
    assert not observed_states.edit_store(observed, records=newer).is_dead(PRIMARY)
    assert not observed_states.edit_store(observed, records={}).is_dead(PRIMARY)
