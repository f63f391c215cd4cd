"""The loop of the balanced endpoint's Pgpool-II: keep its view equal to Patroni's.

It keeps one connection to Pgpool-II's control port open, so that a poll starts no process there. Invariant: after each
action the loop polls until the effect shows or the time limit ends, because Pgpool-II answers before it has executed
the request.
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

TIMEOUT = 3.0  # seconds for one command: a failover inside Pgpool-II keeps its control port busy
REST_TICKS = 3  # without an event: a poll costs Pgpool-II a connection to each node, more than it costs the keeper
PATIENCE = 3.0  # seconds for the effect of an action to show
RESTART_PATIENCE = 20.0  # seconds for a restart, which is Docker's
WRONG_PRIMARY_LIMIT = 10.0  # seconds until Pgpool-II is restarted: its main process may be searching for a primary
POLL = 0.03  # seconds between two polls for an effect
ERRORS = (errors.Unreachable, errors.ServerRefused)


class PoolLoop:
    """Polls and decides whenever an event comes, else every few ticks."""

    def __init__(self, known: KnownState, password: str, journal: Journal) -> None:
        self._known, self._password, self._journal = known, password, journal
        self._session: pcp.PcpSession | None = None
        self._reported_error = ""
        self._wrong_since: float | None = None

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            is_done = await self._iterate()  # on the last view: only Pgpool-II and this loop change it
            if not is_done:
                await self._poll()
                is_done = await self._iterate()
            if not is_done:
                await wait_or_tick(self._known.wake_pool, REST_TICKS * self._known.spec.keeper.tick_ms / 1000)

    async def _iterate(self) -> bool:
        """Execute one action, because the next one depends on its effect; return whether anything was done."""
        observed, memory = self._known.refresh()
        decisions = backends.decide(self._known.spec, observed, memory)
        is_wrong = bool(decisions) and decisions[0].node == observed.primary
        self._wrong_since = (self._wrong_since or observed.at) if is_wrong else None
        if is_wrong and observed.at - (self._wrong_since or observed.at) > WRONG_PRIMARY_LIMIT:
            cause = f"it has kept a wrong primary for {WRONG_PRIMARY_LIMIT:.0f} s in spite of every correction"
            decisions = (replace(decisions[0], verb=Verb.RESTART, cause=cause),)
            self._wrong_since = None
        self._journal.begin("pool", decisions)
        return bool(decisions) and await self._execute(decisions[0])

    async def _execute(self, decision: Decision) -> bool:
        session = self._session
        if session is None:
            return False
        try:
            await _send(session, decision)
        except ERRORS as e:
            self._journal.note("failed", what=decision.verb.value, node=decision.node, why=e.message)
            await self._disconnect()
            return False
        return await self._await_effect(decision)

    async def _await_effect(self, decision: Decision) -> bool:
        begun = self._known.clock()
        if decision.verb is Verb.RESTART:
            await self._disconnect()  # this connection is to the process that ends
        while self._known.clock() - begun < (RESTART_PATIENCE if decision.verb is Verb.RESTART else PATIENCE):
            await self._poll(None if decision.verb is Verb.RESTART else decision.index)
            if is_done(decision, self._known.observed.pool.value):
                self._journal.note("done", what=decision.verb.value, node=decision.node)
                self._known.update(contradiction=None)  # the endpoint may accept now what it refused before
                await self._poll()  # an action on one node changes others too
                return True
            await asyncio.sleep(POLL)
        self._journal.note("failed", what=decision.verb.value, node=decision.node, why="no effect showed in time")
        return False

    async def _poll(self, index: int | None = None) -> None:
        """Read every backend, or one alone: another one that is dead costs Pgpool-II its time limit."""
        try:
            if self._session is None:
                self._session = await self._connect()
            nodes = await _read(self._session, index)
        except ERRORS as e:
            await self._disconnect()
            self._known.update(pool=Seen(error=e.message))
            if not self._reported_error:
                self._journal.note("pool", state="unknown, so nothing is decided about it", why=e.message)
            self._reported_error = e.message
            return
        if self._reported_error:
            self._reported_error = ""
            self._journal.note("pool", state="answers again")
        fresh = {n.index: PoolNode(n.index, n.hostname, n.status, n.role) for n in nodes}
        before = () if index is None else self._known.observed.pool.value or ()
        kept = [node for node in before if node.index not in fresh]
        self._known.update(pool=Seen((*kept, *fresh.values())))

    async def _connect(self) -> pcp.PcpSession:
        spec = self._known.spec
        address = str(spec.endpoints.balanced.address)
        return await pcp.connect(address, spec.pgpool.pcp_port, spec.roles.pcp, self._password, TIMEOUT)

    async def _disconnect(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _send(session: pcp.PcpSession, decision: Decision) -> None:
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


async def _read(session: pcp.PcpSession, only: int | None) -> list[pcp.PcpNode]:
    """Read one by one: Pgpool-II asks the node itself, and one that answers with an error must not hide the others."""
    nodes = []
    for index in range(await session.node_count()) if only is None else (only,):
        try:
            nodes.append(await session.node(index))
        except errors.ServerRefused:
            continue  # nothing is decided about a backend that is not reported
    return nodes


def is_done(decision: Decision, nodes: tuple[PoolNode, ...] | None) -> bool:
    """Return whether Pgpool-II's view shows what the decision wanted."""
    if decision.verb is Verb.RESTART:
        return nodes is not None  # the new process answers; the next iteration decides on its view
    backend = next((node for node in nodes or () if node.name == decision.node), None)
    if backend is None:
        return False
    if decision.verb is Verb.PROMOTE:
        return backend.role == "primary" and backend.is_up
    return backend.is_up is (decision.verb is Verb.ATTACH)
