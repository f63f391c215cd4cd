"""The loop of the balanced endpoint's Pgpool-II: keep its view equal to Patroni's.

It has one conversation open with Pgpool's control port, so that a look costs no process there. Invariant: after each
act it asks until the effect shows or the patience ends, for Pgpool answers before it has acted.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from poolkeeper.core import errors
from poolkeeper.keeper.decide import backends
from poolkeeper.keeper.journal import Journal
from poolkeeper.keeper.known_state import KnownState, wait_or_tick
from poolkeeper.model.decision import Decision, Verb
from poolkeeper.model.observed import Seen
from poolkeeper.model.observed_state import PoolNode
from poolkeeper.system import pcp

TIMEOUT = 3.0  # seconds for one command: a failover inside Pgpool keeps its control port busy
REST_TICKS = 3  # without an event: a look costs Pgpool a connection to each node, more than it costs the keeper
PATIENCE = 3.0  # seconds for the effect of an act to show
RESTART_PATIENCE = 20.0  # seconds for a restart, which is Docker's
VAIN = 10.0  # seconds of a wrong primary after which Pgpool is restarted: its main process may be looking for one
POLL = 0.03  # seconds between two looks at it
ERRORS = (errors.Unreachable, errors.ServerRefused)


class PoolLoop:
    """Looks whenever something happened, else every few ticks."""

    def __init__(self, known: KnownState, password: str, journal: Journal) -> None:
        self._known, self._password, self._journal = known, password, journal
        self._session: pcp.PcpSession | None = None
        self._said = ""
        self._wrong_since: float | None = None

    async def run(self) -> None:
        """For ever."""
        while True:
            acted = await self._turn()  # by what it said last: nobody but it and this loop changes that
            if not acted:
                await self._look()
                acted = await self._turn()
            if not acted:
                await wait_or_tick(self._known.wake_pool, REST_TICKS * self._known.spec.keeper.tick_ms / 1000)

    async def _turn(self) -> bool:
        """One act at a time: the next depends on what it made of Pgpool's view. Was anything done?"""
        scene, memory = self._known.look()
        decisions = backends.decide(self._known.spec, scene, memory)
        is_wrong = bool(decisions) and decisions[0].node == scene.primary
        self._wrong_since = (self._wrong_since or scene.at) if is_wrong else None
        if is_wrong and scene.at - (self._wrong_since or scene.at) > VAIN:
            cause = f"for {VAIN:.0f} s it was told in vain who is the primary"
            decisions = (replace(decisions[0], verb=Verb.RESTART, cause=cause),)
            self._wrong_since = None
        self._journal.begin("pool", decisions)
        return bool(decisions) and await self._act(decisions[0])

    async def _act(self, decision: Decision) -> bool:
        session = self._session
        if session is None:
            return False
        try:
            await _tell(session, decision)
        except ERRORS as e:
            self._journal.note("failed", what=decision.verb.value, node=decision.node, why=e.message)
            await self._drop()
            return False
        return await self._effect(decision)

    async def _effect(self, decision: Decision) -> bool:
        begun = self._known.clock()
        if decision.verb is Verb.RESTART:
            await self._drop()  # what it has now is of its former life
        while self._known.clock() - begun < (RESTART_PATIENCE if decision.verb is Verb.RESTART else PATIENCE):
            await self._look(None if decision.verb is Verb.RESTART else decision.index)
            if is_done(decision, self._known.pool.value):
                self._journal.note("done", what=decision.verb.value, node=decision.node)
                self._known.contradiction = None  # what was refused before may be let in now
                await self._look()  # an act on one node changes others too
                return True
            await asyncio.sleep(POLL)
        self._journal.note("failed", what=decision.verb.value, node=decision.node, why="no effect showed in time")
        return False

    async def _look(self, index: int | None = None) -> None:
        """Ask for every backend, or for one alone: another one that is dead costs Pgpool its time limit."""
        try:
            if self._session is None:
                self._session = await self._connect()
            nodes = await _ask(self._session, index)
        except ERRORS as e:
            await self._drop()
            self._known.pool = Seen(error=e.message)
            if not self._said:
                self._journal.note("pool", state="unknown, so nothing is decided about it", why=e.message)
            self._said = e.message
            return
        if self._said:
            self._said = ""
            self._journal.note("pool", state="answers again")
        fresh = {n.index: PoolNode(n.index, n.hostname, n.status, n.role) for n in nodes}
        kept = [] if index is None else [node for node in self._known.pool.value or () if node.index not in fresh]
        self._known.pool = Seen((*kept, *fresh.values()))

    async def _connect(self) -> pcp.PcpSession:
        spec = self._known.spec
        address = str(spec.endpoints.balanced.address)
        return await pcp.connect(address, spec.pgpool.pcp_port, spec.roles.pcp, self._password, TIMEOUT)

    async def _drop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _tell(session: pcp.PcpSession, decision: Decision) -> None:
    match decision.verb:
        case Verb.PROMOTE:
            await session.promote(decision.index)
        case Verb.ATTACH:
            await session.attach(decision.index)
        case Verb.DETACH:
            await session.detach(decision.index)
        case Verb.RESTART:
            await session.stop()
        case _:
            raise ValueError(f"{decision.verb.name} is not Pgpool's")


async def _ask(session: pcp.PcpSession, only: int | None) -> list[pcp.PcpNode]:
    """One by one: Pgpool asks the node itself, and one that answers with an error must not hide the others."""
    nodes = []
    for index in range(await session.node_count()) if only is None else (only,):
        try:
            nodes.append(await session.node(index))
        except errors.ServerRefused:
            continue  # a backend that is not told is one about which nothing is decided
    return nodes


def is_done(decision: Decision, nodes: tuple[PoolNode, ...] | None) -> bool:
    """Does Pgpool's view show what the decision wanted?"""
    if decision.verb is Verb.RESTART:
        return nodes is not None  # it answers in its new life; what it says is the next look's matter
    backend = next((node for node in nodes or () if node.name == decision.node), None)
    if backend is None:
        return False
    if decision.verb is Verb.PROMOTE:
        return backend.role == "primary" and backend.is_up
    return backend.is_up is (decision.verb is Verb.ATTACH)
