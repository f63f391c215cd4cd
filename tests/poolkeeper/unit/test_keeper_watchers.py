"""The agent's parts that wait: what is lost is unknown at once, and an act is done only when its effect shows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
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
from poolkeeper.model.observed_state import Contradiction, Lease, NodeRecord, PoolNode, Replayed
from poolkeeper.model.process_state import ProcessState
from poolkeeper.system import cluster_store, fence
from poolkeeper.system.etcd_wire import KeyChange, KeyValue

LEADER = cluster_store.leader_key(SPEC.name)
LOST = errors.Unreachable("etcd: nobody answers")


async def _until(condition: Callable[[], object], *parts: Any) -> None:
    """Run the parts until it holds, at most ten seconds."""
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
    """Each read and each watched change is what the script says; an error is raised."""

    def __init__(self) -> None:
        self.keys: dict[str, str] = {LEADER: PRIMARY}
        self.revision = 5
        self.silent = False
        self.news: list[asyncio.Queue[KeyChange | errors.PoolkeeperError]] = []

    async def read(self, prefix: str) -> tuple[int, tuple[KeyValue, ...]]:
        if self.silent:
            raise LOST
        mine = ((k, v) for k, v in self.keys.items() if k.startswith(prefix))
        return self.revision, tuple(KeyValue(k, v, self.revision, "0") for k, v in mine)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[KeyChange]:
        assert after == self.revision
        assert prefix in (cluster_store.patroni_prefix(SPEC.name), cluster_store.own_prefix(SPEC.name))
        queue: asyncio.Queue[KeyChange | errors.PoolkeeperError] = asyncio.Queue()
        self.news.append(queue)
        while True:
            told = await queue.get()
            if isinstance(told, errors.PoolkeeperError):
                raise told
            yield told

    def tell(self, told: KeyChange | errors.PoolkeeperError) -> None:
        for queue in self.news:
            queue.put_nowait(told)


def _owner(known: KnownState) -> str | None:
    view = known.store.value
    return view.lease.owner if view and view.lease else None


def test_the_store_is_followed_and_its_loss_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is known at once; after a loss nothing is known, until both prefixes were read again."""
    monkeypatch.setattr(watchers, "AGAIN", 0.01)

    async def play() -> Journal:
        known, store, kept = KnownState(SPEC), ScriptedStore(), Journal(lambda _: None)
        part = asyncio.ensure_future(watchers.StoreWatcher(known, store, kept).run())  # type: ignore[arg-type]
        await _until(lambda: _owner(known) == PRIMARY and len(store.news) == 2)
        store.tell(KeyChange(6, (KeyValue(LEADER, STANDBY, 6, "0"),), ()))
        await _until(lambda: known.store.value and known.store.value.lease == Lease(STANDBY, 6))
        store.tell(KeyChange(7, (), (LEADER,)))
        await _until(lambda: known.store.is_known and _owner(known) is None)
        store.silent = True
        store.tell(LOST)
        await _until(lambda: known.store.error == LOST.message)
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


class ScriptedWitness:
    """Sees every process as alive, and one end."""

    def __init__(self, dies: str) -> None:
        self.dead: ProcessState | None = None
        self.dies = dies
        self.told = asyncio.Event()

    def attend(self, node: str, incarnation: str, boot: str) -> ProcessState:
        assert boot == "boot"
        known = self.dead if self.dead and self.dead.node == node else None
        return known or ProcessState(node, incarnation, "alive", "its supervisor runs", 0.0)

    async def next_death(self, timeout: float) -> ProcessState | None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.told.wait(), timeout)
            self.told.clear()
            self.dead = ProcessState(self.dies, observed_states.INCARNATIONS[0], "dead", "its supervisor ended", 1.0)
            return self.dead
        return None


def test_a_death_wakes_the_loops_and_is_noted_once() -> None:
    """At once, not at the next tick."""

    async def play() -> tuple[KnownState, Journal]:
        known, kept = KnownState(SPEC, store=observed_states.healthy().store), Journal(lambda _: None)
        witness = ScriptedWitness(PRIMARY)
        part = asyncio.ensure_future(watchers.watch_deaths(known, witness, kept))  # type: ignore[arg-type]
        await _until(lambda: len(known.sights) == 3)
        assert not known.wake_routes.is_set()
        witness.told.set()
        await _until(known.wake_routes.is_set)
        await asyncio.sleep(0.02)
        part.cancel()
        return known, kept

    known, kept = asyncio.run(play())
    assert known.scene().is_dead(PRIMARY)
    assert [event["process"] for event in kept.events] == ["alive"] * 3 + ["dead"]


@pytest.mark.parametrize("said", [False, True])
def test_the_holder_is_open_when_it_accepts_writes(monkeypatch: pytest.MonkeyPatch, said: bool) -> None:
    """Under the very lease for which it was asked; it is asked until then."""
    asked = 0

    async def accepts(address: str, timeout: float) -> bool:
        nonlocal asked
        assert (address, timeout) == ("10.8.0.11", watchers.PROBE_TIMEOUT)
        asked += 1
        if asked == 1:
            raise errors.Unreachable("refused")
        return said and asked > 3

    monkeypatch.setattr(watchers.patroni, "accepts_writes", accepts)
    known = KnownState(SPEC, store=observed_states.healthy().store)
    asyncio.run(_until(lambda: known.opened is not None if said else asked > 5, watchers.probe_lease_holder(known)))
    assert known.scene().primary == (PRIMARY if said else None)
    assert known.wake_pool.is_set() is said


def test_what_a_standby_shows_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the holder of the lease; and what cannot be asked any more is not known any more."""
    asked: list[str] = []
    known = KnownState(
        SPEC, store=observed_states.healthy().store, replayed={STANDBY: Replayed(0.0, 1), "gone": Replayed(0.0, 1)}
    )

    async def position(address: str, timeout: float) -> int | None:
        assert timeout == watchers.PROBE_TIMEOUT
        asked.append(address)
        if address == known.address(STANDBY):
            raise errors.Unreachable("silent")
        return 7

    monkeypatch.setattr(watchers.patroni, "replayed", position)
    asyncio.run(
        _until(lambda: STANDBY not in known.replayed and "gone" not in known.replayed, watchers.watch_replay(known))
    )
    assert set(asked) == {known.address(STANDBY), known.address(OTHER)}
    assert {node: shown.lsn for node, shown in known.replayed.items()} == {OTHER: 7}


REFUSAL = "check@pool: ERROR: unable to read message kind DETAIL: kind does not match between main({}) slot[{}] (52)"
UNASKED = errors.ServerRefused(REFUSAL.format(0, 1), code="XX000")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        errors.ServerRefused(REFUSAL.format(52, 1), code="XX000"),  # one node refused: no fault of Pgpool's
        errors.ServerRefused("FATAL: sorry, too many clients already", code="53300"),
        errors.Unreachable("refused"),
        errors.DeadlinePassed("silent"),
    ],
)
def test_an_endpoint_that_contradicts_itself_is_asked_until_it_lets_in(
    monkeypatch: pytest.MonkeyPatch, answer: errors.PoolkeeperError | None
) -> None:
    """Each refusal counts, from the first of them; any other answer ends the count."""
    told: list[Contradiction | None] = []
    script = [UNASKED, UNASKED, UNASKED, answer]
    spec = SPEC.model_copy(update={"keeper": SPEC.keeper.model_copy(update={"tick_ms": 1})})
    known = KnownState(spec, clock=lambda: float(len(told)))

    async def query(dsn: Dsn, statement: str, timeout: float) -> list[Any]:
        assert (dsn.host, dsn.port, dsn.user) == (known.address("pgpool"), 9999, SPEC.roles.check)
        assert (statement, timeout) == ("SELECT 1", watchers.BALANCED_TIMEOUT)
        told.append(known.contradiction)
        said = script[min(len(told) - 1, 3)]
        if said is not None:
            raise said
        return []

    monkeypatch.setattr(watchers.postgres, "query", query)
    asyncio.run(_until(lambda: len(told) > 4, watchers.watch_balanced(known, "secret")))
    assert told[:5] == [None, *(Contradiction(index=1, since=1.0, refusals=n) for n in (1, 2, 3)), None]
    assert known.wake_pool.is_set()


def test_an_event_wakes_and_a_tick_passes() -> None:
    """An event is taken once."""

    async def play() -> list[bool]:
        event = asyncio.Event()
        event.set()
        return [await wait_or_tick(event, 5.0), await wait_or_tick(event, 0.01)]

    assert asyncio.run(play()) == [True, False]


def test_the_memory_is_kept_from_look_to_look() -> None:
    """And is up to the look at which it is decided by."""
    at = [1.0]
    known = KnownState(SPEC, lambda: at[0], observed_states.healthy().store)
    known.look()
    at[0] = 4.0
    scene, memory = known.look()
    assert scene.at == 4.0
    assert dict(memory.fit_since) == {STANDBY: 1.0, "pg_node3": 1.0}


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
def test_an_act_is_done_when_the_view_shows_it(verb: Verb, done: list[PoolNode], not_done: list[PoolNode]) -> None:
    """Pgpool-II's answer counts for nothing; nor does a view that is not known or lacks the node."""
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
            await asyncio.sleep(0.05)  # the loop of the agent goes on, and lets go of the pipes

    asyncio.run(run())


def test_a_fence_that_ends_with_nought_is_a_proof() -> None:
    """And it is told the node, as one word."""
    _fence('sh -c \'test "$1" = "--node=pg_node1"\' sh --node={node}')
    assert fence.argv("off --node '{node}' \"a b\"", "pg_node1") == ["off", "--node", "pg_node1", "a b"]


def test_a_fence_that_fails_proves_nothing() -> None:
    """Its code and its last words are told."""
    with pytest.raises(errors.ServerRefused, match="ended with 1: no such plug") as caught:
        _fence("sh -c 'echo no such plug >&2; exit 1'")
    assert caught.value.code == "1"


@pytest.mark.parametrize("command", ["/no/such/program {node}", "/", "''"])
def test_a_fence_that_cannot_be_run_proves_nothing(command: str) -> None:
    """It is said."""
    with pytest.raises(errors.Unreachable, match="cannot be run"):
        _fence(command)


@pytest.mark.parametrize("command", ["sleep 60", "sh -c 'sleep 60 & wait'", "sh -c 'sleep 60 & exit 0'"])
def test_a_fence_that_hangs_is_ended_and_proves_nothing(command: str) -> None:
    """With all that it started, soon after the deadline."""
    begun = time.monotonic()
    with pytest.raises(errors.Unreachable, match="did not end within"):
        _fence(command, timeout=0.2)
    assert time.monotonic() - begun < 10


def test_a_sight_of_a_former_incarnation_is_no_death() -> None:
    """The record in the store is of the one that runs now."""
    scene = observed_states.dead(observed_states.healthy(), PRIMARY)
    assert scene.is_dead(PRIMARY)
    newer = {PRIMARY: NodeRecord(PRIMARY, observed_states.INCARNATIONS[1], "boot", 4)}
    assert not observed_states.edit_store(scene, records=newer).is_dead(PRIMARY)
    assert not observed_states.edit_store(scene, records={}).is_dead(PRIMARY)
